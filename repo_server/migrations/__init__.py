# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps by which an older catalog becomes one of today."""
