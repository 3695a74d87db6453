/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every map, with who writes it, how long an entry lives and why it is as large as it is; below
 * each its typed accessors. Nothing else in bpf/ calls a map helper.
 */
#ifndef WSVITALS_MAPS_BPF_H
#define WSVITALS_MAPS_BPF_H

#include "types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* The seam of ws.h: in the kernel, bytes come from the memory of the task that made the call. */
static __always_inline int ws_read(void *to, __u32 len, __u64 from)
{
	return bpf_probe_read_user(to, len, (const void *)from);
}

#include "accept.h"
#include "brief.h"
#include "event.h"
#include "http1.h"
#include "pair.h"
#include "resync.h"
#include "ws.h"

const volatile struct config config = {};
/* Bit n: listening port n is in scope; read when config.scope_ports. */
const volatile __u64 scope_port_bits[65536 / 64] = {};

/* Set by user space when all is attached: tracepoints are attached one by one, some milliseconds apart,
 * but both directions of a connection must begin to count at a time. */
__u32 counting;

/* ------------------------------------------------------------------------------------------ */

enum conn_state {
	CONN_NEW = 0,
	CONN_CANDIDATE, /* older than we are: its frames are looked for (resync.h) */
	CONN_IGNORED,   /* out of scope, or no WebSocket as far as we could see */
	CONN_HTTP,      /* requests that may lead to an upgrade */
	CONN_UPGRADING, /* an upgrade request is complete, its response is not */
	CONN_OPEN,      /* a WebSocket connection */
};

/* Set with atomic or: several programs may write them at a time. Bits 0..7 are 1 << enum cause. */
enum conn_bit {
	CONN_UPSTREAM = 1 << 8,         /* seen from the connecting side */
	CONN_CLOSED = 1 << 9,           /* closed was counted; open_ns holds the duration */
	CONN_HAS_CLOSE = 1 << 10,       /* close_code is valid */
	CONN_CLOSE_SERVER = 1 << 11,    /* … and the server sent that frame */
	CONN_LEFT = 1 << 12,            /* the first change away from ESTABLISHED was seen */
	CONN_VIOLATED_SERVER = 1 << 13, /* conn->violation is the server's */
	CONN_RESYNC = 1 << 14,          /* origin=resync */
	CONN_ENDED = 1 << 15,           /* the end was written: tcp_destroy_sock has two programs */
};

/* What the request side of an HTTP connection is doing (CONN_HTTP). */
enum http_mode {
	HTTP_IDLE = 0, /* the next byte begins a request */
	HTTP_GET,      /* inside the head of a request that began like GET; heads has it */
	HTTP_METHOD,   /* the same of another method */
	HTTP_BODY,     /* inside a body of http_body bytes more */
	HTTP_SKIP,     /* inside something whose end cannot be told, until the next response */
};

/*
 * All that is known of a socket. 184 bytes, because sk_storage rounds the next size up from 458 to
 * 722 bytes of kernel memory. Arrays are indexed by enum direction.
 */
struct conn {
	struct ws_stream ws[NR_DIRECTIONS];
	__u64 bytes[NR_DIRECTIONS]; /* payload of data frames */
	union {
		struct {
			__u64 wait_ns[2]; /* queue wait: when bytes met an empty queue; 0 = free */
			struct pair pair;
		};
		struct resync_held held[NR_DIRECTIONS]; /* CONN_CANDIDATE */
	};
	union {
		__u64 open_ns;   /* when the 101 was sent, or origin=resync was first seen; after
				  * CONN_CLOSED the duration */
		__u64 http_body; /* CONN_HTTP */
	};
	union {
		__u64 path_hash;            /* until CONN_CLOSED */
		struct outcome_key outcome; /* after it: what was counted as its end */
	};
	__u32 wait_seq[2]; /* … and the sequence number of the first such byte */
	union {
		__u32 messages[NR_DIRECTIONS]; /* data messages */
		struct {
			__u32 rearm_left; /* CONN_IGNORED: events until it is looked at again; 0 = never */
			__u32 rearm_next; /* … and for how many the time after that */
		};
	};
	__u32 seq[NR_DIRECTIONS];  /* sequence anchor: what the next event should begin with */
	__u32 lock[NR_DIRECTIONS]; /* try-lock of ws, seq, messages, bytes of the direction; [0] is
				    * that of both in CONN_NEW and CONN_CANDIDATE */
	__u32 wait_next;           /* rcv_nxt when data last became ready */
	__u32 brief_sum;           /* brief.h of its latencies, with pair.spare */
	__u32 bits;                /* enum conn_bit */
	union {
		__u32 ping_at; /* CONN_OPEN: server's ping without a pong, ns >> 6, 0 = none */
		struct {
			__u8 http_mode;  /* CONN_HTTP */
			__u8 http_ahead; /* responses owed to requests before the kept head */
			__u8 http_pad[2];
		};
	};
	__u16 close_code;
	__u16 channel;  /* slot; 0 = not named yet */
	__u8 state;     /* enum conn_state */
	__u8 server;    /* slot */
	__u8 violation; /* enum violation: the first */
	__u8 pings;     /* pings of the server without a pong: count_ping() */
};
_Static_assert(sizeof(struct conn) == 184, "see above");

