/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the library share. */
#ifndef KRG_LIBRARY_DEVICE_H
#define KRG_LIBRARY_DEVICE_H

#include <kerrighed/hotplug.h>
#include <kerrighed/interface.h>

struct krg_node_set {
	unsigned char nodes[KRG_SET_BYTES];
};

/* Ask the module. Returns 0, or -1 with errno, and krg_last_error() says what is wrong. */
int krg_ask(unsigned long request, void *argument);

/* Fail: -1 with errno set, and a sentence about it. */
int krg_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
