# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds for all tests."""

from __future__ import annotations

import signal

# Who started the tests may have left signals ignored, as nohup does, and a shell with what it runs
# in the background: the programs under test would inherit that, and could not be interrupted.
for _number, _default in {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGHUP: signal.SIG_DFL,
}.items():
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _default)
