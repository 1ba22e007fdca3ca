/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KRG_MESSAGE_H
#define KRG_MESSAGE_H

#include "plain.h"

/* The first of the two numbers that IEEE 802 leaves to local use. */
#define KRG_ETHERTYPE 0x88b5

#define KRG_MESSAGE_SIGNED 40	/* what the signature is over */
#define KRG_SIGNATURE 32	/* HMAC-SHA-256 with the session's key */
#define KRG_MESSAGE_SIZE (KRG_MESSAGE_SIGNED + KRG_SIGNATURE)

enum krg_message_type {
	KRG_HEARTBEAT = 1,	/* to all: I live, and this is my state */
	KRG_CHALLENGE,		/* to one: say this token back to me */
	KRG_ANSWER,		/* to one: your token */
	KRG_ORDER,		/* to one: do this */
	KRG_LEAVE,		/* to all: I go */
	KRG_MESSAGE_TYPES
};

#define KRG_TO_ALL 0xffff
#define KRG_FLAG_ONLINE 1
#define KRG_FLAG_JOINING 2
#define KRG_FLAGS 3

struct krg_message {
	u8 type;
	u8 flags;
	u8 command;
	u16 session;
	u16 from;
	u16 to;
	u64 incarnation;	/* a random number that a node has from its start to its end */
	u64 sequence;		/* grows with each message of an incarnation */
	u64 token;
};

enum krg_unpacked { KRG_GOOD, KRG_MALFORMED, KRG_FOREIGN };

void krg_pack(const struct krg_message *message, u8 *bytes);
enum krg_unpacked krg_unpack(const u8 *bytes, size_t length, u16 session,
			     struct krg_message *message);

#endif
