// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which nodes are there, and which are part of the cluster.
 *
 * Every node tells all others of itself twice a second, and decides of nobody but itself: whether
 * a node is online is what that node says. An order to another node is sent until the node says
 * that it has done it, so that a lost message costs half a second.
 *
 * All messages that come here bear the signature of the session. That says nothing of when they
 * were sent: somebody may have kept them. So a node is believed only after it said back a random
 * token, and then only messages of this incarnation with growing numbers.
 */
#include "members.h"

static void send(struct krg_members *members, struct krg_message message, const u8 *address)
{
	message.session = members->session;
	message.from = members->self;
	message.incarnation = members->incarnation;
	message.sequence = ++members->sequence;
	if (members->state == KRG_SELF_ONLINE)
		message.flags = KRG_FLAG_ONLINE;
	else if (members->state == KRG_SELF_JOINING)
		message.flags = KRG_FLAG_JOINING;
	members->outside->send(members->context, &message, address);
}

static void send_all(struct krg_members *members, u8 type)
{
	send(members, (struct krg_message){ .type = type, .to = KRG_TO_ALL }, NULL);
}

/* To whoever sent a message, or says that it did. */
static void send_token(struct krg_members *members, u8 type, u16 to, u64 token, const u8 *address)
{
	send(members, (struct krg_message){ .type = type, .to = to, .token = token }, address);
}

/* It takes no part any more. */
static bool is_aside(const struct krg_members *members)
{
	return members->stopped || members->state == KRG_SELF_CONFLICT;
}

static void tell(struct krg_members *members, enum krg_event event, u16 node)
{
	members->outside->event(members->context, event, node);
}

static void become(struct krg_members *members, enum krg_self_state state)
{
	bool was_online = members->state == KRG_SELF_ONLINE;
	bool is_online = state == KRG_SELF_ONLINE;

	members->state = state;
	if (was_online != is_online)
		tell(members, was_online ? KRG_EVENT_OFFLINE : KRG_EVENT_ONLINE, members->self);
}

static void lose(struct krg_members *members, u16 node, enum krg_event event)
{
	struct krg_peer *peer = &members->peers[node];

	bool was_present = peer->present;

	peer->known = false;
	peer->present = false;
	peer->online = false;
	peer->command = KRG_COMMAND_NONE;
	if (was_present)
		tell(members, event, node);
}

/* Ask who sent this to say a token back; once a tick, whatever comes. */
static void challenge(struct krg_members *members, u16 node, const u8 *address, u64 now)
{
	struct krg_peer *peer = &members->peers[node];

	if (peer->asked && now - peer->asked < KRG_TICK)
		return;
	do
		peer->token = members->outside->random(members->context);
	while (!peer->token);
	peer->asked = now;
	send_token(members, KRG_CHALLENGE, node, peer->token, address);
}

static bool answers(struct krg_peer *peer, const struct krg_message *message)
{
	if (message->type != KRG_ANSWER || !peer->token || message->token != peer->token)
		return false;
	peer->token = 0;
	return true;
}

/* Another node has our id. It was there first if it is no longer joining and we are. */
static void settle(struct krg_members *members, const struct krg_message *other)
{
	bool joining = members->state == KRG_SELF_JOINING;
	bool other_joining = other->flags & KRG_FLAG_JOINING;
	bool yields = members->incarnation > other->incarnation;

	if (joining != other_joining)
		yields = joining;
	if (!yields) {
		if (!members->peers[members->self].warned)
			tell(members, KRG_EVENT_CONFLICT, members->self);
		members->peers[members->self].warned = true;
		return;
	}
	krg_members_leave(members);
	become(members, KRG_SELF_CONFLICT);
	tell(members, KRG_EVENT_STOOD_DOWN, members->self);
}

static void heard_double(struct krg_members *members, const struct krg_message *message,
			 const u8 *address, u64 now)
{
	struct krg_peer *own = &members->peers[members->self];

	if (answers(own, message)) {
		settle(members, message);
		return;
	}
	if (message->type == KRG_CHALLENGE)
		send_token(members, KRG_ANSWER, members->self, message->token, address);
	if (message->type == KRG_HEARTBEAT || message->type == KRG_CHALLENGE)
		challenge(members, members->self, address, now);
}

