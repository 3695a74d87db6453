/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The only interface between the kernel half (bpf/) and user space (user/): records in the ring
 * buffer, keys and values of maps, counters and limits. Fixed-width fields, explicit padding,
 * host byte order unless a comment says "network order"; times are CLOCK_MONOTONIC nanoseconds.
 *
 * Everything cumulative lives in maps (struct server_counters, struct hist, struct outcome_key);
 * the ring buffer carries only what needs text (labels, recent errors, connection rows), and each
 * record that does not fit is counted in enum book.
 */
#ifndef WSVITALS_EVENT_H
#define WSVITALS_EVENT_H

#include "hist.h"
#include "types.h"

/* Limits. Each bounds kernel memory; what exceeds it is counted, never silent. */
#define MAX_SERVERS 64     /* server slots, incl. the two fixed ones below */
#define MAX_CHANNELS 1024  /* channel slots over all servers; slot 0 = not yet named */
#define MAX_HEADS 16384    /* upgrades in flight: from "GET " to the end of the response head */
#define MAX_UNSEEN 256     /* different (process, reason) whose sockets cannot be followed */
#define MAX_OUTCOMES 16384 /* different (server, kind, code, initiator) */
#define MAX_CODES 64       /* of these, per server, ones with a close code that no rule names */
#define MAX_UNIX 65536     /* Unix sockets with HTTP or WebSockets on them */
#define MAX_ARMED 65536    /* requests of io_uring that wait for a socket */
#define MAX_SCOPE 1024     /* values of one scope option; descendants of --pid: MAX_SCOPE_PIDS */
#define MAX_SCOPE_PIDS 65536
#define RING_BYTES (2u << 20)
#define REQUEST_MAX 4096  /* bytes kept of an upgrade request's head */
#define RESPONSE_MAX 1024 /* bytes kept of the response's head */
#define REASON_MAX 123 /* RFC 6455 5.5: a control payload has at most 125 bytes, 2 are the code */
#define COMM_LEN 16
#define UNIX_PATH 108 /* sockaddr_un, unix(7) */
#define NR_CHUNK 256  /* bytes of a head that are scanned at a time */

#define SLOT_OTHER 0    /* server slots: beyond MAX_SERVERS all further servers share this one */
#define SLOT_UPSTREAM 1 /* connecting sides (SPEC 1 "upstream leg"), never a server's numbers */
#define SLOT_FIRST 2    /* first slot given to a server */

enum direction { RECEIVED = 0, SENT = 1, NR_DIRECTIONS };

/* Who did it, seen from the WebSocket's roles. */
enum initiator { BY_CLIENT = 0, BY_SERVER = 1 };

/* Per server and CPU. X(name, text) */
#define SERVER_COUNTERS(X)                                                                         \
	X(opened, "connections opened: a 101 was sent, or recognised while open")                  \
	X(resynced, "of these recognised by their frames (origin=resync)")                         \
	X(closed, "connections closed (SPEC 1)")                                                   \
	X(received, "data messages client to server")                                              \
	X(sent, "data messages server to client")                                                  \
	X(text, "text messages, both directions")                                                  \
	X(binary, "binary messages, both directions")                                              \
	X(bytes_received, "payload bytes of data frames, client to server")                        \
	X(bytes_sent, "payload bytes of data frames, server to client")                            \
	X(ping_received, "ping frames client to server")                                           \
	X(pong_received, "pong frames client to server")                                           \
	X(close_received, "close frames client to server")                                         \
	X(ping_sent, "ping frames server to client")                                               \
	X(pong_sent, "pong frames server to client")                                               \
	X(close_sent, "close frames server to client")                                             \
	X(timed, "received messages answered and timed")                                           \
	X(ambiguous, "received messages whose answer cannot be told")                              \
	X(unanswered, "received messages that were never answered")                                \
	X(push, "sent messages that answer nothing")                                               \
	X(answers_to_ambiguous, "sent messages that answer one of several")                        \
	X(seen_received, "bytes that passed after the handshake, client to server")                \
	X(header_received, "of these frame headers")                                               \
	X(payload_received, "of these payload, control frames included")                           \
	X(gap_received, "of these not readable")                                                   \
	X(seen_sent, "bytes that passed after the handshake, server to client")                    \
	X(header_sent, "of these frame headers")                                                   \
	X(payload_sent, "of these payload, control frames included")                               \
	X(gap_sent, "of these not readable")

