/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What nodes_file.c, message.c and members.c stand on. They decide and do nothing else, so they
 * are compiled into the module and, for their tests, into a library of an ordinary program.
 */
#ifndef KRG_PLAIN_H
#define KRG_PLAIN_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#endif

#include "interface.h"

static inline bool krg_in_set(const u8 *set, unsigned int id)
{
	return set[id / 8] & (1u << (id % 8));
}

static inline void krg_into_set(u8 *set, unsigned int id)
{
	set[id / 8] |= 1u << (id % 8);
}

#endif
