// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
/*
 * faults KILLS [SEED]: what only processes and disks can do to the store. As root.
 *   KILLS times: a writer is killed with SIGKILL at a random moment, as often within the making of a
 *     file, a roll-up or the change of a day as these take time. What it had acknowledged must be
 *     there, whole, and nothing twice; then it goes on from there.
 *   a tmpfs of its own becomes full (by percent, by blocks, by inodes), read-only, and usable again.
 *   everything in the sandbox of the agent.
 * One line per part, the seed with it; exit status 1 if any failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox.h"
#include "store_model.h"
#include "store_query.h"

#define T0 1764028800ll /* 2025-11-25 00:00:00 UTC */
#define SERVERS 2
#define CHANNELS 30
#define STEPS_MAX 200000
#define ROWS_EACH 3

static int failures;

#define CHECK(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("  not true: %s (line %d): ", #condition, __LINE__);                \
			printf(__VA_ARGS__);                                                       \
			putchar('\n');                                                             \
			failures++;                                                                \
		}                                                                                  \
	} while (0)

static struct interval *make(int64_t time_s)
{
	struct interval *interval = model_interval(time_s, SERVERS, CHANNELS);

	for (int i = 0; interval && i < ROWS_EACH; i++) {
		struct closed_connection c = {
			.opened_ns = (time_s - 5) * MODEL_NS_S,
			.closed_ns = time_s * MODEL_NS_S,
			.server = "node:8000",
			.channel = "/a",
			.user = "0123456789ab",
			.received = (uint64_t)(time_s / 10 * ROWS_EACH + i),
		};

		if (interval_add_connection(interval, &c))
			abort();
	}
	return interval;
}

/* ---- kills */

/* Writes from a time on, as fast as it can, and says each one that is acknowledged. */
static void write_forever(const char *dir, int64_t time_s, int to)
{
	struct store_config config = {.dir = dir};
	struct store *store;

	if (store_new(&config, &store))
		_exit(2);
	for (;; time_s += 10) {
		struct interval *interval = make(time_s);

		if (!interval || store_write(store, interval))
			_exit(3);
		if (write(to, &time_s, sizeof(time_s)) != sizeof(time_s))
			_exit(4);
	}
}

struct seen {
	int64_t from_s, last_s;
	uint64_t points, wrong;
};

/* Every interval is there once, with what was written. */
static int check_point(const struct history_point *point, void *ctx)
{
	struct seen *seen = ctx;
	static struct point part, sum;

	point_reset(&sum);
	for (unsigned i = 0; i < CHANNELS; i++) {
		model_point(point->time_s, i, &part, NULL);
		point_add(&sum, &part);
	}
	if (seen->points && point->time_s <= seen->last_s)
		seen->wrong++;
	if (memcmp(&sum.counts.n, &point->sum->counts.n, sizeof(sum.counts.n)) ||
	    memcmp(&sum.hist[POINT_LATENCY], &point->sum->hist[POINT_LATENCY], sizeof(struct hist)))
		seen->wrong++;
	seen->last_s = point->time_s;
	seen->points++;
	return 0;
}

/* Intervals that were written or not when the writer was killed. */
struct doubts {
	unsigned nr;
	int64_t at[32];
};

struct rows_seen {
	uint64_t nr, *ids;
};

static int check_row(const struct closed_connection *connection, void *ctx)
{
	struct rows_seen *rows = ctx;

	rows->ids[rows->nr++ % STEPS_MAX] = connection->received;
	return 0;
}

static int check_file(const struct store_file_info *info, void *ctx)
{
	(void)ctx;
	CHECK(!info->damaged, "%s: %s", info->name, info->problem);
	return 0;
}

/*
 * Rows of each interval, all or none, each once. None only where the writer was killed between the
 * points and the rows of an interval, which it had not acknowledged.
 */
