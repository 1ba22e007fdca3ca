# SPDX-License-Identifier: GPL-2.0-or-later
"""opkg-repo: a signed tree of packages that plain apt, dnf and zypper read, and OPD."""