static void note(struct krg_members *members, const struct krg_message *message,
		 const u8 *address, u64 now)
{
	struct krg_peer *peer = &members->peers[message->from];
	bool present = !(message->flags & KRG_FLAG_JOINING);
	bool online = present && message->flags & KRG_FLAG_ONLINE;

	memcpy(peer->address, address, KRG_ADDRESS);
	peer->incarnation = message->incarnation;
	peer->sequence = message->sequence;
	peer->heard = now;
	peer->known = true;
	if (present && !peer->present) {
		peer->possible = true;
		peer->present = true;
		peer->warned = false;
		tell(members, KRG_EVENT_PRESENT, message->from);
	}
	if (online != peer->online) {
		peer->online = online;
		tell(members, online ? KRG_EVENT_ONLINE : KRG_EVENT_OFFLINE, message->from);
	}
}

static bool is_silent(const struct krg_peer *peer, u64 now)
{
	return now - peer->heard > KRG_FAIL;
}

/* Nothing is known of the sender's present life yet, or it is another node than we know. */
static void heard_stranger(struct krg_members *members, const struct krg_message *message,
			   const u8 *address, u64 now)
{
	struct krg_peer *peer = &members->peers[message->from];

	if (!answers(peer, message)) {
		challenge(members, message->from, address, now);
		return;
	}
	if (!peer->known || peer->incarnation == message->incarnation) {
		note(members, message, address, now);
		return;
	}
	/* The one that we know still speaks; it is believed until it has been silent. */
	if (!peer->warned)
		tell(members, KRG_EVENT_DOUBLE, message->from);
	peer->warned = true;
}

static void obey(struct krg_members *members, u8 command, u64 now)
{
	if (command == KRG_COMMAND_ADD && members->state == KRG_SELF_PRESENT) {
		members->held = false;
		become(members, KRG_SELF_ONLINE);
	} else if (command == KRG_COMMAND_REMOVE && members->state != KRG_SELF_JOINING) {
		members->held = true;
		become(members, KRG_SELF_PRESENT);
	} else if (command == KRG_COMMAND_POWEROFF || command == KRG_COMMAND_REBOOT) {
		members->stop = command;
		members->stop_asked = now;
	}
}

static void heard_known(struct krg_members *members, const struct krg_message *message,
			const u8 *address, u64 now)
{
	struct krg_peer *peer = &members->peers[message->from];

	if (message->sequence <= peer->sequence) {
		members->old++;
		return;
	}
	if (message->type == KRG_LEAVE) {
		lose(members, message->from, KRG_EVENT_LEFT);
		return;
	}
	note(members, message, address, now);
	if (message->type == KRG_ORDER && message->to == members->self)
		obey(members, message->command, now);
}

/**
 * krg_members_heard() - take in a message
 * @members: what this node knows
 * @message: a message of the session, with a good signature
 * @address: where it came from
 * @now: the time in milliseconds, which never goes back
 */
void krg_members_heard(struct krg_members *members, const struct krg_message *message,
		       const u8 *address, u64 now)
{
	struct krg_peer *peer = &members->peers[message->from];
	bool to_us = message->to == members->self;

	if (is_aside(members) || (!to_us && message->to != KRG_TO_ALL))
		return;
	if (message->from == members->self) {
		if (message->incarnation != members->incarnation)
			heard_double(members, message, address, now);
		return;
	}
	if (message->type == KRG_CHALLENGE && to_us)
		send_token(members, KRG_ANSWER, message->from, message->token, address);
	if (peer->known && peer->incarnation == message->incarnation && !is_silent(peer, now))
		heard_known(members, message, address, now);
	else
		heard_stranger(members, message, address, now);
}

static unsigned int count_present(const struct krg_members *members)
{
	unsigned int count = 0;
	u16 node;

	for (node = 0; node < KRG_MAX_NODES; node++)
		count += krg_members_state(members, node) >= KRG_NODE_PRESENT;
	return count;
}

static bool is_done(const struct krg_peer *peer)
{
	switch (peer->command) {
	case KRG_COMMAND_ADD:
		return peer->online;
	case KRG_COMMAND_REMOVE:
		return !peer->online;
	default:
		return false;	/* it goes */
	}
}

static void remind(struct krg_members *members, u16 node, u64 now)
{
	struct krg_peer *peer = &members->peers[node];

	if (is_done(peer) || now - peer->ordered > KRG_ORDER_TIME)
		peer->command = KRG_COMMAND_NONE;
	if (peer->command) {
		struct krg_message order = {
			.type = KRG_ORDER, .to = node, .command = peer->command
		};

		send(members, order, peer->address);
	}
}