static void check_rows(struct store *store, int64_t from_s, int64_t acknowledged_s,
		       const struct doubts *doubts)
{
	struct rows_query query = {.from_s = from_s,
				   .to_s = acknowledged_s + 30,
				   .error = -1,
				   .ascending = true,
				   .limit = STEPS_MAX};
	struct rows_seen rows = {.ids = calloc(STEPS_MAX, sizeof(uint64_t))};
	int err = store_connections(store, &query, check_row, &rows, NULL);
	uint64_t at = 0;

	CHECK(!err, "%s", strerror(-err));
	for (int64_t time_s = from_s; time_s <= acknowledged_s + 10; time_s += 10) {
		uint64_t want = (uint64_t)(time_s / 10 * ROWS_EACH), n = 0;
		bool doubt = time_s > acknowledged_s;

		for (unsigned i = 0; i < doubts->nr; i++)
			doubt |= doubts->at[i] == time_s;
		while (at < rows.nr && n < ROWS_EACH && rows.ids[at] == want + n) {
			at++;
			n++;
		}
		if (n != ROWS_EACH && (n || !doubt)) {
			CHECK(n == ROWS_EACH, "%llu rows at %lld", (unsigned long long)n,
			      (long long)time_s);
			break;
		}
	}
	CHECK(at == rows.nr, "%llu rows too many", (unsigned long long)(rows.nr - at));
	free(rows.ids);
}

/* *next_s: where to go on. */
static void check_store(const char *dir, int64_t from_s, int64_t acknowledged_s,
			const struct doubts *doubts, int64_t *next_s)
{
	struct store_config config = {.dir = dir};
	struct store *store;
	int64_t step;

	if (store_new(&config, &store))
		abort();
	CHECK(!store_files(store, true, check_file, NULL), "cannot list %s", dir);
	*next_s = acknowledged_s + 10;
	for (int64_t at = from_s; at <= acknowledged_s; at += 10000) {
		int64_t end = at + 10000 > acknowledged_s ? acknowledged_s + 20 : at + 10000;
		struct history_query query = {at, end, 10, {0}};
		struct seen seen = {0};
		int err = store_history(store, &query, check_point, &seen, &step);
		uint64_t want =
			(uint64_t)((end > acknowledged_s ? acknowledged_s + 10 : end) - at) / 10;

		CHECK(!err && step == 10, "%s", strerror(-err));
		CHECK(!seen.wrong, "%llu intervals are not what was written",
		      (unsigned long long)seen.wrong);
		/* one more may be there: written, but killed before it was said */
		CHECK(seen.points == want || (end > acknowledged_s && seen.points == want + 1),
		      "%llu intervals from %lld on, not %llu", (unsigned long long)seen.points,
		      (long long)at, (unsigned long long)want);
		if (seen.points && seen.last_s > acknowledged_s)
			*next_s = seen.last_s + 10;
	}
	check_rows(store, from_s, acknowledged_s, doubts);
	store_free(store);
}

static void kill_one(const char *dir, int64_t from_s, int64_t *next_s, struct doubts *doubts,
		     uint64_t *random, uint64_t *acknowledged)
{
	int64_t said = 0, last = *next_s - 10;
	struct timespec wait = {.tv_nsec = (long)(random_below(random, 400) * 1000000)};
	int pipes[2], status;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		abort();
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		close(pipes[0]);
		write_forever(dir, *next_s, pipes[1]);
	}
	close(pipes[1]);
	/* not before the first one, or a run may say nothing */
	if (read(pipes[0], &said, sizeof(said)) == sizeof(said)) {
		last = said;
		++*acknowledged;
	}
	nanosleep(&wait, NULL);
	kill(pid, SIGKILL);
	while (read(pipes[0], &said, sizeof(said)) == sizeof(said)) {
		CHECK(said == last + 10, "%lld after %lld", (long long)said, (long long)last);
		last = said;
		++*acknowledged;
	}
	close(pipes[0]);
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %x", (unsigned)status);
	doubts->at[doubts->nr++] = last + 10;
	check_store(dir, from_s, last, doubts, next_s);
}

static void kills(const char *dir, unsigned nr, uint64_t seed)
{
	uint64_t random = seed, acknowledged = 0;
	int64_t from_s = T0, next_s = T0;
	struct doubts doubts = {0};
	int before = failures;

	for (unsigned i = 0; i < nr && failures - before < 10; i++) {
		if (i && i % 20 == 0) { /* a new store, so that checking it stays short */
			model_remove_all(dir);
			if (mkdir(dir, 0700))
				abort();
			/* shortly before midnight: a day ends while it is written */
			from_s = next_s = T0 + (int64_t)(i / 20) * 86400 - 6000;
			doubts.nr = 0;
		}
		kill_one(dir, from_s, &next_s, &doubts, &random, &acknowledged);
	}
	printf("%-8s %u kills (seed %llu): %llu acknowledged intervals are there\n",
	       failures == before ? "PASS" : "FAIL", nr, (unsigned long long)seed,
	       (unsigned long long)acknowledged);
}

/* ---- disks */