/* Host-wide, per CPU. X(name, text) */
#define BOOKS(X)                                                                                   \
	X(events_submitted, "records for user space: tried")                                       \
	X(events_dropped_ring, "records dropped: ring buffer full")                                \
	X(heads_full, "upgrade requests that could not be kept: table full")                       \
	X(heads_long, "heads longer than the bound: cut")                                          \
	X(conn_full, "sockets without state: option memory exhausted")                             \
	X(servers_full, "servers beyond the bound: counted as other")                              \
	X(outcomes_full, "ends that found no room in the table")                                   \
	X(unix_full, "Unix sockets without state: table full")                                     \
	X(armed_full, "requests of io_uring that could not be noted: table full")                  \
	X(desync, "streams that lost the frame boundary")                                          \
	X(resync, "streams recognised again")                                                      \
	X(contended, "events while another CPU held the same direction")                           \
	X(reordered, "events whose sequence number went backwards")                                \
	X(read_failed, "reads of user memory that failed")                                         \
	X(no_buffer, "events whose buffer could not be found")                                     \
	X(truncated, "MSG_TRUNC reads: bytes discarded by the reader")                             \
	X(frames_capped, "events with more frames or requests than one run may parse")             \
	X(unsupported, "sockets of a kind that is not covered (MPTCP, 32-bit, HTTP/2)")            \
	X(tls, "sockets that began with a TLS record")

/* Why a process's sockets cannot be followed. X(NAME, key, what it does) */
#define UNSEEN(X)                                                                                  \
	X(TLS, "tls", "speaks TLS itself")                                                         \
	X(HTTP2, "http2", "speaks HTTP/2")                                                         \
	X(BITS32, "32bit", "is a 32-bit process")                                                  \
	X(PROTOCOL, "protocol", "uses a transport that is not covered (MPTCP)")
#define X(NAME, key, text) UNSEEN_##NAME,
enum unseen_reason { UNSEEN(X) NR_UNSEEN };
#undef X

/* Map unseen: value = sockets (__u64). */
struct unseen_key {
	__u32 tgid;   /* who read or wrote first */
	__u32 reason; /* enum unseen_reason */
};
_Static_assert(sizeof(struct unseen_key) == 8, "ABI");

#define X(name, text) __u64 name;
struct server_counters_fields {
	SERVER_COUNTERS(X)
};
struct book_fields {
	BOOKS(X)
};
#undef X

/*
 * Exact minimum and maximum of a window: one slot per epoch (now >> EPOCH_SHIFT, about 1.07 s),
 * reused round robin. User space reads slots whose epoch is over. min is valid when count > 0.
 */
#define EPOCH_SHIFT 30
#define EPOCH_SLOTS 8
struct extreme {
	__u64 epoch;
	__u64 min_ns;
	__u64 max_ns;
	__u64 count;
};
_Static_assert(sizeof(struct extreme) == 32, "ABI");

/* Per server and CPU, read every second. */
struct server_counters {
	struct server_counters_fields n;
	struct extreme latency[EPOCH_SLOTS];
	struct extreme queue_wait[EPOCH_SLOTS];
};

/* Per server and CPU, read every 10 s: the two distributions of the hot path, in ns. */
struct server_hists {
	struct hist latency;
	struct hist queue_wait;
};

/* Per server, shared by CPUs (atomic adds): distributions that grow with connections or pings. */
struct minmax {
	__u64 min; /* ~0 until the first value */
	__u64 max;
};
struct server_rare {
	struct hist handshake;   /* ns: upgrade request read to 101 written */
	struct hist ping_rtt;    /* ns: server's ping to the pong that answers it */
	struct hist duration_ms; /* ms: closed connections */
	struct minmax handshake_ns;
	struct minmax ping_rtt_ns;
	struct minmax duration_range_ms;
};

/* Per channel slot, shared by CPUs (atomic adds). */
struct channel_stats {
	__u64 opened;
	__u64 closed;
	__u64 received;
	__u64 sent;
	__u64 bytes_received;
	__u64 bytes_sent;
	struct hist latency; /* ns */
};