static void stop_when_told(struct krg_members *members, u64 now)
{
	u16 node;

	/* The others are told first. */
	for (node = 0; node < KRG_MAX_NODES; node++)
		if (members->peers[node].command && now - members->stop_asked <= KRG_ORDER_TIME)
			return;
	krg_members_leave(members);
	members->stopped = true;
	tell(members, members->stop == KRG_COMMAND_REBOOT ? KRG_EVENT_REBOOT : KRG_EVENT_POWEROFF,
	     members->self);
}

/**
 * krg_members_tick() - do what is due; to be called every KRG_TICK
 * @members: what this node knows
 * @now: the time in milliseconds
 */
void krg_members_tick(struct krg_members *members, u64 now)
{
	u16 node;

	if (is_aside(members))
		return;
	if (members->state == KRG_SELF_JOINING && now - members->born >= KRG_JOIN)
		become(members, KRG_SELF_PRESENT);
	for (node = 0; node < KRG_MAX_NODES; node++) {
		if (members->peers[node].known && is_silent(&members->peers[node], now))
			lose(members, node, KRG_EVENT_FAILED);
		if (members->peers[node].command)
			remind(members, node, now);
	}
	if (members->state == KRG_SELF_PRESENT && !members->held && members->nb_nodes_min &&
	    count_present(members) >= members->nb_nodes_min)
		become(members, KRG_SELF_ONLINE);
	send_all(members, KRG_HEARTBEAT);
	if (members->stop)
		stop_when_told(members, now);
}

/**
 * krg_members_start() - begin to live
 * @members: zero but for its numbers, what is possible, and the outside
 * @now: the time in milliseconds
 */
void krg_members_start(struct krg_members *members, u64 now)
{
	members->state = KRG_SELF_JOINING;
	members->born = now;
	members->incarnation = members->outside->random(members->context);
	members->peers[members->self].possible = true;
	send_all(members, KRG_HEARTBEAT);
}

/**
 * krg_members_leave() - tell the others that this node goes
 * @members: what this node knows
 */
void krg_members_leave(struct krg_members *members)
{
	if (!is_aside(members))
		send_all(members, KRG_LEAVE);
}

static int order_fault(const struct krg_members *members, const struct krg_order *order)
{
	u16 node;

	if (!order->command || order->command >= KRG_COMMANDS)
		return -EINVAL;
	if (members->state == KRG_SELF_CONFLICT)
		return -ENOTUNIQ;
	for (node = 0; node < KRG_MAX_NODES; node++)
		if (krg_in_set(order->nodes, node) &&
		    krg_members_state(members, node) < KRG_NODE_PRESENT)
			return -ENODEV;
	return 0;
}

/**
 * krg_members_order() - tell nodes to do something
 * @members: what this node knows
 * @order: what, and which nodes
 * @now: the time in milliseconds
 *
 * Return: 0; -EINVAL where there is no such command, -ENODEV where a node is not present,
 * -ENOTUNIQ where this node has stood down. Then nothing is done.
 */
int krg_members_order(struct krg_members *members, const struct krg_order *order, u64 now)
{
	int fault = order_fault(members, order);
	u16 node;

	if (fault)
		return fault;
	for (node = 0; node < KRG_MAX_NODES; node++) {
		struct krg_peer *peer = &members->peers[node];

		if (!krg_in_set(order->nodes, node))
			continue;
		if (node == members->self) {
			obey(members, order->command, now);
			continue;
		}
		peer->command = order->command;
		peer->ordered = now;
		remind(members, node, now);
	}
	return 0;
}

/**
 * krg_members_state() - what a node is
 * @members: what this node knows
 * @node: the node's id, below KRG_MAX_NODES
 *
 * Return: its state.
 */
enum krg_node_state krg_members_state(const struct krg_members *members, u16 node)
{
	const struct krg_peer *peer = &members->peers[node];

	if (node == members->self) {
		if (members->state == KRG_SELF_ONLINE)
			return KRG_NODE_ONLINE;
		return members->state == KRG_SELF_PRESENT ? KRG_NODE_PRESENT : KRG_NODE_POSSIBLE;
	}
	if (peer->present)
		return peer->online ? KRG_NODE_ONLINE : KRG_NODE_PRESENT;
	return peer->possible ? KRG_NODE_POSSIBLE : KRG_NODE_NONE;
}
