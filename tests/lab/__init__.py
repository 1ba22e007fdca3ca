# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests and the demo run in: root file systems, and a small RPM distribution."""