/* Made at the first data event of a socket in scope; dies with the socket. No LRU: a live
 * connection is never pushed out. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct conn);
} conns SEC(".maps");

static __always_inline struct conn *conn_of(struct sock *sk)
{
	return bpf_sk_storage_get(&conns, sk, NULL, 0);
}

static __always_inline struct conn *conn_make(struct sock *sk)
{
	return bpf_sk_storage_get(&conns, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
}

/* ------------------------------------------------------------------------------------------ */

/*
 * An upgrade in flight. `open` and the used part of `text` are the record for user space as they
 * stand. text: the request's head, cut at REQUEST_MAX, then the response's, cut at RESPONSE_MAX;
 * the last NR_CHUNK bytes are where heads beyond these bounds are scanned.
 */
struct head {
	struct event_open open;
	__u8 text[REQUEST_MAX + RESPONSE_MAX + NR_CHUNK];
	struct server_key server; /* whom the request asks */
	struct http1 request;
	struct http1 response;
	__u64 read_ns;         /* when the request's last byte was read */
	struct ws_tally early; /* frames after the request, should it become a connection */
	__u64 early_bytes;
	__u64 early_ns;
};

/* From the first byte of a request that begins like "GET " to the end of its response, or of the
 * socket. Not preallocated: a bound of 16384 heads costs memory only while that many are open. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_HEADS);
	__type(key, __u64); /* address of the sock */
	__type(value, struct head);
} heads SEC(".maps");

/* Where a request's head is looked at first: most end in the event that they begin in and ask for no
 * upgrade, and of these nothing is kept. Too large for the stack; see struct run about sharing it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct head);
} fresh_head SEC(".maps");

static __always_inline struct head *head_of(struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&heads, &key);
}

static __always_inline struct head *head_fresh(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fresh_head, &zero);
}

/* All but the request's text and what is known of it, which whoever reads it begins with. */
static __always_inline void head_begin(struct head *head)
{
	__builtin_memset(&head->open, 0, sizeof(head->open));
	__builtin_memset(&head->server, 0, sizeof(head->server));
	__builtin_memset(&head->response, 0, sizeof(head->response));
	__builtin_memset(&head->early, 0, sizeof(head->early));
	head->read_ns = 0;
	head->early_bytes = 0;
	head->early_ns = 0;
}

/* 0, or why it cannot be kept. */
static __always_inline long head_keep(struct sock *sk, struct head *head)
{
	__u64 key = (__u64)sk;

	return bpf_map_update_elem(&heads, &key, head, BPF_ANY);
}

static __always_inline void head_drop_at(__u64 key)
{
	bpf_map_delete_elem(&heads, &key);
}

static __always_inline void head_drop(struct sock *sk)
{
	head_drop_at((__u64)sk);
}

/* ------------------------------------------------------------------------------------------ */

/* Host-wide losses and oddities; read by user space, never reset. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct book_fields);
} books SEC(".maps");

static __always_inline struct book_fields *books_here(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&books, &zero);
}

/* Atomic, because a softirq may count on top of a task's count on the same CPU. */
#define BOOK_ADD(field, n)                                                                         \
	do {                                                                                       \
		struct book_fields *book_ = books_here();                                          \
		if (book_)                                                                         \
			__sync_fetch_and_add(&book_->field, (n));                                  \
	} while (0)
#define BOOK(field) BOOK_ADD(field, 1)

/* ------------------------------------------------------------------------------------------ */

