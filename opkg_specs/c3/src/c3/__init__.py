# SPDX-License-Identifier: GPL-2.0-or-later
"""Cluster Command and Control: the commands that run on a head node and act on its nodes."""

__version__ = "6.0"