/* Map servers: a listening address that accepted a WebSocket. */
struct server_key {
	__u32 netns; /* inode number of the network namespace */
	__u16 port;  /* host order; 0 for a Unix socket */
	__u16 proxy; /* 1: its connections that it only passes on, to a server that is watched too
		      * (SPEC 1): a slot of their own, which totals leave out */
	char path[UNIX_PATH]; /* of a Unix socket, NUL-padded; an abstract name begins with @ */
};
struct server_info {
	__u32 slot;
	__u32 tgid; /* the process that read the first upgrade, in the root pid namespace */
	__u64 first_ns;
	__u64 cgroup; /* id in the v2 hierarchy */
	char comm[COMM_LEN];
};
_Static_assert(sizeof(struct server_key) == 8 + UNIX_PATH, "ABI");
_Static_assert(sizeof(struct server_info) == 40, "ABI");

/* Map channels: written by user space, which alone applies the rules of SPEC 5. */
struct channel_key {
	__u64 path_hash; /* http1.h: FNV-1a of the path without its query */
	__u32 server;    /* slot */
	__u32 pad;
};
_Static_assert(sizeof(struct channel_key) == 16, "ABI");

/*
 * Map outcomes: how upgrades and connections ended; value = count. Every closed connection adds
 * one CLOSE or one ABNORMAL, so closed = CLOSE + ABNORMAL; VIOLATION is added besides, and marks
 * the other as shadowed: SPEC 3 allows one error a connection, a violation first.
 */
enum outcome_kind {
	OUTCOME_REFUSED = 1, /* code = HTTP status, 0 = no answer before the socket closed,
			      * 101 = wrong Sec-WebSocket-Accept */
	OUTCOME_VIOLATION,   /* code = enum violation, initiator = who sent it */
	OUTCOME_CLOSE,       /* code = close code, CLOSE_NO_CODE when the frame had none */
	OUTCOME_ABNORMAL,    /* code = enum cause */
};
#define CLOSE_NO_CODE 1005 /* RFC 6455 7.4.1 */
#define CLOSE_INVALID 0    /* a code outside 1000..4999: one entry for all of them */
/* Beyond MAX_CODES of a server: a code that no rule names, below 3000, and from there on. */
#define CLOSE_OTHER 1
#define CLOSE_OTHER_APPLICATION 2

struct outcome_key {
	__u16 server; /* slot */
	__u16 code;
	__u8 kind;      /* enum outcome_kind */
	__u8 initiator; /* enum initiator */
	__u8 shadowed;  /* 1: the connection's error is its violation */
	__u8 pad;
};
_Static_assert(sizeof(struct outcome_key) == 8, "ABI");

/* X(NAME, key): why a connection ended without a close frame, in the order of SPEC 3. */
#define CAUSES(X)                                                                                  \
	X(SERVER_EXIT, "server_exit")                                                              \
	X(TIMEOUT, "timeout")                                                                      \
	X(RESET_BY_PEER, "reset_by_peer")                                                          \
	X(RESET_BY_SERVER, "reset_by_server")                                                      \
	X(FIN_WITHOUT_CLOSE, "fin_without_close")
#define X(NAME, key) CAUSE_##NAME,
enum cause { CAUSES(X) NR_CAUSES };
#undef X

/* X(NAME, key): breaches of RFC 6455 that can be seen in frame headers (section in ws.h). */
#define VIOLATIONS(X)                                                                              \
	X(NONE, "none")                                                                            \
	X(UNMASKED_CLIENT_FRAME, "unmasked_client_frame")                                          \
	X(MASKED_SERVER_FRAME, "masked_server_frame")                                              \
	X(RESERVED_OPCODE, "reserved_opcode")                                                      \
	X(RESERVED_BITS, "reserved_bits")                                                          \
	X(FRAGMENTED_CONTROL, "fragmented_control")                                                \
	X(LONG_CONTROL, "long_control")                                                            \
	X(UNEXPECTED_CONTINUATION, "unexpected_continuation")                                      \
	X(UNFINISHED_MESSAGE, "unfinished_message")                                                \
	X(NON_MINIMAL_LENGTH, "non_minimal_length")
#define X(NAME, key) VIOLATION_##NAME,
enum violation { VIOLATIONS(X) NR_VIOLATIONS };
#undef X

/* Ring buffer records. Each begins with struct event. */
enum event_type {
	EVENT_OPEN = 1, /* struct event_open, then the heads */
	EVENT_REFUSED,  /* the same, status != 101 or a wrong accept */
	EVENT_REASON,   /* struct event_reason: payload of a connection's first close frame */
	EVENT_CLOSE,    /* struct event_close */
};

struct event {
	__u32 type; /* enum event_type */
	__u32 len;  /* of the whole record, text included */
	__u64 id;   /* socket cookie: unique while the host is up */
	__u64 now_ns;
};

