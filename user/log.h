/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Messages to people, on stderr, one line each. Commands speak plainly ("wsvitals: …"); the agent
 * writes structured lines (logfmt), with the journal's priorities when stderr is the journal. Only
 * callers that know the user print; the stages (decode … table) return errors instead.
 */
#ifndef WSVITALS_LOG_H
#define WSVITALS_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Messages above this level are dropped; LOG_INFO at the start. */
void log_set_level(enum log_level level);

/* From now on structured lines; part: "keeper", "agent". Borrowed. */
void log_set_part(const char *part);

__attribute__((format(printf, 2, 3))) void log_message(enum log_level level, const char *format,
						       ...);
/*
 * The same for what may come again and again: a distinct problem (one place in the code) is written
 * once a minute at most, and how often it was held back is said with its next line, or by log_flush.
 */
__attribute__((format(printf, 2, 3))) void log_problem(enum log_level level, const char *format,
						       ...);
/* Says what was held back for a minute and more. Call it now and then. */
void log_flush(void);

#define log_error(...) log_message(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_DEBUG, __VA_ARGS__)

#endif
