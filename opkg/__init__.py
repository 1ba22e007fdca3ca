# SPDX-License-Identifier: GPL-2.0-or-later
"""The shared language of builder, repository server and OPD: what an OPKG is, and for which target.

Nothing here opens a network connection or knows one of the three programs.
"""
