# SPDX-License-Identifier: GPL-2.0-or-later
"""The older generations of config.xml."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opkg.config_xml import read_config
from opkg.errors import Diagnostic, InvalidInputError
from opkg.older_filters import Condition, merged
from opkg.resolve import applies, native_packages
from opkg.spec import DistFilter, Kind, Opkg, Part, Relation
from opkg.target import known_targets
from tests.opkg.older_documents import ALL, BARE, BPL, DTD, RPMLIST, documents

SERVER, CLIENT = frozenset((Part.SERVER,)), frozenset((Part.CLIENT,))
BOTH, API, OPKG = SERVER | CLIENT, frozenset((Part.API,)), frozenset[Part]()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "clock"
    folder.mkdir()
    return folder


def read(folder: Path, text: str | bytes) -> tuple[Opkg, tuple[Diagnostic, ...]]:
    path = folder / "config.xml"
    path.write_bytes(text.encode("latin-1") if isinstance(text, str) else text)
    return read_config(path)


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        read(folder, text)
    return [f"{d.line}: {d.message}" for d in caught.value.diagnostics if d.severity == "error"]


def relations(opkg: Opkg, parts: frozenset[Part], kind: Kind = Kind.REQUIRES) -> list[str]:
    return [
        relation.name
        for dep in opkg.dependencies
        if dep.parts == parts and dep.kind is kind
        for relation in dep.relations
    ]


def test_the_dtd_generation_lists_rpms_for_all_server_and_client(folder: Path) -> None:
    opkg, _ = read(folder, DTD)
    assert (opkg.name, str(opkg.version), opkg.category) == ("clock", "1:3.1.1-2", "core")
    assert opkg.licence == "Freely distributable"
    assert opkg.uri == "http://clock.example/"
    assert relations(opkg, BOTH) == ["rsync"]
    assert relations(opkg, SERVER) == ["clock-server", "clock-compat"]
    assert relations(opkg, CLIENT) == ["clock"]


def test_the_rpmlist_generation_filters_by_attributes(folder: Path) -> None:
    opkg, _ = read(folder, RPMLIST)
    assert str(opkg.version) == "6.0u8.0-3oscar"
    assert opkg.category == "included"
    assert opkg.availability.archs == ("i386",)
    assert relations(opkg, BOTH) == ["clock"]
    (filtered,) = [dep for dep in opkg.dependencies if dep.parts == SERVER]
    assert filtered.filter.dists == (
        DistFilter(name="fc", rel="=", version="2"),
        DistFilter(name="rhel", rel="=", version="3"),
        DistFilter(name="rhel", rel="=", version="4"),
        DistFilter(name="rhel", rel="=", version="2"),
        DistFilter(name="redhat", rel="=", version="9"),
        DistFilter(name="mdv"),
    )
    assert filtered.relations == (Relation(name="clock-server"),)


def test_the_binary_package_list_generation_filters_by_elements(folder: Path) -> None:
    opkg, _ = read(folder, BPL)
    (clients,) = [dep for dep in opkg.dependencies if dep.parts == CLIENT]
    assert clients.filter.dists == (
        DistFilter(name="rhel"),
        DistFilter(name="mdv", rel="=", version="10.1"),
    )
    assert clients.filter.archs == ("x86_64",)
    assert [relation.name for relation in clients.relations] == ["clock", "clock-tools"]
    assert relations(opkg, BOTH) == ["rsync"]
    assert relations(opkg, API) == ["perl"]
    assert opkg.description == "Keeps the time.\n\nAnd tells it."


def test_an_opkg_without_any_list_is_read(folder: Path) -> None:
    opkg, warnings = read(folder, BARE)
    assert opkg.dependencies == ()
    assert str(opkg.version) == "1-1"
    assert opkg.groups == ("Applications/System",)
    assert any("there is no <group>" in warning.message for warning in warnings)


def test_relations_between_opkgs_are_kept(folder: Path) -> None:
    opkg, warnings = read(folder, RPMLIST)
    assert relations(opkg, OPKG, Kind.PROVIDES) == ["time"]
    assert relations(opkg, OPKG, Kind.CONFLICTS) == ["sundial"]
    assert relations(opkg, OPKG) == ["file-sync"]
    assert any("the OPKG “file_sync” is read as “file-sync”" in w.message for w in warnings)


def test_packagers_maintain_the_opkg_and_maintainers_the_software(folder: Path) -> None:
    opkg, _ = read(folder, RPMLIST)
    assert [(author.role, author.name) for author in opkg.authors] == [
        ("upstream", "The Clock Team"),
        ("maintainer", "Max"),
    ]
    assert opkg.maintainer.email == "max@clock.example"


def test_somebody_without_an_email_gets_one_that_reaches_nobody(folder: Path) -> None:
    opkg, warnings = read(folder, BPL)
    assert (opkg.maintainer.name, opkg.maintainer.email) == ("Benoît", "unknown@example.invalid")
    assert any(
        w.message.startswith("no email") and w.line == line_of("<packager>", BPL) for w in warnings
    )


@pytest.mark.parametrize(
    ("directory", "name"), [("clock", "clock"), ("kernel_picker", "kernel-picker"), ("Qt", "qt")]
)
def test_an_opkg_is_called_as_its_directory(tmp_path: Path, directory: str, name: str) -> None:
    folder = tmp_path / directory
    folder.mkdir()
    opkg, warnings = read(folder, RPMLIST)
    assert opkg.name == name
    (said,) = [w for w in warnings if "is its title" in w.message]
    assert said.line == 4
    assert f"called {name}, as its directory; “Cluster Clock”" in said.message


def test_a_directory_that_gives_no_name_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "_"
    folder.mkdir()
    assert "gives no name for an OPKG" in faults(folder, RPMLIST)[0]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        (DTD, "2002-11-02T00:45:44+00:00"),
        (RPMLIST, "2004-02-03T01:02:03+00:00"),
        (BPL, "2007-01-18T09:08:06+00:00"),
        (BARE, "2002-01-01T00:00:00+00:00"),
        (
            BPL.replace("5616 2007-01-18 09:08:06Z", ",v 1.0 2004/11/23"),
            "2004-11-23T00:00:00+00:00",
        ),
        (BPL.replace("2007-01-18", "2007-13-18"), "2002-01-01T00:00:00+00:00"),
    ],
)
def test_the_release_is_dated_by_the_newest_mark_of_version_control(
    folder: Path, text: str, date: str
) -> None:
    opkg, warnings = read(folder, text)
    assert opkg.changed.isoformat() == date
    told = any("bears no date" in warning.message for warning in warnings)
    assert told == date.startswith("2002-01-01")


def line_of(text: str, document: str = RPMLIST) -> int:
    return next(n for n, line in enumerate(document.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("<copyright>", "<copyright> has no place today, and is left out: 2002"),
        ("<vendor>", "<vendor> has no place today, and is left out: NCSA"),
        ("<servicelist>", "<servicelist> has no place today, and is left out: clockd"),
        ("<switcher>", "<switcher> has no place today, and is left out: time clock-6.0"),
        ("<oda>", "<oda> has no place today, and is left out: clocks read_records nodes"),
        ("<download>", "<download> has no place today, and is left out: http://clock.example/"),
        ('="9"', "redhat 9 is no release of what is called rhel today"),
        ("<summary>", "the summary has 72 characters: it is “One time for all nodes of a cluster,"),
        ("<class>", "the class “selected” is read as “included”"),
        ("<oscar>", "this is an older generation of config.xml (rpmlist)"),
    ],
)
def test_nothing_is_left_out_or_changed_in_silence(folder: Path, at: str, words: str) -> None:
    _, warnings = read(folder, RPMLIST)
    (said,) = [warning for warning in warnings if words in warning.message]
    assert said.line == line_of(at)
    assert said.hint


def test_what_an_opkg_kept_for_itself_is_named_too(folder: Path) -> None:
    _, warnings = read(folder, BPL)
    words = "<switcher> in <package-specific-attributes> has no place today, and is left out: time"
    assert any(words in warning.message for warning in warnings)


def test_a_summary_that_is_cut_stands_in_the_description(folder: Path) -> None:
    opkg, _ = read(folder, RPMLIST)
    assert opkg.summary == "One time for all nodes of a cluster, which is a thing that they…"
    assert opkg.description == (
        "One time for all nodes of a cluster, which is a thing that they all need\n\n"
        "Keeps the time."
    )


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('group="oscar_server" distribution="fedora"', 'group="x"', "the group is “x”"),
        ("<rpm>clock</rpm>", "<rpm>clock 1.0</rpm>", "“clock 1.0” is not the name"),
        ("<rpm>clock</rpm>", "<rmp>clock</rmp>", "<rmp> is not known in <rpmlist>"),
        ("<type>package</type><name>time", "<type>rpm</type><name>time", "the type is “rpm”"),
        ("<oda>", "<serverDeps/><oda>", "<serverDeps> is of the current generation"),
        ("<oda>", "<rpmlst/><oda>", "<rpmlst> is not known in <oscar>"),
        ("<summary>", "<summary/><summary>", "a second <summary>"),
        ("<filter architecture='ia32' />", "<filter group='oscar_server'/>", "today's filters"),
        (' distribution="fedora"', "", "release 2 of which distribution?"),
        ("<rpm>clock</rpm>", "<filter grp='a'/><rpm>clock</rpm>", "<filter> has an unknown"),
    ],
)
def test_what_would_be_lost_is_an_error(folder: Path, old: str, new: str, fault: str) -> None:
    found = faults(folder, RPMLIST.replace(old, new, 1))
    assert any(line.startswith(f"{line_of(old)}: {fault}") for line in found), found


@pytest.mark.parametrize(
    ("new", "fault"),
    [("", "<major> is missing"), ("<major>six</major>", "“six.0u8.0-3oscar” is not a version")],
)
def test_a_version_that_cannot_be_one_is_an_error_at_its_element(
    folder: Path, new: str, fault: str
) -> None:
    found = faults(folder, RPMLIST.replace("<major>6</major>", new))
    assert f"{line_of('<version>')}: {fault}" in found


@pytest.mark.parametrize("kind", ALL)
def test_every_generation_is_known_by_its_marks(folder: Path, kind: str) -> None:
    _, warnings = read(folder, ALL[kind])
    names = {"bpl": "binary-package-list"}
    said = f"this is an older generation of config.xml ({names.get(kind, kind)})"
    assert said in [warning.message for warning in warnings]


@pytest.mark.parametrize(
    ("group", "parts"),
    [("oscar_api", API), ("oscar_client", CLIENT), ("oscar_clients", CLIENT), ("", BOTH)],
)
def test_a_list_is_for_its_group_alone(folder: Path, group: str, parts: frozenset[Part]) -> None:
    lists = f"<rpmlist><filter group='{group}'/><rpm>sand</rpm></rpmlist>"
    opkg, _ = read(folder, BARE.replace("</package>", f"{lists}</package>"))
    assert [(dep.parts, dep.relations) for dep in opkg.dependencies] == [
        (parts, (Relation(name="sand"),))
    ]


def test_lists_are_for_the_targets_that_they_name(folder: Path) -> None:
    text = RPMLIST.replace("<filter architecture='ia32' />", "")
    text = text.replace('distribution="redhat" distribution_version="el4"', 'distribution="redhat"')
    opkg, _ = read(folder, text)
    for platform, listed in {"rocky-9-x86_64": True, "debian-12-x86_64": False}.items():
        _, server, _ = native_packages(opkg, None, known_targets().find(platform))
        names = {relation.name for _, relation in server.relations}
        assert ("clock-server" in names) == listed


def test_red_hat_linux_9_is_not_release_9_of_its_successor(folder: Path) -> None:
    text = RPMLIST.replace("<filter architecture='ia32' />", "")
    opkg, _ = read(folder, text)
    _, server, _ = native_packages(opkg, None, known_targets().find("rocky-9-x86_64"))
    assert "clock-server" not in {relation.name for _, relation in server.relations}


_DISTS = [None, *(DistFilter(name=name) for name in ("rhel", "fc", "debian"))]
_ARCHS = ["", "x86_64", "aarch64"]
_CONDITIONS = st.builds(
    Condition,
    parts=st.sampled_from([SERVER, CLIENT, BOTH, API]),
    dist=st.sampled_from(_DISTS),
    arch=st.sampled_from(_ARCHS),
)


@given(conditions=st.lists(_CONDITIONS, max_size=6))
def test_todays_filters_hold_where_any_of_the_old_ones_held(conditions: list[Condition]) -> None:
    table = known_targets()
    found = merged(conditions)
    assert all(parts for parts, _ in found)
    for platform, arch in product(("rocky-9", "fedora-43", "debian-12", "sles-15"), _ARCHS[1:]):
        target = table.find(f"{platform}-{arch}")
        for part in Part:
            held = any(
                part in old.parts
                and (old.dist is None or old.dist.name in target.ordered_words)
                and old.arch in ("", arch)
                for old in conditions
            )
            holds = [parts for parts, new in found if part in parts and applies(new, target)]
            assert bool(holds) == held


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(data=documents())
def test_every_file_of_an_older_generation_is_read(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    opkg, warnings = read(tmp_path_factory.mktemp("old"), data)
    assert opkg.releases[0].changes
    assert opkg.name.startswith("old")
    assert any("older generation" in warning.message for warning in warnings)


@pytest.mark.parametrize("kind", ["dtd", "rpmlist"])
def test_latin_1_is_read_as_such(folder: Path, kind: str) -> None:
    opkg, _ = read(folder, ALL[kind].replace(b"<name>Max", b"<name>Ren\xe9"))
    assert opkg.maintainer.name == "René"


def test_latin_1_that_does_not_say_so_is_refused_with_what_to_write(folder: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(folder, BARE.replace("Max", "René"))
    (fault,) = caught.value.diagnostics
    assert fault.line == 7
    assert fault.message == "holds bytes that are not UTF-8"
    assert 'encoding="ISO-8859-1"' in fault.hint
