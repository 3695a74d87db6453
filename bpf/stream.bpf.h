/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The state machine of a connection: HTTP -> WebSocket, one event at a time. In: a socket, a
 * direction, a number of bytes and where they are (tap.bpf.h). Out: counts in maps, records
 * (emit.bpf.h). It cannot see bytes of calls whose buffers tap.bpf.h does not find; these are gaps.
 */
#ifndef WSVITALS_STREAM_BPF_H
#define WSVITALS_STREAM_BPF_H

#include "count.bpf.h"
#include "emit.bpf.h"
#include "scope.bpf.h"
#include "tap.bpf.h"
#include "unix.bpf.h"

#define STREAM_STEPS                                                                               \
	(1 << 16)      /* frames and segments of one event; beyond that the boundary is lost */
#define HEAD_STEPS 256 /* chunks of heads in one event */

/* What the loops below share. Pointers must live on the stack: a map cannot hold them. */
struct step {
	struct sock *sk;
	struct conn *conn;
	struct run *run;
	struct head *head; /* fresh_head, for requests */
	__u32 direction;
	__u16 in_head; /* how many of the event's next bytes stand in head->text already */
	__u8 fresh;    /* head->request is this socket's, and not in the table of heads yet */
	__u8 upgrades; /* it, or the one in the table, is complete and asks for an upgrade */
};

/* ------------------------------------------------------------------------------------------ */
/* Frames */

struct frames {
	struct conn *conn;
	struct run *run;
	__u32 direction;
};

static long frame_step(__u64 i, struct frames *frames)
{
	/* on the stack: into other memory the kernel first asks what is there (usercopy checks) */
	__u8 scratch[WS_SCRATCH] = {};
	struct run *run = frames->run;
	struct conn *conn = frames->conn;
	__u32 direction = frames->direction & 1;
	struct ws_stream *ws = &conn->ws[direction];
	long len;
	__u64 taken;

	if (!run->left)
		return 1;
	len = tap_piece(run);
	if (len < 0) {
		/* a reader that changed its own iovecs, or memory that is gone */
		BOOK(read_failed);
		ws_gap(ws, &run->tally, run->left);
		run->left = 0;
		return 1;
	}
	if (!len)
		return 0;
	taken = ws_step(ws, &run->tally, scratch, run->base, len, direction);
	/* both sides send a close frame; the reason is in the first */
	if (run->tally.close_len && (!(conn->bits & CONN_HAS_CLOSE) ||
				     !!(conn->bits & CONN_CLOSE_SERVER) == (direction == SENT)))
		emit_reason(&run->tally, run->id, run->now,
			    direction == RECEIVED ? BY_CLIENT : BY_SERVER);
	tap_take(run, taken);
	return 0;
}

/* The rest of the event is frames (or, on an upgrade in flight, will have been). A function of its own
 * to the verifier, so that it is looked at once. */
__noinline int stream_frames(struct conn *conn, struct run *run, __u32 direction)
{
	struct frames frames = {.conn = conn, .run = run, .direction = direction};
	struct ws_stream *ws;
	__u8 before;

	if (!conn || !run) /* the verifier knows no caller here */
		return 0;
	ws = &conn->ws[direction & 1];
	before = ws->flags;
	/* nearly always it is one frame, for which a loop costs too much */
	if (run->left)
		frame_step(0, &frames);
	if (run->left)
		bpf_loop(STREAM_STEPS, frame_step, &frames, 0);
	if (run->left) {
		BOOK(frames_capped);
		ws_lose(ws);
		run->tally.gap += run->left;
		run->left = 0;
	}
	if (run->tally.unread)
		BOOK_ADD(read_failed, run->tally.unread);
	if (ws->flags & WS_UNKNOWN & ~before)
		BOOK(desync);
	return 0;
}

/* ------------------------------------------------------------------------------------------ */
/* Heads */

struct scan {
	struct http1 *http;
	struct head *head;
	__u32 at;
	__u32 n;
	__u32 kind;
	__u32 taken;
};

static long scan_step(__u32 i, struct scan *scan)
{
	__u32 at = scan->at + scan->taken;

	if (scan->taken >= scan->n)
		return 1;
	if (scan->taken + 8 <= scan->n && at <= sizeof(scan->head->text) - 8) {
		__u32 passed = http1_pass(scan->http, *(__u64 *)(scan->head->text + at));

		scan->taken += passed;
		if (passed)
			return 0;
	}
	if (at >= sizeof(scan->head->text))
		return 1;
	scan->taken++;
	return !http1_byte(scan->http, scan->head->text[at], scan->kind);
}

