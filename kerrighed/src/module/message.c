// SPDX-License-Identifier: GPL-2.0-only
/*
 * What nodes say to one another, as bytes. Numbers are in network order:
 *
 *	 0 "KRGH"    4 version    5 type    6 flags    7 command    8 session
 *	10 from     12 to        14 zero   16 incarnation          24 sequence
 *	32 token    40 signature over all before it
 */
#include "message.h"

#define MAGIC "KRGH"
#define VERSION 1

static void put(u8 *bytes, u64 value, unsigned int size)
{
	while (size--) {
		bytes[size] = value & 0xff;
		value >>= 8;
	}
}

static u64 get(const u8 *bytes, unsigned int size)
{
	u64 value = 0;

	while (size--)
		value = value << 8 | *bytes++;
	return value;
}

/**
 * krg_pack() - write a message without its signature
 * @message: what to write
 * @bytes: room for KRG_MESSAGE_SIGNED bytes
 */
void krg_pack(const struct krg_message *message, u8 *bytes)
{
	memcpy(bytes, MAGIC, 4);
	bytes[4] = VERSION;
	bytes[5] = message->type;
	bytes[6] = message->flags;
	bytes[7] = message->command;
	put(bytes + 8, message->session, 2);
	put(bytes + 10, message->from, 2);
	put(bytes + 12, message->to, 2);
	put(bytes + 14, 0, 2);
	put(bytes + 16, message->incarnation, 8);
	put(bytes + 24, message->sequence, 8);
	put(bytes + 32, message->token, 8);
}

/**
 * krg_unpack() - read a message whose signature is looked at by somebody else
 * @bytes: what came
 * @length: how much of it
 * @session: the session that this node belongs to
 * @message: what it says, if it is good
 *
 * Return: KRG_GOOD; KRG_FOREIGN for another session; KRG_MALFORMED for all else.
 */
enum krg_unpacked krg_unpack(const u8 *bytes, size_t length, u16 session,
			     struct krg_message *message)
{
	if (length != KRG_MESSAGE_SIZE || memcmp(bytes, MAGIC, 4) || bytes[4] != VERSION)
		return KRG_MALFORMED;
	message->type = bytes[5];
	message->flags = bytes[6];
	message->command = bytes[7];
	message->session = get(bytes + 8, 2);
	message->from = get(bytes + 10, 2);
	message->to = get(bytes + 12, 2);
	message->incarnation = get(bytes + 16, 8);
	message->sequence = get(bytes + 24, 8);
	message->token = get(bytes + 32, 8);
	if (!message->type || message->type >= KRG_MESSAGE_TYPES ||
	    message->flags & ~KRG_FLAGS || message->command >= KRG_COMMANDS || get(bytes + 14, 2) ||
	    !message->session || message->session > KRG_MAX_SESSION ||
	    message->from >= KRG_MAX_NODES ||
	    (message->to >= KRG_MAX_NODES && message->to != KRG_TO_ALL))
		return KRG_MALFORMED;
	return message->session == session ? KRG_GOOD : KRG_FOREIGN;
}
