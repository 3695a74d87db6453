/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Messages to people, on stderr: one line each, beginning with the program's name. Only callers
 * that know the user print; the stages (decode … table) return errors instead.
 */
#ifndef WSVITALS_LOG_H
#define WSVITALS_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Messages above this level are dropped; LOG_INFO at the start. */
void log_set_level(enum log_level level);

__attribute__((format(printf, 2, 3))) void log_message(enum log_level level, const char *format,
						       ...);

#define log_error(...) log_message(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_DEBUG, __VA_ARGS__)

#endif