struct disk {
	char dir[128], data[160];
	struct store *store;
	int64_t time_s;
	char note[512];
};

static void keep_note(const char *text, void *ctx)
{
	struct disk *disk = ctx;

	snprintf(disk->note, sizeof(disk->note), "%s", text);
}

static void disk_mount(struct disk *disk, const char *dir, const char *options)
{
	struct store_config config = {.dir = disk->data, .note = keep_note, .ctx = disk};

	memset(disk, 0, sizeof(*disk));
	snprintf(disk->dir, sizeof(disk->dir), "%s/disk", dir);
	snprintf(disk->data, sizeof(disk->data), "%s/data", disk->dir);
	mkdir(disk->dir, 0700);
	if (mount("wsvitals-test", disk->dir, "tmpfs", 0, options)) {
		perror("cannot mount a tmpfs (root?)");
		exit(1);
	}
	if (mkdir(disk->data, 0700) || store_new(&config, &disk->store))
		abort();
	disk->time_s = T0;
}

static void disk_unmount(struct disk *disk)
{
	store_free(disk->store);
	if (umount2(disk->dir, MNT_DETACH))
		perror("umount");
}

static int put(struct disk *disk)
{
	int err = store_write(disk->store, make(disk->time_s));

	disk->time_s += 10;
	return err;
}

static struct store_state state_of(const struct disk *disk)
{
	struct store_state state;

	store_state(disk->store, &state);
	return state;
}

/* All that was written is readable, also while nothing can be written. */
static void expect_points(struct disk *disk, uint64_t want)
{
	struct seen seen = {0};
	int64_t step;
	int err = 0;

	for (int64_t at = T0; !err && at < disk->time_s + 10; at += 10000) {
		struct history_query query = {at, at + 10000, 10, {0}};

		err = store_history(disk->store, &query, check_point, &seen, &step);
	}
	CHECK(!err && !seen.wrong && seen.points == want, "%llu points, not %llu; %llu wrong; %s",
	      (unsigned long long)seen.points, (unsigned long long)want,
	      (unsigned long long)seen.wrong, strerror(-err));
}

/* So many bytes of the disk are somebody else's. -1: all that are left. */
static void ballast(const struct disk *disk, int64_t bytes)
{
	char path[160];
	struct statvfs st;
	int fd;

	snprintf(path, sizeof(path), "%s/ballast", disk->dir);
	unlink(path);
	if (!bytes)
		return;
	if (statvfs(disk->dir, &st))
		abort();
	if (bytes < 0)
		bytes = (int64_t)(st.f_bavail * st.f_frsize);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0 || posix_fallocate(fd, 0, bytes))
		abort();
	close(fd);
}

static void result(const char *what, int before)
{
	printf("%-8s %s\n", failures == before ? "PASS" : "FAIL", what);
}

static void the_last_tenth_is_left(const char *dir)
{
	struct disk disk;
	struct statvfs st;
	int before = failures, err = 0;
	uint64_t written;

	disk_mount(&disk, dir, "size=24m");
	while (!err && disk.time_s < T0 + 86400)
		err = put(&disk);
	CHECK(err == -ENOSPC, "%s", strerror(-err));
	if (statvfs(disk.dir, &st))
		abort();
	CHECK(st.f_bavail * 10 >= st.f_blocks, "%lu of %lu blocks are free",
	      (unsigned long)st.f_bavail, (unsigned long)st.f_blocks);
	CHECK(!state_of(&disk).available && strstr(state_of(&disk).reason, "10 % of the disk"),
	      "%s", state_of(&disk).reason);
	written = state_of(&disk).written;
	expect_points(&disk, written);
	disk_unmount(&disk);
	result("the last tenth of the disk is left to others", before);
}

static void a_disk_that_others_fill(const char *dir)
{
	struct disk disk;
	int before = failures;

	disk_mount(&disk, dir, "size=40m");
	for (int i = 0; i < 100; i++)
		CHECK(!put(&disk), "%s", state_of(&disk).reason);
	ballast(&disk, -1);
	for (int i = 0; i < 10; i++)
		CHECK(put(&disk) == -ENOSPC, "%s", state_of(&disk).reason);
	CHECK(!state_of(&disk).available, "still available");
	CHECK(state_of(&disk).since_ns == (T0 + 1010) * MODEL_NS_S, "since %lld",
	      (long long)state_of(&disk).since_ns);
	expect_points(&disk, 100);
	ballast(&disk, 0);
	CHECK(!put(&disk), "%s", state_of(&disk).reason);
	CHECK(state_of(&disk).available && !state_of(&disk).lost, "not available again");
	expect_points(&disk, 111);
	disk_unmount(&disk);
	result("a disk that others fill, and empty again", before);
}