/* Listening addresses with WebSockets. Made at the first answer to an upgrade; an entry stays, so that a server that
 * restarts goes on in its slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SERVERS);
	__type(key, struct server_key);
	__type(value, struct server_info);
} servers SEC(".maps");

__u32 next_server = SLOT_FIRST;

/*
 * Upgrades in flight, by the hash of their Sec-WebSocket-Key: {key, 0} = the accepted socket, by its
 * cookie, that was the last to read a request with it; {key, tgid} = when that process had an answer
 * to an upstream leg with it. A proxy reads its client's request before the server behind it does, and
 * answers after it has been answered, so what it has to know of a connection is here when it opens.
 * Not by the server's own answer: TCP hands that on before the write that carries it returns. Of these,
 * LRU forgets none before many thousands of others; what it has forgotten by then counts as a
 * conversation of its own.
 */
struct leg_key {
	__u64 key_hash;
	__u32 tgid;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct leg_key);
	__type(value, __u64);
} legs SEC(".maps");

static __always_inline void leg_set(__u64 key_hash, __u32 tgid, __u64 value)
{
	struct leg_key key = {.key_hash = key_hash, .tgid = tgid};

	bpf_map_update_elem(&legs, &key, &value, BPF_ANY);
}

/* 0 = there is none */
static __always_inline __u64 leg_of(__u64 key_hash, __u32 tgid)
{
	struct leg_key key = {.key_hash = key_hash, .tgid = tgid};
	__u64 *value = bpf_map_lookup_elem(&legs, &key);

	return value ? *value : 0;
}

/* The hot path's counters. Per CPU: plain adds, no shared cache line. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SERVERS);
	__type(key, __u32);
	__type(value, struct server_counters);
} server_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_SERVERS);
	__type(key, __u32);
	__type(value, struct server_hists);
} server_hists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_SERVERS);
	__type(key, __u32);
	__type(value, struct server_rare);
} server_rare SEC(".maps");

static __always_inline struct server_counters *counters_of(__u32 slot)
{
	return bpf_map_lookup_elem(&server_counters, &slot);
}

static __always_inline struct server_hists *hists_of(__u32 slot)
{
	return bpf_map_lookup_elem(&server_hists, &slot);
}

static __always_inline struct server_rare *rare_of(__u32 slot)
{
	return bpf_map_lookup_elem(&server_rare, &slot);
}

/* Which slot a path has; written by user space, which applies the naming rules. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_CHANNELS * 16); /* many paths may share a name */
	__type(key, struct channel_key);
	__type(value, __u16);
} channels SEC(".maps");

/* Shared and atomic: per CPU, 1024 channels on 64 CPUs would take 280 MB. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_CHANNELS);
	__type(key, __u32);
	__type(value, struct channel_stats);
} channel_stats SEC(".maps");

static __always_inline __u16 channel_lookup(__u32 server, __u64 path_hash)
{
	struct channel_key key = {.path_hash = path_hash, .server = server};
	__u16 *slot = bpf_map_lookup_elem(&channels, &key);

	return slot ? *slot : 0;
}

static __always_inline struct channel_stats *channel_of(__u32 slot)
{
	return slot ? bpf_map_lookup_elem(&channel_stats, &slot) : NULL;
}

/* How connections and upgrades ended. Close codes come from strangers, so the table is bounded. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_OUTCOMES);
	__type(key, struct outcome_key);
	__type(value, __u64);
} outcomes SEC(".maps");

__u32 nr_codes[MAX_SERVERS]; /* how many entries of each server count against MAX_CODES */

/* SPEC 3 knows what it means. */
static __always_inline int outcome_code_is_named(__u16 code)
{
	return code < 1016 || code == 3000 || code == 3003 || code == 4029 || code == 4401 ||
	       code == 4403 || code == 4429;
}

/* A client closes with whatever code it likes: it may fill a bounded part of the table, not that of the
 * other servers. */
static __always_inline void outcome_bound(struct outcome_key *key)
{
	__u32 server = key->server;

	if (key->kind != OUTCOME_CLOSE || outcome_code_is_named(key->code) ||
	    server >= MAX_SERVERS || bpf_map_lookup_elem(&outcomes, key))
		return;
	if (nr_codes[server] < MAX_CODES)
		__sync_fetch_and_add(&nr_codes[server], 1);
	else
		key->code = key->code < 3000 ? CLOSE_OTHER : CLOSE_OTHER_APPLICATION;
}

