# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies of other repositories: verified, resumed, and shown only when they are whole."""
