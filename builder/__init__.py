# SPDX-License-Identifier: GPL-2.0-or-later
"""opkgc, the OPKG compiler: OPKG directories become native packages and a manifest."""