/* The disk says no in the middle of a write: by a limit on the size of files, which statvfs does
 * not show. */
static void a_write_that_fails_half_way(const char *dir)
{
	struct rlimit limit = {0, RLIM_INFINITY}, free_again = {RLIM_INFINITY, RLIM_INFINITY};
	struct disk disk;
	int before = failures;
	unsigned refused = 0;

	signal(SIGXFSZ, SIG_IGN);
	disk_mount(&disk, dir, "size=100m");
	for (int i = 0; i < 50; i++)
		CHECK(!put(&disk), "%s", state_of(&disk).reason);
	for (rlim_t size = 4096; size < 2000000; size += 61440) {
		limit.rlim_cur = size;
		if (setrlimit(RLIMIT_FSIZE, &limit))
			abort();
		for (int i = 0; i < 3; i++)
			refused += put(&disk) != 0;
		if (setrlimit(RLIMIT_FSIZE, &free_again))
			abort();
		CHECK(!put(&disk), "%s", state_of(&disk).reason);
	}
	CHECK(refused > 10, "only %u writes were refused", refused);
	CHECK(!state_of(&disk).lost, "%llu lost", (unsigned long long)state_of(&disk).lost);
	CHECK(!state_of(&disk).damaged_files, "%llu set aside",
	      (unsigned long long)state_of(&disk).damaged_files);
	expect_points(&disk, (uint64_t)(disk.time_s - T0) / 10);
	disk_unmount(&disk);
	result("writes that fail half way", before);
}

static void no_inode_is_left(const char *dir)
{
	struct disk disk;
	int before = failures;
	char path[200];

	/* the directory, and two: a database and its log have no third for the index */
	disk_mount(&disk, dir, "size=100m,nr_inodes=4");
	for (int i = 0; i < 5; i++)
		CHECK(put(&disk) != 0, "written");
	CHECK(!state_of(&disk).available, "available");
	if (mount(NULL, disk.dir, "tmpfs", MS_REMOUNT, "nr_inodes=1000"))
		perror("remount");
	CHECK(!put(&disk), "%s", state_of(&disk).reason);
	expect_points(&disk, 6);
	snprintf(path, sizeof(path), "%s/raw-2025-11-25.db.new", disk.data);
	CHECK(access(path, F_OK), "%s is left", path);
	disk_unmount(&disk);
	result("no inode is left", before);
}

static void a_disk_that_becomes_read_only(const char *dir)
{
	struct disk disk;
	struct store_config config;
	struct store *reader;
	int before = failures;

	disk_mount(&disk, dir, "size=100m");
	for (int i = 0; i < 100; i++)
		CHECK(!put(&disk), "%s", state_of(&disk).reason);
	/* files that are open for writing forbid it: as after an error of the disk, they are not */
	store_free(disk.store);
	config = (struct store_config){.dir = disk.data, .note = keep_note, .ctx = &disk};
	if (mount(NULL, disk.dir, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL) ||
	    store_new(&config, &disk.store)) {
		perror("remount");
		exit(1);
	}
	for (int i = 0; i < 5; i++)
		CHECK(put(&disk) == -EROFS, "%s", state_of(&disk).reason);
	CHECK(!state_of(&disk).available && strstr(state_of(&disk).reason, "Read-only"), "%s",
	      state_of(&disk).reason);
	expect_points(&disk, 100);
	if (store_new(&config, &reader))
		abort();
	CHECK(!store_files(reader, true, check_file, NULL), "cannot check");
	store_free(reader);
	if (mount(NULL, disk.dir, "tmpfs", MS_REMOUNT, "size=100m"))
		perror("remount");
	CHECK(!put(&disk), "%s", state_of(&disk).reason);
	expect_points(&disk, 106);
	disk_unmount(&disk);
	result("a disk that becomes read-only, and writable again", before);
}