/* Scans n bytes of head->text; returns how many it took. A function of its own to the verifier, which
 * would else follow each way through a head for each way that leads to one. */
__noinline int head_scan(struct head *head, __u32 at, __u32 n, __u32 kind)
{
	struct scan scan = {.head = head, .at = at, .n = n, .kind = kind};

	if (!head)
		return 0;
	scan.http = kind == HTTP1_RESPONSE ? &head->response : &head->request;
	bpf_loop(n, scan_step, &scan, 0);
	return (int)scan.taken;
}

/*
 * Copies the next chunk of a head beside what is kept of it, unless in_head bytes of it stand there
 * already, and scans it. Returns the bytes taken; 0 when memory could not be read. kept: where in text
 * this head begins; max: bytes kept of it.
 */
static __always_inline __u32 head_chunk(struct run *run, struct head *head, struct http1 *http,
					__u32 kept, __u32 max, __u32 kind, __u64 len, __u32 in_head)
{
	__u32 n = len < NR_CHUNK ? (__u32)len : NR_CHUNK;
	__u32 at = http->len < max ? http->len : max;

	if (http->len < max && n > max - http->len)
		n = max - http->len; /* a chunk is either kept or beyond the bound */
	at += kept;
	KEEP(at);
	KEEP(n);
	if (at > REQUEST_MAX + RESPONSE_MAX || n > NR_CHUNK || !n)
		return 0;
	if (in_head)
		n = in_head;
	else if (ws_read(head->text + at, n, run->base))
		return 0;
	return (__u32)head_scan(head, at, n, kind);
}

/* Whether these bytes could begin a GET, begin another method, or neither. */
enum http_begin { BEGIN_GET, BEGIN_METHOD, BEGIN_OTHER };

/* A server's socket that cannot be followed; a client's is no loss. */
static __always_inline void not_seen(struct conn *conn, __u32 reason)
{
	if (!(conn->bits & CONN_UPSTREAM))
		unseen_add(bpf_get_current_pid_tgid() >> 32, reason);
}

static __always_inline enum http_begin http_begin(struct conn *conn, const __u8 *b, __u32 n)
{
	if (b[0] == 'G' && (n < 2 || b[1] == 'E') && (n < 3 || b[2] == 'T') &&
	    (n < 4 || b[3] == ' '))
		return BEGIN_GET;
	if (b[0] == 0x16 && (n < 2 || b[1] == 3)) {
		BOOK(tls);
		not_seen(conn, UNSEEN_TLS);
	}
	if (n >= 4 && b[0] == 'P' && b[1] == 'R' && b[2] == 'I' && b[3] == ' ') {
		BOOK(unsupported); /* HTTP/2 preface, RFC 9113 3.4 */
		not_seen(conn, UNSEEN_HTTP2);
		return BEGIN_OTHER;
	}
	for (int i = 0; i < 4; i++)
		if ((__u32)i < n && (b[i] < 'A' || b[i] > 'Z') && !(i == 3 && b[i] == ' '))
			return BEGIN_OTHER;
	return BEGIN_METHOD;
}

static __always_inline void owe_response(struct conn *conn)
{
	if (conn->http_ahead < 255)
		conn->http_ahead++;
}

/* The listening address of an accepted socket. *key is zero before. */
static __always_inline void server_key_of(struct sock *sk, struct server_key *key)
{
	key->netns = sock_netns(sk);
	if (sk->__sk_common.skc_family == AF_UNIX)
		unix_path(sk, key->path);
	else
		key->port = sk->__sk_common.skc_num;
}

/* Who is asked, and by whom: noted at the request, because at an early end the ports are gone. */
static __always_inline void head_who(struct head *head, struct sock *sk, struct conn *conn)
{
	struct task_struct *task = bpf_get_current_task_btf();

	head->open.tgid = task->tgid;
	head->open.netns = sock_netns(sk);
	head->open.cgroup = bpf_get_current_cgroup_id();
	head->open.path_hash = conn->path_hash;
	head->open.upstream = !!(conn->bits & CONN_UPSTREAM);
	bpf_core_read_str(head->open.comm, sizeof(head->open.comm), &task->group_leader->comm);
	endpoints_of(sk, &head->open.local, &head->open.peer);
	server_key_of(sk, &head->server);
}

static __always_inline struct server_info *server_find(const struct server_key *key)
{
	return bpf_map_lookup_elem(&servers, key);
}

/* What comes is no head: wait for the next response, and then for a request. */
static __always_inline void request_lost(struct conn *conn)
{
	conn->http_mode = HTTP_SKIP;
	owe_response(conn);
}

