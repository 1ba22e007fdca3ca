/* SPDX-License-Identifier: GPL-2.0-only */
/* All of libkerrighed. */
#ifndef KERRIGHED_H
#define KERRIGHED_H

#include <kerrighed/capability.h>
#include <kerrighed/hotplug.h>
#include <kerrighed/interface.h>
#include <kerrighed/node_set.h>
#include <kerrighed/unsupported.h>

#endif