/* A log that was not copied back, on a disk that nobody can write to. */
static void a_killed_writer_on_a_read_only_disk(const char *dir)
{
	struct disk disk;
	int before = failures, status;
	pid_t pid;

	disk_mount(&disk, dir, "size=100m");
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		for (int i = 0; i < 60; i++)
			if (put(&disk))
				_exit(1);
		raise(SIGKILL);
	}
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status), "status %x", (unsigned)status);
	if (mount(NULL, disk.dir, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL))
		perror("remount");
	disk.time_s = T0 + 600;
	CHECK(put(&disk) == -EROFS, "%s", state_of(&disk).reason);
	CHECK(!state_of(&disk).damaged_files, "set aside");
	if (mount(NULL, disk.dir, "tmpfs", MS_REMOUNT, "size=100m"))
		perror("remount");
	CHECK(!put(&disk), "%s", state_of(&disk).reason);
	expect_points(&disk, 62);
	disk_unmount(&disk);
	result("a killed writer's log on a read-only disk", before);
}

/* ---- without privilege */

/* What the agent does with the store, in the agent's sandbox, first opens included. */
static int run_confined(struct disk *disk, const struct identity *identity, const char *run_dir)
{
	struct rows_query rows = {.from_s = T0,
				  .to_s = T0 + 86400,
				  .error = -1,
				  .limit = 100,
				  .sort = ROWS_BY_DURATION,
				  .search = "a"};
	struct rows_seen seen = {.ids = calloc(STEPS_MAX, sizeof(uint64_t))};
	struct store_config config = {.dir = disk->data, .note = keep_note, .ctx = disk};
	char error[512], path[200];
	int landlock, before = failures;
	size_t nr;
	int fd;

	if (sandbox_agent(identity, disk->data, run_dir, &landlock, error, sizeof(error))) {
		CHECK(false, "no sandbox: %s", error);
		return 1;
	}
	CHECK(!store_new(&config, &disk->store), "no store");
	for (int i = 0; i < 800; i++)
		CHECK(!put(disk), "%s", state_of(disk).reason);
	expect_points(disk, 800);
	CHECK(!store_connections(disk->store, &rows, check_row, &seen, &nr) && nr, "no rows");
	CHECK(!store_files(disk->store, true, check_file, NULL), "cannot check");
	/* a damaged file is renamed, a new one made, an old one removed */
	snprintf(path, sizeof(path), "%s/raw-2025-11-26.db", disk->data);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && !close(fd), "cannot make %s", path);
	disk->time_s = T0 + 86400;
	CHECK(!put(disk), "%s", state_of(disk).reason);
	CHECK(state_of(disk).damaged_files == 1, "not set aside");
	disk->time_s = T0 + 9 * 86400;
	for (int i = 0; i < 400; i++)
		CHECK(!put(disk), "%s", state_of(disk).reason);
	snprintf(path, sizeof(path), "%s/raw-2025-11-25.db", disk->data);
	CHECK(access(path, F_OK), "%s is still there", path);
	return failures != before;
}

static void in_the_agents_sandbox(const char *dir)
{
	struct disk disk;
	struct identity identity;
	char error[512], run_dir[160];
	int before = failures, status = 0;
	pid_t pid;

	disk_mount(&disk, dir, "size=200m,mode=0755");
	store_free(disk.store);
	disk.store = NULL;
	snprintf(run_dir, sizeof(run_dir), "%s/run", disk.dir);
	if (mkdir(run_dir, 0755) || chmod(dir, 0755) ||
	    identity_find(&identity, error, sizeof(error)) ||
	    chown(disk.data, identity.uid, identity.gid))
		abort();
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid)
		_exit(run_confined(&disk, &identity, run_dir));
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status), "status %x", (unsigned)status);
	disk_unmount(&disk);
	result("all of it in the agent's sandbox", before);
}

int main(int argc, char **argv)
{
	unsigned nr = argc > 1 ? (unsigned)atoi(argv[1]) : 20;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
	char dir[] = "/tmp/wsvitals-faults-XXXXXX", kills_dir[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!mkdtemp(dir))
		return 1;
	snprintf(kills_dir, sizeof(kills_dir), "%s/kills", dir);
	if (mkdir(kills_dir, 0700))
		return 1;
	kills(kills_dir, nr, seed | 1);
	model_remove_all(kills_dir);
	/* mounts of our own, which nobody else sees and which go with us */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		perror("FAIL     no mount namespace of our own (root?)");
		failures++;
	} else {
		the_last_tenth_is_left(dir);
		a_disk_that_others_fill(dir);
		a_write_that_fails_half_way(dir);
		no_inode_is_left(dir);
		a_disk_that_becomes_read_only(dir);
		a_killed_writer_on_a_read_only_disk(dir);
		in_the_agents_sandbox(dir);
	}
	model_remove_all(dir);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
