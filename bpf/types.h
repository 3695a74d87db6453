/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * Where integer types come from. The pure headers (ws.h, http1.h, pair.h, hist.h, accept.h) and
 * event.h compile unchanged for the kernel (clang -target bpf) and for the host (unit tests,
 * fuzzers, user space); this file is the only place that knows which of the two it is.
 */
#ifndef WSVITALS_TYPES_H
#define WSVITALS_TYPES_H

#ifdef __bpf__
#include "vmlinux.h"
#else
#include <stddef.h>
#include <linux/types.h>
#endif

/* A pure function: no map, no helper, no clock; all it knows comes in as arguments. */
#define PURE static inline __attribute__((always_inline, unused))

/*
 * KEEP(x): the compiler may not derive x anew from earlier values after this point. The BPF
 * verifier tracks bounds per register; clang likes to check one register and use a copy.
 */
#ifdef __bpf__
#define KEEP(x) asm volatile("" : "+r"(x))
#else
#define KEEP(x) ((void)(x))
#endif

#endif
