# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps by which an older cluster database becomes one of today."""