/* The head is over, or none; of another one the table may hold the beginning. */
static __always_inline void request_drop(struct step *step)
{
	if (!step->fresh)
		head_drop(step->sk);
	step->fresh = 0;
}

/* The first bytes of a request, or of something else. */
static __always_inline void request_begin(struct step *step, long len)
{
	enum http_begin begin = BEGIN_OTHER;
	struct conn *conn = step->conn;
	__u32 n = len < NR_CHUNK ? (__u32)len : NR_CHUNK;

	KEEP(n);
	if (n <= NR_CHUNK && !ws_read(step->head->text, n, step->run->base))
		begin = http_begin(conn, step->head->text, n);
	if (begin == BEGIN_OTHER) {
		/* garbage between requests, or no HTTP from the start */
		if (conn->state == CONN_NEW)
			conn->state = CONN_IGNORED;
		else
			request_lost(conn);
		return;
	}
	__builtin_memset(&step->head->request, 0, sizeof(step->head->request));
	step->in_head = n;
	step->fresh = 1;
	conn->state = CONN_HTTP;
	conn->http_mode = begin == BEGIN_GET ? HTTP_GET : HTTP_METHOD;
}

/* A request's head is complete and asks for no upgrade: its body, then the next request. */
static __always_inline void request_plain(struct step *step, struct http1 *request)
{
	struct conn *conn = step->conn;

	owe_response(conn);
	if (request->flags & HTTP1_CHUNKED) {
		conn->http_mode = HTTP_SKIP;
	} else if (request->body) {
		conn->http_mode = HTTP_BODY;
		conn->http_body = request->body;
	} else {
		conn->http_mode = HTTP_IDLE;
	}
	request_drop(step);
}

static __always_inline void request_upgrades(struct step *step, struct head *head)
{
	struct conn *conn = step->conn;
	struct server_info *info;

	if (step->fresh)
		head_begin(head);
	if (head->request.len > REQUEST_MAX)
		BOOK(heads_long);
	head->open.request_len = head->request.len < REQUEST_MAX ? head->request.len : REQUEST_MAX;
	head->read_ns = step->run->now;
	conn->path_hash = head->request.path_hash;
	head_who(head, step->sk, conn);
	info = server_find(&head->server);
	conn->server = info ? info->slot : SLOT_OTHER;
	step->upgrades = 1;
}

/* Of the Sec-WebSocket-Key, 16 random bytes in base64; 0 = there is none. */
static __always_inline __u64 key_hash_of(struct head *head)
{
	__u32 at = head->request.key_off;
	__u64 part[ACCEPT_KEY_LEN / sizeof(__u64)];
	__u64 hash = 0;

	if (!at || head->request.key_len != ACCEPT_KEY_LEN || at > REQUEST_MAX - ACCEPT_KEY_LEN)
		return 0;
	__builtin_memcpy(part, head->text + at, sizeof(part));
	for (int i = 0; i < 3; i++)
		hash = (hash ^ part[i]) * 0x9e3779b97f4a7c15ull;
	return hash | 1;
}

/* From now on the frames of the socket are looked for. */
static __always_inline void candidate_begin(struct conn *conn, __u64 now)
{
	__builtin_memset(conn->ws, 0, sizeof(conn->ws));
	__builtin_memset(conn->held, 0, sizeof(conn->held));
	conn->ws[RECEIVED].flags = WS_UNKNOWN;
	conn->ws[SENT].flags = WS_UNKNOWN;
	conn->open_ns = now;
	conn->state = CONN_CANDIDATE;
}

/* What has to wait for more, of the request or of its answer, goes to the table. */
static __always_inline void request_keep(struct step *step)
{
	struct conn *conn = step->conn;

	if (step->fresh) {
		if (!step->upgrades)
			head_begin(step->head);
		if (head_keep(step->sk, step->head)) {
			/* who asked stays unknown; frames may show what became of it */
			BOOK(heads_full);
			candidate_begin(conn, step->run->now);
			return;
		}
	}
	if (step->upgrades) {
		struct head *head = step->fresh ? step->head : head_of(step->sk);
		__u64 hash = head && !head->open.upstream ? key_hash_of(head) : 0;

		if (hash)
			leg_set(hash, 0, step->run->id);
		conn->http_mode = HTTP_IDLE;
		conn->state = CONN_UPGRADING;
	}
}

