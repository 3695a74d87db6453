/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/* systemd's notify protocol and watchdog (sd_notify(3), sd_watchdog_enabled(3)), when asked for. */
#ifndef WSVITALS_NOTIFY_H
#define WSVITALS_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1", … Without NOTIFY_SOCKET nothing happens. 0 or -errno. */
int notify_send(const char *state);
/* How often systemd wants to hear WATCHDOG=1; 0: never. */
uint64_t notify_watchdog_ns(void);

#endif
