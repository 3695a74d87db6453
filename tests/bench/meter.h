/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* What meter.c and meter.bpf.c agree on. */
#ifndef WSVITALS_METER_H
#define WSVITALS_METER_H

/* X(NAME, tracepoint): the hooks of wsvitals on sockets. */
#define LIFE_HOOKS(X)                                                                              \
	X(READY, sk_data_ready)                                                                    \
	X(STATE, inet_sock_set_state)                                                              \
	X(DESTROY, tcp_destroy_sock)                                                               \
	X(RECEIVE_RESET, tcp_receive_reset)                                                        \
	X(SEND_RESET, tcp_send_reset)
#define DATA_HOOKS(X)                                                                              \
	X(RECV, sock_recv_length)                                                                  \
	X(SEND, sock_send_length)
#define HOOKS(X)                                                                                   \
	DATA_HOOKS(X)                                                                              \
	LIFE_HOOKS(X)

#define X(NAME, tracepoint) HOOK_##NAME,
enum hook { HOOKS(X) NR_HOOKS };
#undef X

/* Whose event: a socket on the server's port, one that is connected to it, or a stranger's. A call
 * that moved no bytes is a class of its own. */
enum class { CLASS_SERVER, CLASS_CLIENT, CLASS_OTHER, CLASS_NO_DATA, NR_CLASSES };

#endif