/* The request side while no upgrade is in flight. */
static long request_step(__u64 i, struct step *step)
{
	struct run *run = step->run;
	struct conn *conn = step->conn;
	struct head *head;
	__u32 taken, in_head;
	__u64 body;
	long len;

	if (!run->left || conn->state == CONN_IGNORED)
		return 1;
	len = tap_piece(run);
	if (len < 0)
		return 1;
	if (!len)
		return 0;
	switch (conn->http_mode) {
	case HTTP_SKIP:
		tap_take(run, len);
		return 0;
	case HTTP_BODY:
		body = (__u64)len < conn->http_body ? (__u64)len : conn->http_body;
		conn->http_body -= body;
		if (!conn->http_body)
			conn->http_mode = HTTP_IDLE;
		tap_take(run, body);
		return 0;
	case HTTP_IDLE:
		request_begin(step, len);
		return 0;
	}
	head = step->fresh ? step->head : head_of(step->sk);
	if (!head) {
		request_lost(conn);
		return 0;
	}
	in_head = step->in_head;
	step->in_head = 0;
	taken = head_chunk(run, head, &head->request, 0, REQUEST_MAX,
			   conn->http_mode == HTTP_GET ? HTTP1_REQUEST : HTTP1_ANY, len, in_head);
	if (!taken) {
		BOOK(read_failed);
		request_drop(step);
		request_lost(conn);
		return 0;
	}
	tap_take(run, taken);
	if (head->request.phase == HTTP1_OTHER) {
		request_drop(step);
		request_lost(conn);
	} else if (head->request.phase == HTTP1_END) {
		if (conn->http_mode == HTTP_GET && (head->request.flags & HTTP1_UPGRADE)) {
			request_upgrades(step, head);
			return 1;
		}
		request_plain(step, &head->request);
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------ */
/* The answer to an upgrade */

/* The slot of the listening address, made if this is its first connection and fewer than `most` are; fresh
 * says whose. */
static __always_inline __u32 server_slot_of(const struct server_key *key, struct server_info *fresh,
					    __u32 most)
{
	struct server_info *info = server_find(key);

	if (info)
		return info->slot;
	if (next_server >= most) {
		BOOK(servers_full);
		return SLOT_OTHER;
	}
	fresh->slot = __sync_fetch_and_add(&next_server, 1);
	if (fresh->slot >= MAX_SERVERS) {
		BOOK(servers_full);
		return SLOT_OTHER;
	}
	/* two CPUs may see a server's first upgrades at a time: the slot of the second is lost */
	bpf_map_update_elem(&servers, key, fresh, BPF_NOEXIST);
	info = server_find(key);
	return info ? info->slot : SLOT_OTHER;
}

/* Whoever reaches a port can have an upgrade refused there, so for refusals there is half of the table. */
static __always_inline __u32 server_slot(struct head *head, __u16 status, __u64 now)
{
	__u32 most = status == 101 ? MAX_SERVERS : MAX_SERVERS / 2;
	struct server_info fresh = {.first_ns = now};

	if (head->open.upstream)
		return SLOT_UPSTREAM;
	fresh.tgid = head->open.tgid;
	fresh.cgroup = head->open.cgroup;
	__builtin_memcpy(fresh.comm, head->open.comm, sizeof(fresh.comm));
	return server_slot_of(&head->server, &fresh, most);
}

/* The same without a head: the process that is reading or writing is the server's. */
static __always_inline __u32 server_slot_now(struct run *run)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct server_info *fresh = &run->fresh;

	__builtin_memset(fresh, 0, sizeof(*fresh));
	fresh->first_ns = run->now;
	fresh->tgid = task->tgid;
	fresh->cgroup = bpf_get_current_cgroup_id();
	bpf_core_read_str(fresh->comm, sizeof(fresh->comm), &task->group_leader->comm);
	return server_slot_of(&run->server, fresh, MAX_SERVERS);
}

/* 1 when both values are there and do not belong together. */
static __always_inline int accept_is_wrong(struct run *run, struct head *head)
{
	__u32 key = head->request.key_off;
	__u32 accept = head->open.request_len + head->response.key_off;

	if (!head->request.key_off || head->request.key_len != ACCEPT_KEY_LEN ||
	    key > REQUEST_MAX - ACCEPT_KEY_LEN)
		return 0; /* nothing to check against, or it was cut away */
	if (head->response.key_off > RESPONSE_MAX - ACCEPT_LEN)
		return 0;
	if (!head->response.key_off || head->response.key_len != ACCEPT_LEN)
		return 1;
	if (accept > REQUEST_MAX + RESPONSE_MAX)
		return 0;
	return !accept_fits(&run->work, head->text + key, head->text + accept);
}

/*
 * An upgrade has its answer. Of an accepted one: is it one that its process has passed on, since it read
 * the request, to a server that is watched? The same key alone says nothing: some clients have but one.
 */
static __always_inline void head_answered(struct head *head, struct run *run)
{
	__u64 hash = key_hash_of(head);
	__u64 reader;

	if (!hash)
		return;
	if (head->open.upstream) {
		leg_set(hash, head->open.tgid, run->now);
		return;
	}
	reader = leg_of(hash, 0);
	if (reader && reader != run->id && leg_of(hash, head->open.tgid) >= head->read_ns) {
		head->open.proxy = 1;
		head->server.proxy = 1;
	}
}

static __always_inline void stream_refused(struct step *step, struct head *head, __u16 status)
{
	struct conn *conn = step->conn;
	struct outcome_key key = {.kind = OUTCOME_REFUSED, .code = status, .initiator = BY_SERVER};

	head_answered(head, step->run);
	key.server = server_slot(head, status, step->run->now);
	head->open.server = key.server;
	head->open.status = status;
	head->open.handshake_ns = step->run->now - head->read_ns;
	outcome_add(&key);
	emit_head(head, EVENT_REFUSED, step->run->id, step->run->now);
	head_drop(step->sk);
	__builtin_memset(conn->ws, 0, sizeof(conn->ws));
	conn->http_mode = HTTP_IDLE;
	conn->http_ahead = 0;
	conn->state = CONN_HTTP;
}

static __always_inline void stream_open(struct step *step, struct head *head)
{
	struct conn *conn = step->conn;
	struct sock *sk = step->sk;
	struct run *run = step->run;
	struct tcp_sock *tp;

	head_answered(head, run);
	conn->server = server_slot(head, 101, run->now);
	conn->channel = channel_lookup(conn->server, conn->path_hash);
	conn->ping_at = 0;
	if (head->response.flags & HTTP1_EXTENDED) {
		conn->ws[RECEIVED].flags |= WS_EXTENDED;
		conn->ws[SENT].flags |= WS_EXTENDED;
	}
	tp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	if (tp)
		conn->wait_next = tp->rcv_nxt;
	conn->open_ns = run->now;
	head->open.server = conn->server;
	head->open.status = 101;
	head->open.handshake_ns = run->now - head->read_ns;
	count_open(conn, run->now - head->read_ns);
	emit_head(head, EVENT_OPEN, run->id, run->now);
	/* from here on the other direction counts for itself; what it brought before is in early */
	conn->state = CONN_OPEN;
	run->early = head->early;
	run->early_bytes = head->early_bytes;
	run->early_ns = head->early_ns;
	head_drop(sk);
}

/* The response side while an upgrade is in flight. */
static long response_step(__u64 i, struct step *step)
{
	struct run *run = step->run;
	struct conn *conn = step->conn;
	struct head *head = head_of(step->sk);
	struct http1 *r;
	__u32 taken;
	long len;

	if (!run->left || !head)
		return 1;
	len = tap_piece(run);
	if (len < 0)
		return 1;
	if (!len)
		return 0;
	r = &head->response;
	taken = head_chunk(run, head, r, head->open.request_len & 0x1fff, RESPONSE_MAX,
			   HTTP1_RESPONSE, len, 0);
	if (!taken) {
		BOOK(read_failed);
		return 1;
	}
	tap_take(run, taken);
	if (r->phase == HTTP1_OTHER) { /* the body of an earlier response */
		__builtin_memset(r, 0, sizeof(*r));
		return 1;
	}
	if (r->phase != HTTP1_END)
		return 0;
	if (r->len > RESPONSE_MAX)
		BOOK(heads_long);
	head->open.response_len = r->len < RESPONSE_MAX ? r->len : RESPONSE_MAX;
	if (r->status == 101 && (r->flags & HTTP1_UPGRADE)) {
		head->open.accept_wrong = accept_is_wrong(run, head);
		if (head->open.accept_wrong)
			stream_refused(step, head, 101);
		else
			stream_open(step, head);
		return 1;
	}
	if (r->status < 200) { /* interim, RFC 9110 15.2: the answer is still to come */
		__builtin_memset(r, 0, sizeof(*r));
		head->open.response_len = 0;
		return 0;
	}
	if (conn->http_ahead) { /* the answer to a request before this one */
		conn->http_ahead--;
		__builtin_memset(r, 0, sizeof(*r));
		head->open.response_len = 0;
		return 1;
	}
	stream_refused(step, head, r->status);
	return 1;
}

/* The response side while none is: only where responses begin matters. */
static __always_inline void stream_response_start(struct step *step)
{
	struct run *run = step->run;
	struct conn *conn = step->conn;
	__u8 b[12] = {};
	long len = tap_piece(run);

	/* a segment of another size than the whole first line is not worth the trouble: such
	 * servers answer in order anyway */
	if (len < (long)sizeof(b) || ws_read(b, sizeof(b), run->base))
		return;
	if (b[0] != 'H' || b[1] != 'T' || b[2] != 'T' || b[3] != 'P' || b[4] != '/' || b[9] == '1')
		return;
	if (conn->http_ahead)
		conn->http_ahead--;
	if (conn->http_mode == HTTP_SKIP)
		conn->http_mode = HTTP_IDLE;
}

static __always_inline void stream_early(struct step *step, __u64 bytes)
{
	struct head *head = head_of(step->sk);
	struct ws_tally *t = &step->run->tally;

	if (!head)
		return;
	head->early.header += t->header;
	head->early.payload += t->payload;
	head->early.data += t->data;
	head->early.gap += t->gap;
	head->early.started += t->started;
	head->early.ended += t->ended;
	head->early.text += t->text;
	head->early.binary += t->binary;
	head->early.ping += t->ping;
	head->early.pong += t->pong;
	head->early.close += t->close;
	if (t->violation && !head->early.violation)
		head->early.violation = t->violation;
	if (t->close_told) {
		head->early.close_told = 1;
		head->early.close_code = t->close_code;
	}
	head->early_bytes += bytes;
	head->early_ns = step->run->now;
}

/* A request is in what is left of an event that is looked at no further: nothing of it is known, but a
 * WebSocket shows itself by its frames. */
static __always_inline void request_cut(struct step *step)
{
	struct run *run = step->run;

	BOOK(frames_capped);
	head_drop(step->sk);
	run->left = 0;
	candidate_begin(step->conn, run->now);
}

/* HTTP comes first, then whatever of the event is left is frames. */
static __always_inline void stream_http(struct step *step)
{
	struct conn *conn = step->conn;
	struct run *run = step->run;
	__u64 before;

	if (step->direction == RECEIVED) {
		if (conn->state != CONN_UPGRADING) {
			step->head = head_fresh();
			if (!step->head)
				return;
			bpf_loop(HEAD_STEPS, request_step, step, 0);
			if (conn->state == CONN_HTTP && run->left && !step->upgrades)
				request_cut(step);
			else
				request_keep(step);
		}
		if (conn->state == CONN_UPGRADING && run->left) {
			before = run->left;
			stream_frames(conn, run, step->direction);
			stream_early(step, before);
		}
		return;
	}
	if (conn->state == CONN_UPGRADING) {
		run->early_bytes = 0;
		bpf_loop(HEAD_STEPS, response_step, step, 0);
		if (run->early_bytes)
			count_tally(conn, &run->early, RECEIVED, run->early_bytes, run->early_ns);
		if (conn->state == CONN_OPEN && run->left) {
			before = run->left;
			stream_frames(conn, run, step->direction);
			count_tally(conn, &run->tally, SENT, before, run->now);
		}
	} else if (conn->http_ahead || conn->http_mode == HTTP_SKIP) {
		stream_response_start(step);
	}
}

/* ------------------------------------------------------------------------------------------ */
/* One event */

/*
 * Whether more than these n bytes have passed on the socket, in either direction. The kernel's
 * counts may move while we look; the mistake is small, and costs a look at a socket that is new.
 */
static __always_inline int sock_is_old(struct sock *sk, __u32 n)
{
	struct tcp_sock *tp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	__u64 read, written;

	if (!tp)
		return 0;
	read = tp->bytes_received - (__u32)(tp->rcv_nxt - tp->copied_seq);
	written = tp->bytes_acked + (__u32)(tp->write_seq - tp->snd_una);
	/* connecting, the SYN was acknowledged too (net/ipv4/tcp_input.c, tcp_snd_una_update) */
	if (!sk->sk_max_ack_backlog && written)
		written--;
	return read + written > n;
}

/* First sight of a socket: is it ours at all? NULL when nothing is to be kept. */
static __always_inline struct conn *stream_first(struct sock *sk, __u32 wire, __u32 n)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u16 family = sk->__sk_common.skc_family;
	struct conn *conn;
	int upstream;

	if ((family != AF_INET && family != AF_INET6) || sk->sk_type != SOCK_STREAM)
		return NULL;
	/* an accepted socket inherits its listener's backlog; one without backlog shows itself by
	 * reading first, unless we are late */
	upstream = !sk->sk_max_ack_backlog && (wire == SENT || sock_is_old(sk, n));
	if (config.scope_ports && !scope_port(sk, upstream))
		return NULL;
	conn = conn_make(sk);
	if (!conn) {
		BOOK(conn_full);
		return NULL;
	}
	if (!scope_task(sk, task)) {
		conn->state = CONN_IGNORED;
	} else if (upstream) {
		conn->bits = CONN_UPSTREAM;
	}
	if (conn->state == CONN_NEW && (sk->sk_protocol != IPPROTO_TCP || task_is_32bit(task))) {
		BOOK(unsupported);
		not_seen(conn, task_is_32bit(task) ? UNSEEN_BITS32 : UNSEEN_PROTOCOL);
		conn->state = CONN_IGNORED;
	}
	return conn;
}

