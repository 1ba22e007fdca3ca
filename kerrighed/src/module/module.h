/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the module know of one another. */
#ifndef KRG_MODULE_H
#define KRG_MODULE_H

#include <linux/bits.h>

#include "members.h"

#define KRG_KEY_FILE "/etc/kerrighed/session.key"
#define KRG_KEY_MIN 16
#define KRG_KEY_MAX 256
#define KRG_DEVICES_MAX 128

/* identity.c: who this node is */
struct krg_identity {
	u16 session;
	u16 node;
	u16 nb_nodes_min;
	char devices[KRG_DEVICES_MAX];	/* names with commas between; empty: all Ethernet devices */
	u8 listed[KRG_SET_BYTES];	/* the nodes that are possible */
	size_t key_length;
	u8 key[KRG_KEY_MAX];
};

int krg_identity_find(struct krg_identity *identity);

/* wire.c: members.c, the clock and the network devices put together */
enum krg_counter {
	KRG_SENT,
	KRG_RECEIVED,	/* good ones, of this session */
	KRG_COUNT_MALFORMED,
	KRG_COUNT_FOREIGN,
	KRG_COUNT_FORGED,	/* without our key */
	KRG_COUNT_OLD,
	KRG_COUNT_DROPPED,	/* too many at once */
	KRG_COUNTERS
};

int krg_wire_start(const struct krg_identity *identity);
void krg_wire_stop(void);
void krg_wire_nodes(struct krg_node_table *nodes);
int krg_wire_order(const struct krg_order *order);
u64 krg_wire_counter(enum krg_counter counter);
const char *krg_wire_devices(void);

/* capabilities.c */
int krg_capabilities_start(void);
void krg_capabilities_stop(void);
int krg_capabilities_get(struct krg_capabilities *asked);
int krg_capabilities_set(const struct krg_capabilities *wanted);

/* What changes something in the kernel; all others are kept and inherited, and nothing more. */
#define KRG_CAP_SUPPORTED BIT(KRG_CAP_CHANGE_KERRIGHED_CAP)

/* sysfs.c, device.c */
int krg_sysfs_start(void);
void krg_sysfs_stop(void);
int krg_device_start(void);
void krg_device_stop(void);

#endif
