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
    script = f'{processes}\nsleep 0.1; status=0; "$@" || status=$?\n{then}\nexit $status'
    return ran([*argv, script, "test", shell, str(C3_SOURCE / "bin/ckillnode"), *words])


STARTED = """
cp /usr/bin/sleep /tmp/job; cp /usr/bin/sleep /tmp/a-name-of-20-letters
/tmp/job 50 & first=$!
/tmp/job 50 & second=$!
/tmp/a-name-of-20-letters 50 & long=$!
sleep 50 & other=$!
"""
WHO_IS_LEFT = (
    "for each in first second long other; do kill -0 ${!each} 2>/dev/null && echo $each; done"
)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("job",), {"long", "other"}),
        (("-s", "KILL", "job"), {"long", "other"}),
        (("-s", "SIGTERM", "--", "job"), {"long", "other"}),
        (("-s", "9", "-u", "ALL", "job"), {"long", "other"}),
        (("-u", "root", "job"), {"long", "other"}),
        (("-u", "nobody", "job"), {"first", "second", "long", "other"}),
        (("-s", "0", "job"), {"first", "second", "long", "other"}),
        (("a-name-of-20-letters",), {"first", "second", "other"}),
        # The kernel calls both the same.
        (("a-name-of-20-words",), {"first", "second", "long", "other"}),
        (("nosuch",), {"first", "second", "long", "other"}),
    ],
)
def test_processes_of_the_name_are_signalled_and_no_others(
    shell: str, words: tuple[str, ...], left: set[str]
) -> None:
    done = among(STARTED, *words, shell=shell, then=f"sleep 0.1; {WHO_IS_LEFT}")
    assert done.status == 0, done.err
    numbers = [line for line in done.out.splitlines() if line.isdigit()]
    assert {line for line in done.out.splitlines() if not line.isdigit()} == left
    assert bool(numbers) is (left != {"first", "second", "long", "other"} or "0" in words)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_known_by_its_own_name(shell: str) -> None:
    started = """
    printf '#!/bin/sh\\nsleep 50; true\\n' > /tmp/my-script; chmod +x /tmp/my-script
    /tmp/my-script & script=$!
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