static __always_inline void outcome_add(struct outcome_key *key)
{
	__u64 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&outcomes, key);

	if (!count) {
		/* NOEXIST: another CPU may have been first, and its count must not be lost */
		bpf_map_update_elem(&outcomes, key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&outcomes, key);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		BOOK(outcomes_full);
}

static __always_inline void outcome_take_back(struct outcome_key *key)
{
	__u64 *count = bpf_map_lookup_elem(&outcomes, key);

	if (count)
		__sync_fetch_and_add(count, -1);
}

/* Processes whose accepted sockets cannot be followed, for `doctor`: bounded, first come; what finds no
 * room is in the books all the same. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_UNSEEN);
	__type(key, struct unseen_key);
	__type(value, __u64);
} unseen SEC(".maps");

static __always_inline void unseen_add(__u32 tgid, __u32 reason)
{
	struct unseen_key key = {.tgid = tgid, .reason = reason};
	__u64 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&unseen, &key);

	if (!count) {
		bpf_map_update_elem(&unseen, &key, &zero, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&unseen, &key);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
}

/* ------------------------------------------------------------------------------------------ */

/* Values of the scope's options; written before attaching, scope_pids also by the fork hook. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SCOPE_PIDS);
	__type(key, __u32); /* tgid */
	__type(value, __u8);
} scope_pids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SCOPE);
	__uint(key_size, COMM_LEN);
	__type(value, __u8);
} scope_comms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SCOPE);
	__type(key, __u64); /* cgroup id */
	__type(value, __u8);
} scope_cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SCOPE);
	__type(key, __u32); /* inode of the namespace */
	__type(value, __u8);
} scope_netns SEC(".maps");

/* ------------------------------------------------------------------------------------------ */

/* Where a task is in a call that moves several messages (vector.bpf.h). Made at the first such call
 * of a task on a socket in scope; dies with the task. */
struct vector {
	__u64 sk;
	__u64 vec;  /* the user's array */
	__u32 next; /* index of the next message; 0 = the next event begins a call */
	__u32 len;  /* what the kernel writes into the entry before */
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct vector);
} vectors SEC(".maps");

static __always_inline struct vector *vector_of(struct task_struct *task, int make)
{
	if (!make)
		return bpf_task_storage_get(&vectors, task, NULL, 0);
	return bpf_task_storage_get(&vectors, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* What is known of a Unix stream socket at once: whether its state is kept. Made at its first data
 * event; dies with the socket, which is how user space's walk sees that the socket lives, in whatever
 * network namespace, descriptor table or message in flight it is. */
struct unix_mark {
	__u32 kept;
};
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct unix_mark);
} unix_marks SEC(".maps");

static __always_inline struct unix_mark *unix_mark_of(struct sock *sk, int make)
{
	return bpf_sk_storage_get(&unix_marks, sk, NULL, make ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}

/* States of Unix sockets by the sock's address, made with a mark; ended and deleted by the walk that
 * finds no living socket with it, at the latest by the next socket at the address (unix.bpf.h). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_UNIX);
	__type(key, __u64);
	__type(value, struct conn);
} unix_conns SEC(".maps");

/* Beside each of them: what only its end needs. */
struct unix_owner {
	__u64 id; /* socket cookie */
	__u32 tgid;
	__u32 epoch; /* of the walk that last saw the socket */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_UNIX);
	__type(key, __u64);
	__type(value, struct unix_owner);
} unix_owners SEC(".maps");

__u32 unix_epoch; /* counted up by user space before a walk */
__u32 unix_any;   /* there was one once: no walk before */

struct unix_new {
	__u64 key; /* the sock's address */
	__u64 id;
	__u32 tgid;
	__u32 bits; /* of the state */
};

/* 0 when there is no room. A function of its own, because a whole state is more than its callers' stacks
 * have left; what it takes is in memory, because Linux 6.12 lets no address of a sock be an argument. */
__noinline int unix_make(struct unix_new *new)
{
	struct unix_owner owner = {.epoch = unix_epoch};
	struct conn conn = {};
	__u64 key;

	if (!new) /* the verifier knows no caller here */
		return 0;
	key = new->key;
	owner.id = new->id;
	owner.tgid = new->tgid;
	conn.bits = new->bits;
	unix_any = 1;
	if (bpf_map_update_elem(&unix_owners, &key, &owner, BPF_ANY) ||
	    bpf_map_update_elem(&unix_conns, &key, &conn, BPF_ANY)) {
		bpf_map_delete_elem(&unix_owners, &key);
		BOOK(unix_full);
		return 0;
	}
	return 1;
}

