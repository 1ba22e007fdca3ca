/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KRG_SAY_H
#define KRG_SAY_H

#include <stdio.h>
#include <stdlib.h>

#define WRONG_USAGE 2

extern const char *const program;

/* End with one line about why. */
_Noreturn static inline void die(const char *reason)
{
	fprintf(stderr, "%s: %s\n", program, reason);
	exit(EXIT_FAILURE);
}

_Noreturn static inline void misused(const char *reason, const char *word)
{
	fprintf(stderr, "%s: %s%s%s; see %s --help\n", program, reason, word ? ": " : "",
		word ? word : "", program);
	exit(WRONG_USAGE);
}

#endif