/*
 * Where this event begins in the stream, against where the last one ended. Returns the number of
 * bytes that went by unseen in between (0 nearly always), or, below 0, how many of this event's bytes
 * have been accounted for already, because another one overtook it.
 */
static __always_inline long stream_anchor(struct sock *sk, struct conn *conn, struct tcp_sock *tp,
					  __u32 wire, __u32 direction, __u32 n)
{
	__u32 end = wire == RECEIVED ? tp->copied_seq : tp->write_seq;
	__u32 expected = conn->seq[direction] + n;
	__u32 gap = end - expected;

	conn->seq[direction] = end;
	if (!gap)
		return 0;
	/* a closed socket's numbers mean nothing; kTLS counts records there, we count plaintext */
	if (sk->__sk_common.skc_state == TCP_CLOSE || tp->inet_conn.icsk_ulp_ops)
		return 0;
	gap -= anchor_fin(sk, tp, wire);
	return (__s32)gap;
}

/*
 * The try-lock of the direction; before a connection's kind is known both directions share one,
 * because either may decide it. Which one was taken, or -1.
 */
static __always_inline int stream_lock(struct conn *conn, __u32 direction)
{
	for (int i = 0; i < 2; i++) {
		__u32 lock = conn->state <= CONN_CANDIDATE ? 0 : direction;

		if (__sync_val_compare_and_swap(&conn->lock[lock & 1], 0, 1))
			return -1;
		if (lock == (conn->state <= CONN_CANDIDATE ? 0 : direction))
			return lock;
		/* it was decided while we waited */
		conn->lock[lock & 1] = 0;
	}
	return -1;
}