/* One end of a connection; v4 addresses are v4-mapped. */
struct endpoint {
	__u8 addr[16]; /* network order */
	__u16 port;    /* host order */
	__u16 pad[3];
};

struct event_open { /* EVENT_OPEN, EVENT_REFUSED */
	struct event event;
	__u64 path_hash;
	__u64 handshake_ns;
	__u64 cgroup;
	struct endpoint local;
	struct endpoint peer;
	__u32 tgid; /* the process that wrote the response */
	__u32 netns;
	__u16 server;       /* slot */
	__u16 status;       /* of the response; 0 = none before the socket closed */
	__u16 request_len;  /* bytes of text[] that are the request's head (cut at REQUEST_MAX) */
	__u16 response_len; /* bytes after these that are the response's head */
	__u8 upstream;      /* 1: seen from the connecting side */
	__u8 accept_wrong;  /* 1: a 101 whose Sec-WebSocket-Accept does not fit the key */
	__u8 proxy;         /* 1: passed on to a server that is watched too: see server_key */
	__u8 pad[5];
	char comm[COMM_LEN];
};
_Static_assert(sizeof(struct event) == 24, "ABI");
_Static_assert(sizeof(struct endpoint) == 24, "ABI");
_Static_assert(sizeof(struct event_open) == 136, "ABI");

struct event_close { /* EVENT_CLOSE */
	struct event event;
	__u64 open_ns;
	__u64 duration_ns;
	__u64 bytes_received; /* payload of data frames */
	__u64 bytes_sent;
	__u32 received; /* data messages */
	__u32 sent;
	__u16 server;
	__u16 channel;    /* slot, 0 = not yet named */
	__u16 close_code; /* first close frame; meaning as in OUTCOME_CLOSE */
	__u8 closed_by;   /* enum initiator of that frame */
	__u8 has_close;   /* 1: there was a close frame */
	__u8 cause;       /* enum cause, when has_close is 0 */
	__u8 violation;   /* enum violation */
	__u8 violated_by; /* enum initiator */
	__u8 upstream;
	__u8 resync; /* 1: origin=resync */
	__u8 pad[3];
	__u32 brief_sum; /* brief.h of the latencies: brief_sum and top */
	__u32 brief_top;
};
_Static_assert(sizeof(struct event_close) == 88, "ABI");

/*
 * A piece of the payload of a connection's first close frame, as it passed: the kernel keeps no
 * reason, so a payload cut over several calls makes several records. User space unmasks
 * (text[i] ^= mask[(offset + i) & 3]; mask is 0 on server frames), joins them by id, and drops the
 * two bytes of the code.
 */
struct event_reason { /* EVENT_REASON; only text[0..text_len) is meaningful */
	struct event event;
	__u8 mask[4];
	__u8 offset; /* of text[0] in the close payload */
	__u8 text_len;
	__u8 by; /* enum initiator */
	__u8 pad;
	__u8 text[REASON_MAX + 2];
	__u8 pad2[3];
};
_Static_assert(sizeof(struct event_reason) == 160, "ABI");

/* One connection as the iterator over connections writes it (walk). */
struct walk_record {
	__u64 id;
	__u64 open_ns;
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 path_hash;
	struct endpoint local;
	struct endpoint peer;
	__u32 received;
	__u32 sent;
	__u32 waiting; /* received messages whose answer may still come */
	__u16 server;
	__u16 channel;
	__u8 upstream;
	__u8 resync;
	__u8 candidate; /* 1: open before counting began, and no frame has passed that proves what it
			 * is; nothing but id, open_ns, the endpoints and the server is known */
	__u8 pad[5];
};
_Static_assert(sizeof(struct walk_record) == 112, "ABI");

/* Read-only configuration, set before load. */
struct config {
	__u8 scope_ports; /* 1: only listening ports in scope_port_bits */
	__u8 scope_pids; /* 1: only processes in map scope_pids (descendants are added by the kernel) */
	__u8 scope_comms;  /* 1: only processes whose leader's name is in scope_comms */
	__u8 scope_cgroup; /* 1: only processes below a cgroup in scope_cgroups */
	__u8 scope_netns;  /* 1: only sockets of a network namespace in scope_netns */
	__u8 pad[3];
	__u16 scope_port_min; /* of the ports in scope, so that most others are told at a glance */
	__u16 scope_port_max;
};
_Static_assert(sizeof(struct config) == 12, "ABI");

#endif