/* The requests of io_uring that a task has issued last (uring.bpf.h). Made at a task's first one;
 * dies with the task. 64, because a socket that becomes ready while its request is about to wait is
 * served after the others of the same submission, and nothing tells of it. */
#define ISSUED_MAX 64
struct issuer {
	__u64 request[ISSUED_MAX];
	__u32 next;
	__u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct issuer);
} issuers SEC(".maps");

static __always_inline struct issuer *issuer_of(struct task_struct *task, int make)
{
	if (!make)
		return bpf_task_storage_get(&issuers, task, NULL, 0);
	return bpf_task_storage_get(&issuers, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

/* The request that waits for a socket. Written when a request is armed, dropped with a TCP socket; what
 * a Unix socket leaves is found wrong when it is looked at, and written over when the address is used
 * again. Bound: sockets with a request that waits. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ARMED);
	__type(key, __u64); /* address of the sock, + 1 for sending */
	__type(value, __u64);
} armed SEC(".maps");

__u32 armed_any; /* something was armed once: no look at the table before */

static __always_inline __u64 armed_of(__u64 sk, __u32 wire)
{
	__u64 key = sk + wire;
	__u64 *request = bpf_map_lookup_elem(&armed, &key);

	return request ? *request : 0;
}

static __always_inline void armed_set(__u64 sk, __u32 wire, __u64 request)
{
	__u64 key = sk + wire;

	armed_any = 1;
	if (bpf_map_update_elem(&armed, &key, &request, BPF_ANY))
		BOOK(armed_full);
}

static __always_inline void armed_drop(struct sock *sk)
{
	__u64 key = (__u64)sk;

	if (!armed_any)
		return;
	bpf_map_delete_elem(&armed, &key);
	key++;
	bpf_map_delete_elem(&armed, &key);
}

/* Scratch of one run of a data program. Per CPU and direction: these programs run in task context
 * with preemption off, and neither can interrupt the other. */
struct run {
	__u64 left; /* bytes of this event still to look at */
	__u64 base; /* where they are: the current segment … */
	__u64 seg_len;
	__u64 iov; /* … and the segments after it, as an array of struct iovec */
	__u32 nr_iov;
	__u32 iov_is_kernels; /* the array, not what it points to, is in the kernel's memory */
	__u64 now;
	int message; /* which one of a call that moves several; -1 = cannot be told */
	__u64 sk; /* the event's socket and its file, as numbers: functions of their own take … */
	__u64 file; /* … no pointers that the verifier would have to trust */
	__u64 id;   /* … and its cookie */
	struct ws_tally tally;
	/* of a connection that has just opened: the frames that came before the answer, if bytes did */
	struct ws_tally early;
	__u64 early_bytes;
	__u64 early_ns;
	/* late.bpf.h: what it needs of the event's socket … */
	__s64 gap; /* as from stream_anchor */
	struct server_key server;
	__u32 rcv_nxt;
	/* … and what it works on, which would be too much for the stack */
	struct server_info fresh;
	struct resync_piece piece;
	struct resync_held opened[NR_DIRECTIONS]; /* what a candidate held that is none now */
	struct resync_held held; /* of a stream that is looked for again: nobody wants it */
	__u8 scratch[WS_SCRATCH];
	struct accept_work work;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_DIRECTIONS);
	__type(key, __u32);
	__type(value, struct run);
} runs SEC(".maps");

static __always_inline struct run *run_here(__u32 wire)
{
	return bpf_map_lookup_elem(&runs, &wire);
}

/* Where the event's bytes are: an array of struct iovec of the user … */
static __always_inline int run_iov(struct run *run, __u64 iov, __u64 nr)
{
	run->iov = iov;
	run->nr_iov = (__u32)nr;
	run->iov_is_kernels = 0;
	run->seg_len = 0;
	return 0;
}

/* … or one buffer. */
static __always_inline int run_buffer(struct run *run, __u64 base, __u64 len)
{
	run->base = base;
	run->seg_len = len;
	run->nr_iov = 0;
	return 0;
}

/* Records for user space. 2 MB hold some 2000 openings with their heads, or 20 000 closings. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} events SEC(".maps");

#endif