/* late.bpf.h: what began before us, and what has lost its boundary */
__noinline int late_look(struct conn *conn, struct run *run, __u32 direction, int hole);

/* Bytes that cannot be read, before a connection is one: a head with a hole in it is none, and an answer
 * may have been anything. */
static __always_inline void stream_hole(struct step *step, __u32 n)
{
	struct conn *conn = step->conn;
	struct run *run = step->run;

	if (conn->state == CONN_UPGRADING && step->direction == RECEIVED) {
		ws_gap(&conn->ws[RECEIVED], &run->tally, n);
		stream_early(step, n);
	} else if (conn->state == CONN_UPGRADING ||
		   (step->direction == RECEIVED &&
		    (conn->http_mode == HTTP_GET || conn->http_mode == HTTP_METHOD))) {
		head_drop(step->sk);
		candidate_begin(conn, run->now);
	} else if (conn->state == CONN_NEW) {
		candidate_begin(conn, run->now);
	}
}

/* The bytes of one socket event that moved n > 0 bytes. tp: NULL for a Unix socket. */
static __always_inline void stream_data(struct sock *sk, struct conn *conn, struct tcp_sock *tp,
					__u32 wire, __u32 n, __u32 flags)
{
	__u32 direction = wire ^ !!(conn->bits & CONN_UPSTREAM);
	struct step step = {.sk = sk, .conn = conn, .direction = direction & 1};
	struct run *run = run_here(wire);
	struct ws_stream *ws = &conn->ws[direction & 1];
	__u64 total = n;
	long gap = 0; /* of a Unix socket always: nothing to hold on to */
	int lock, hole;

	if (!run)
		return;
	run->message = vector_event(sk, wire, n);
	lock = stream_lock(conn, direction & 1);
	if (lock < 0) {
		BOOK(contended); /* the next event finds these bytes as a gap */
		return;
	}
	step.run = run;
	run->now = bpf_ktime_get_ns();
	run->id = cookie_of(sk);
	run->left = n;
	__builtin_memset(&run->tally, 0, sizeof(run->tally));
	if (conn->state == CONN_IGNORED)
		goto out; /* meanwhile */
	if (tp && conn->state == CONN_NEW) {
		/* the other direction's anchor begins where its first byte will be */
		conn->seq[direction & 1] = (wire == RECEIVED ? tp->copied_seq : tp->write_seq);
		conn->seq[(direction ^ 1) & 1] = wire == RECEIVED ? tp->write_seq : tp->copied_seq;
		if (sock_is_old(sk, n))
			candidate_begin(conn, run->now);
	} else if (tp) {
		gap = stream_anchor(sk, conn, tp, wire, direction & 1, n);
	}
	if (conn->state == CONN_OPEN) {
		if (gap < 0) {
			/* counted as a gap by the event that came too early; where that ended is not
			 * known, so the rest is one too */
			BOOK(reordered);
			ws_lose(ws);
			total = gap + n > 0 ? gap + n : 0;
			run->tally.gap += total;
			run->left = 0;
			goto count;
		}
		if (gap > 0) {
			__u8 before = ws->flags;

			if (before & WS_UNKNOWN)
				resync_gap(ws, &run->held, gap);
			ws_gap(ws, &run->tally, gap);
			total += gap;
			if (ws->flags & WS_UNKNOWN & ~before)
				BOOK(desync);
		}
		if (ws_inside_payload(ws, n)) {
			run->tally.payload += n;
			ws_payload(ws, &run->tally, 0, n);
			run->left = 0;
			goto count;
		}
		if (ws->flags & WS_BROKEN) {
			run->tally.gap += n;
			run->left = 0;
			goto count;
		}
	}
	hole = (flags & MSG_TRUNC) || tap_find(run, sk, wire);
	if (conn->state == CONN_CANDIDATE || (conn->state == CONN_OPEN && ws->flags & WS_UNKNOWN)) {
		int candidate = conn->state == CONN_CANDIDATE;

		run->gap = gap;
		__builtin_memset(&run->server, 0, sizeof(run->server));
		server_key_of(sk, &run->server);
		run->rcv_nxt = tp ? tp->rcv_nxt : 0;
		late_look(conn, run, direction & 1, hole);
		if (candidate)
			total = run->left; /* what came before has been counted, or is held */
		gap = 0;
		hole = 0;
		if (conn->state == CONN_CANDIDATE || conn->state == CONN_IGNORED)
			goto out;
	}
	if (conn->state != CONN_OPEN) {
		if (gap || hole)
			stream_hole(&step, n);
		else if (conn->state == CONN_NEW && direction == SENT &&
			 !(conn->bits & CONN_UPSTREAM))
			conn->state = CONN_IGNORED; /* the server speaks first: no HTTP */
		else
			stream_http(&step);
		goto out;
	}
	if (hole) {
		if (flags & MSG_TRUNC)
			BOOK(truncated);
		else
			BOOK(no_buffer);
		BOOK(desync);
		ws_gap(ws, &run->tally, n);
		run->left = 0;
	} else {
		stream_frames(conn, run, direction & 1);
	}
count:
	if (wire == RECEIVED && tp && !(conn->bits & CONN_UPSTREAM))
		count_wait(conn, tp->copied_seq, n, run->now);
	count_tally(conn, &run->tally, direction & 1, total, run->now);
out:
	barrier();
	conn->lock[lock & 1] = 0;
}

