# SPDX-License-Identifier: GPL-2.0-or-later
"""The cluster database on a server: MariaDB, started for these tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, event

from opd.oda import Base, Image, Oda, ScriptRun, database_url, now
from opkg.errors import OpkgError
from tests.opd.conftest import Opd, Repository
from tests.programs import forked

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    """The socket of a server; it listens nowhere else. The path of a socket must be short."""
    with tempfile.TemporaryDirectory(prefix="oda") as folder:
        data, path = Path(folder, "data"), Path(folder, "socket")
        common = ["--no-defaults", "--user=root", f"--datadir={data}"]
        subprocess.run(
            ["mariadb-install-db", *common, "--auth-root-authentication-method=normal"],
            check=True,
            capture_output=True,
        )
        server = subprocess.Popen(
            ["mariadbd", *common, f"--socket={path}", "--skip-networking",
             f"--pid-file={folder}/pid", "--innodb-flush-log-at-trx-commit=0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            ping = ["mariadb-admin", "--no-defaults", f"--socket={path}", "ping"]
            while subprocess.run(ping, capture_output=True).returncode:
                assert server.poll() is None
                time.sleep(0.1)
            yield path
        finally:
            server.terminate()
            server.wait()


def run_sql(socket: Path, statement: str) -> None:
    argv = ["mariadb", "--no-defaults", f"--socket={socket}", "--execute", statement]
    subprocess.run(argv, check=True)


@pytest.fixture
def database(socket: Path) -> Iterator[str]:
    """A database for one test."""
    run_sql(socket, "CREATE DATABASE oscar CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    yield f"mysql://root@localhost/oscar?unix_socket={socket}"
    run_sql(socket, "DROP DATABASE oscar")


def test_the_tables_are_those_that_the_code_knows(database: str, tmp_path: Path) -> None:
    oda = Oda(database_url(database), tmp_path / "lock")
    with oda.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    number = oda.begin("opd install a")
    output = "ü" * 100_000
    oda.add(
        ScriptRun(transaction_id=number, place="headnode", opkg="a", version="1", phase="p",
                  script="s", status=0, started=now(), output=output)
    )  # fmt: skip
    oda.end(number, outcome="done")
    [row] = Oda(database_url(database), tmp_path / "lock").history()
    assert (row.outcome, row.runs[0].output, row.runs[0].undone) == ("done", output, False)


def die_at_a_change() -> None:
    """Let this process be killed once it has changed what tables there are."""

    def die(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().startswith(("ALTER", "CREATE")):
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "after_cursor_execute", die)


def test_whoever_was_killed_at_the_first_opening_is_no_hindrance(
    database: str, tmp_path: Path
) -> None:
    """Each makes one table and is killed: here that is for good at once."""
    words = ("--state", tmp_path, "--db", database, "node", "list")
    killed = 0
    while (done := forked("opd", *words, first=die_at_a_change)).returncode == -signal.SIGKILL:
        killed += 1
    assert done.returncode == 0, done.stderr
    assert killed > len(Base.metadata.tables)
    with Oda(database_url(database), tmp_path / "lock").engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_many_may_open_it_first_at_once(database: str, tmp_path: Path) -> None:
    def enter(number: int) -> None:
        oda = Oda(database_url(database), tmp_path / "lock")
        oda.save(Image(name=f"i{number}", target="t", path="p", created=now()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(8)))
    rows = Oda(database_url(database), tmp_path / "lock").rows("images", [("target", "t")])
    assert [row["name"] for row in rows] == [f"i{number}" for number in range(8)]


@pytest.mark.parametrize("text", ["oda", "sqlite:///x", "mysql://host", "oracle://host/x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OpkgError, match="no address of a database"):
        database_url(text)


def test_a_cluster_is_kept_there(
    database: str,
    tmp_path: Path,
    headnode: Path,
    env: dict[str, str],
    published: Repository,
    url: str,
) -> None:
    opd = Opd(tmp_path / "state", headnode, {**env, "OPD_DB": database})
    opd.run("repo", "add", url, "--root-key", published.root_json, "--name", "test")
    opd.run("image", "create", "rpm", "-t", "demo-rpm")
    opd.run("node", "add", "n[1-2]", "--image", "rpm")
    opd.run("install", "alpha")
    assert not (opd.state / "oda.sqlite").exists()

    def shown(*words: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(opd.run("oda", "show", *words).out)
        return found

    assert [row["name"] for row in shown("nodes")] == ["headnode", "n1", "n2"]
    assert [row["name"] for row in shown("client nodes")] == ["n1", "n2"]
    alpha = {"package": "alpha", "version": "1.0-1"}
    assert shown("list_selected_packages") == [alpha]
    status = {"node": "n2", **alpha, "status": "installed"}
    assert shown("node_package_status_for_node", "n2") == [status]
    opd.run("--db", database, "undo")
    assert shown("node_package_status_for_node", "n2") == []
    history = opd.json("history")
    assert [row["outcome"] for row in history][:2] == ["done", "done"]
    assert database not in history[0]["command"]

    wrong = opd.run(
        "--db", "mysql://me:secret@localhost/x?unix_socket=/nowhere", "history", status=1
    )
    assert "is it running" in wrong.err
    assert "secret" not in wrong.err
