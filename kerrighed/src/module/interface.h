/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What the module offers to programs: the requests of /dev/kerrighed.
 *
 * A library works with a module of the same major version and of a minor version that is not
 * older than its own. A change that an older program would not survive raises the major one.
 */
#ifndef KERRIGHED_INTERFACE_H
#define KERRIGHED_INTERFACE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KRG_DEVICE "/dev/kerrighed"

#ifndef KRG_INTERFACE_MAJOR
#define KRG_INTERFACE_MAJOR 1
#endif
#define KRG_INTERFACE_MINOR 0

#define KRG_MAX_NODES 256
#define KRG_MAX_SESSION 9999
#define KRG_SET_BYTES (KRG_MAX_NODES / 8)

/* Each state includes those before it. */
enum krg_node_state {
	KRG_NODE_NONE,		/* nobody has heard of it */
	KRG_NODE_POSSIBLE,	/* it is named in /etc/kerrighed_nodes, or was here before */
	KRG_NODE_PRESENT,	/* it is heard */
	KRG_NODE_ONLINE,	/* it is part of the cluster */
};

/* What this node itself is. */
enum krg_self_state {
	KRG_SELF_JOINING,	/* it listens whether its id is free */
	KRG_SELF_PRESENT,
	KRG_SELF_ONLINE,
	KRG_SELF_CONFLICT,	/* another node has its id: it stands aside until it is reloaded */
};

enum krg_command {
	KRG_COMMAND_NONE,
	KRG_COMMAND_ADD,	/* become part of the cluster */
	KRG_COMMAND_REMOVE,	/* leave the cluster, and do not come back by yourself */
	KRG_COMMAND_POWEROFF,
	KRG_COMMAND_REBOOT,
	KRG_COMMANDS
};

struct krg_version {
	__u16 major;
	__u16 minor;
};

struct krg_node_table {
	__u16 self;
	__u16 session;
	__u16 nb_nodes_min;	/* 0: the cluster does not start by itself */
	__u16 self_state;	/* enum krg_self_state */
	__u8 state[KRG_MAX_NODES];	/* enum krg_node_state */
};

struct krg_order {
	__u32 command;		/* enum krg_command */
	__u8 nodes[KRG_SET_BYTES];	/* bit id % 8 of byte id / 8 */
};

/* The numbers of the bits are those of Kerrighed. */
enum krg_capability {
	KRG_CAP_CHANGE_KERRIGHED_CAP,
	KRG_CAP_CAN_MIGRATE,
	KRG_CAP_DISTANT_FORK,
	KRG_CAP_FORK_DELAY,
	KRG_CAP_CHECKPOINTABLE,
	KRG_CAP_USE_REMOTE_MEMORY,
	KRG_CAP_USE_INTRA_CLUSTER_KERSTREAMS,
	KRG_CAP_USE_INTER_CLUSTER_KERSTREAMS,
	KRG_CAP_USE_WORLD_VISIBLE_KERSTREAMS,
	KRG_CAP_SEE_LOCAL_PROC_STAT,
	KRG_CAP_DEBUG,
	KRG_CAP_SYSCALL_EXIT_HOOK,
	KRG_CAPS
};

#define KRG_CAP_ALL ((1u << KRG_CAPS) - 1)

struct krg_capabilities {
	__s32 pid;		/* 0: whoever asks */
	__u32 permitted;
	__u32 effective;
	__u32 inheritable_permitted;
	__u32 inheritable_effective;
};

#define KRG_IOC_VERSION		_IOR('K', 0xc0, struct krg_version)
#define KRG_IOC_NODES		_IOR('K', 0xc1, struct krg_node_table)
#define KRG_IOC_ORDER		_IOW('K', 0xc2, struct krg_order)
#define KRG_IOC_CAP_GET		_IOWR('K', 0xc3, struct krg_capabilities)
#define KRG_IOC_CAP_SET		_IOW('K', 0xc4, struct krg_capabilities)
#define KRG_IOC_CAP_SUPPORTED	_IOR('K', 0xc5, __u32)

#endif