static __always_inline void stream_event(struct sock *sk, int ret, int flags, __u32 wire)
{
	struct conn *conn;

	if (scope_excludes(sk))
		return;
	if (ret <= 0 || (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))) {
		vector_event(sk, wire, ret);
		return;
	}
	conn = conn_of(sk);
	if (!conn) {
		conn = stream_first(sk, wire, ret);
		if (!conn)
			return;
	}
	if (conn->state == CONN_IGNORED) {
		/* two directions may count down at a time: one of them takes the last step */
		if (!conn->rearm_left || __sync_fetch_and_sub(&conn->rearm_left, 1) != 1)
			return;
		conn->state = CONN_NEW;
	}
	stream_data(sk, conn, tcp_of(sk), wire, ret, flags);
}

/* The same of a Unix socket. */
static __always_inline void stream_unix_event(struct sock *sk, int ret, int flags, __u32 wire)
{
	struct conn *conn;

	if (ret <= 0 || (flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB))) {
		vector_event(sk, wire, ret);
		if (ret <= 0)
			unix_idle(sk, wire, ret);
		return;
	}
	conn = unix_conn_of(sk, wire);
	if (!conn)
		return;
	stream_data(sk, conn, NULL, wire, ret, flags);
	if (conn->state == CONN_IGNORED)
		unix_ignore(sk);
}

#endif
