# SPDX-License-Identifier: GPL-2.0-or-later
"""The library of OPKGs: their programs, scripts and metadata."""
