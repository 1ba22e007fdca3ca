/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KRG_MEMBERS_H
#define KRG_MEMBERS_H

#include "message.h"

/* Milliseconds. A silent node is noticed after at most KRG_FAIL + KRG_TICK, below three seconds. */
#define KRG_TICK 500
#define KRG_FAIL 2000
#define KRG_JOIN 2000
#define KRG_ORDER_TIME 3000

#define KRG_ADDRESS 6

enum krg_event {
	KRG_EVENT_PRESENT,
	KRG_EVENT_LEFT,
	KRG_EVENT_FAILED,
	KRG_EVENT_ONLINE,
	KRG_EVENT_OFFLINE,
	KRG_EVENT_CONFLICT,	/* another node has our id, and stands aside */
	KRG_EVENT_STOOD_DOWN,	/* another node has our id, and we stand aside */
	KRG_EVENT_DOUBLE,	/* two other nodes have one id */
	KRG_EVENT_POWEROFF,	/* this node is to be switched off */
	KRG_EVENT_REBOOT,
};

/* What members.c cannot do by itself; `address` is NULL for a message to all. */
struct krg_outside {
	void (*send)(void *context, const struct krg_message *message, const u8 *address);
	u64 (*random)(void *context);
	void (*event)(void *context, enum krg_event event, u16 node);
};

struct krg_peer {
	bool possible;
	bool known;		/* this incarnation said a token back, and is not silent since */
	bool present;		/* and it no longer listens whether its id is free */
	bool online;
	bool warned;		/* of a second node with its id */
	u8 command;		/* what it has been told, and not done yet */
	u8 address[KRG_ADDRESS];
	u64 incarnation;
	u64 sequence;		/* the last one that was heard */
	u64 heard;		/* when that was */
	u64 token;		/* what we asked it to say; 0: nothing */
	u64 asked;		/* when that was; 0: never */
	u64 ordered;
};

struct krg_members {
	u16 self;
	u16 session;
	u16 nb_nodes_min;
	u8 state;		/* enum krg_self_state */
	bool held;		/* taken out by an order: do not come back by yourself */
	bool stopped;		/* the machine is being switched off */
	u8 stop;		/* the command to stop, obeyed once the others know */
	u64 stop_asked;
	u64 born;
	u64 incarnation;
	u64 sequence;
	u64 old;		/* how many messages were of another time: replayed, or late */
	const struct krg_outside *outside;
	void *context;
	struct krg_peer peers[KRG_MAX_NODES];	/* that of this node serves to look for a double */
};

void krg_members_start(struct krg_members *members, u64 now);
void krg_members_heard(struct krg_members *members, const struct krg_message *message,
		       const u8 *address, u64 now);
void krg_members_tick(struct krg_members *members, u64 now);
void krg_members_leave(struct krg_members *members);
int krg_members_order(struct krg_members *members, const struct krg_order *order, u64 now);
enum krg_node_state krg_members_state(const struct krg_members *members, u16 node);

#endif
