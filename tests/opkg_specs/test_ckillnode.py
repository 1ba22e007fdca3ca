# SPDX-License-Identifier: GPL-2.0-or-later
"""ckillnode, in a machine of its own as far as processes go: it signals by name."""

from __future__ import annotations

import pytest

from tests.opkg_specs.conftest import C3_SOURCE, Ran, ran

SHELLS = ("dash", "bash")


def among(processes: str, *words: str, shell: str = "dash", then: str = "true") -> Ran:
    """Run ckillnode among processes that a piece of shell starts, then another piece."""
    argv = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]
    argv += ["--unshare-pid", "--cap-add", "ALL", "--die-with-parent", "--as-pid-1", "bash", "-c"]
    script = f'{STARTING}\n{processes}\nstatus=0; "$@" > /tmp/told || status=$?\n'
    script += f"cat /tmp/told\n{then}\nexit $status"
    return ran([*argv, script, "test", shell, str(C3_SOURCE / "bin/ckillnode"), *words])


STARTING = """
# start PROGRAM: run it for a while, and go on when it is there under its name.
start() {
    "$1" 50 &
    until [ "$(cat /proc/$!/comm)" = "$(printf %.15s "${1##*/}")" ]; do :; done
}
"""
STARTED = """
cp /usr/bin/sleep /tmp/job; cp /usr/bin/sleep /tmp/a-name-of-20-letters
start /tmp/job; first=$!
start /tmp/job; second=$!
start /tmp/a-name-of-20-letters; long=$!
start sleep; other=$!
"""
WHO_IS_LEFT = """
for number in $(cat /tmp/told); do wait $number; done
for each in first second long other; do kill -0 ${!each} 2> /dev/null && echo $each; done
"""
ALL = {"first", "second", "long", "other"}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "ended"),
    [
        (("job",), {"first", "second"}),
        (("-s", "KILL", "job"), {"first", "second"}),
        (("-s", "SIGTERM", "--", "job"), {"first", "second"}),
        (("-s", "9", "-u", "ALL", "job"), {"first", "second"}),
        (("-u", "root", "job"), {"first", "second"}),
        (("-u", "nobody", "job"), set()),
        (("a-name-of-20-letters",), {"long"}),
        # The kernel keeps the same 15 characters of both.
        (("a-name-of-20-lemons",), set()),
        (("nosuch",), set()),
    ],
)
def test_processes_of_the_name_are_signalled_and_no_others(
    shell: str, words: tuple[str, ...], ended: set[str]
) -> None:
    done = among(STARTED, *words, shell=shell, then=WHO_IS_LEFT)
    assert done.status == 0, done.err
    told = done.out.split()
    assert sum(word.isdigit() for word in told) == len(ended)
    assert {word for word in told if not word.isdigit()} == ALL - ended


@pytest.mark.parametrize("shell", SHELLS)
def test_signal_0_only_says_what_there_is(shell: str) -> None:
    done = among(STARTED, "-s", "0", "job", shell=shell, then="kill $first $second && echo alive")
    assert len(done.out.split()) == 3
    assert "alive" in done.out


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_known_by_its_own_name(shell: str) -> None:
    started = """
    printf '#!/bin/sh\\nsleep 50; true\\n' > /tmp/my-script; chmod +x /tmp/my-script
    start /tmp/my-script; script=$!
    """
    done = among(started, "my-script", shell=shell, then="wait $script; echo ended with $?")
    assert "ended with 143" in done.out


@pytest.mark.parametrize("shell", SHELLS)
def test_a_process_of_somebody_else_that_may_not_be_signalled_is_a_failure(shell: str) -> None:
    started = STARTED + 'set -- setpriv --reuid 65534 --clear-groups "$@"'
    assert among(started, "-u", "ALL", "job", shell=shell).status == 1
    assert among(started, "job", shell=shell).status == 0


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "words",
    [(), ("a", "b"), ("-s",), ("-s", "NOSUCH", "a"), ("-u", "nosuch", "a"), ("-x", "a"), ("",)],
)
def test_wrong_usage_is_status_2(shell: str, words: tuple[str, ...]) -> None:
    refused = among("", *words, shell=shell)
    assert refused.status == 2
    assert refused.err.startswith("ckillnode: ")
