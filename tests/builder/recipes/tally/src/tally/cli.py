# SPDX-License-Identifier: GPL-2.0-or-later
"""Counts words."""

import sys


def main() -> None:
    print(len(sys.stdin.read().split()))
