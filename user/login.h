/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * How a person with a browser gets in and out, and the files of the dashboard. In: requests whose way
 * has been looked at (gate.h). Out: answers; who came and went is written to the log.
 */
#ifndef WSVITALS_LOGIN_H
#define WSVITALS_LOGIN_H

#include "call.h"

/* The page with the form; with ?code= the one-time link. */
int login_get(struct call *call);
/* The form: token=… */
int login_post(struct call *call);
int logout_post(struct call *call);

int page_get_index(struct call *call);
int page_get_script(struct call *call);
int page_get_style(struct call *call);
int page_get_icon(struct call *call);

#endif
