/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KRG_NODES_FILE_H
#define KRG_NODES_FILE_H

#include "plain.h"

#define KRG_NODES_FILE "/etc/kerrighed_nodes"
#define KRG_NODES_FILE_MAX 4096
#define KRG_NAME_MAX 64
#define KRG_DEVICE_MAX 16

/* What the file says to one host; -1 is “not said”. */
struct krg_nodes_file {
	int session;
	int nbmin;
	int node;
	char device[KRG_DEVICE_MAX];
	u8 listed[KRG_SET_BYTES];
};

/* Where the file is wrong, and how; line 0 is the file as a whole. */
struct krg_fault {
	unsigned int line;
	const char *reason;
};

int krg_read_nodes(const char *text, size_t length, const char *host,
		   struct krg_nodes_file *found, struct krg_fault *fault);

#endif
