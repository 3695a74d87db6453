/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * What keeper and agent say to each other over their socketpair: messages of one fixed size, one
 * packet each. Neither payload nor HTTP nor SQL ever passes here.
 */
#ifndef WSVITALS_MESSAGE_H
#define WSVITALS_MESSAGE_H

#include <errno.h>
#include <stdint.h>
#include <sys/socket.h>

#include "certificate.h"
#include "process.h"
#include "settings.h"

#define MESSAGE_TEXT 512

enum message_type {
	/* agent to keeper */
	MESSAGE_READY = 1,   /* it serves, and has counted once */
	MESSAGE_BEAT,        /* it is alive: every second */
	MESSAGE_ASK_PROCESS, /* pid; answered by PROCESS */
	MESSAGE_ASK_RELOAD,  /* answered by SETTINGS or REFUSED */
	/* keeper to agent */
	MESSAGE_PROCESS,  /* pid, process */
	MESSAGE_SETTINGS, /* settings in force from now on; text: what needs a restart, or "" */
	MESSAGE_REFUSED,  /* text: why the old settings stay */
	MESSAGE_LOST,     /* text: a hook that is not attached any more */
	MESSAGE_TLS,      /* certificate: in force from now on */
	MESSAGE_END,      /* it is to end now, in order */
};

struct message {
	uint32_t type; /* enum message_type */
	int32_t pid;
	struct process process;
	char text[MESSAGE_TEXT];
	union {
		struct settings settings;
		struct certificate certificate;
	};
};

/* 0 or -errno; a packet goes whole or not at all. */
static inline int message_send(int fd, const struct message *message)
{
	return send(fd, message, sizeof(*message), MSG_NOSIGNAL) == (ssize_t)sizeof(*message)
		       ? 0
		       : -errno;
}

/* 0; -EAGAIN: nothing is there; -EPIPE: the other side is gone; -EBADMSG. */
static inline int message_receive(int fd, struct message *ret_message)
{
	ssize_t n = recv(fd, ret_message, sizeof(*ret_message), MSG_DONTWAIT);

	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (!n)
		return -EPIPE;
	if (n != (ssize_t)sizeof(*ret_message))
		return -EBADMSG;
	/* texts end, whatever the other side wrote */
	ret_message->text[MESSAGE_TEXT - 1] = '\0';
	ret_message->process.comm[COMM_LEN - 1] = '\0';
	ret_message->process.unit[LABEL_UNIT_SIZE - 1] = '\0';
	ret_message->process.executable[LABEL_SIZE - 1] = '\0';
	return 0;
}

#endif
