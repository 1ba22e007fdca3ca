# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from opkg.config_xml import read_config
from opkg.errors import Diagnostic, InvalidInputError
from opkg.spec import DistFilter, Kind, Opkg, Part, Relation

CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<oscar>
  <name>sample</name>
  <class>core</class>
  <summary>A sample</summary>
  <description>First line
goes on.

  Second paragraph.</description>
  <license>GPL</license>
  <group>Applications/System</group>
  <uri>https://sample.example/</uri>
  <authors>
    <author cat="upstream"><name>Una</name><email>una@sample.example</email></author>
    <author cat="maintainer"><name>Max</name><email>max@sample.example</email></author>
  </authors>
  <provides><pkg>thing</pkg></provides>
  <serverDeps>
    <requires>
      <filters><dist version="9" rel=">=">rhel</dist><arch>x86_64</arch></filters>
      <pkg rel=">=" version="1.2">alpha</pkg>
      <pkg>beta</pkg>
    </requires>
    <suggests><pkg>gamma</pkg></suggests>
  </serverDeps>
  <commonDeps><requires><pkg>delta</pkg></requires></commonDeps>
  <apiDeps/>
  <changelog>
    <versionEntry version="1:2.0-1">
      <changelogEntry authorName="Max" date="2026-03-01T12:00:00+01:00" closes="12 34">
        <item>New version.</item>
      </changelogEntry>
    </versionEntry>
    <versionEntry version="1.0-1">
      <changelogEntry authorName="Una" date="2020-01-01T00:00:00Z">
        <item>First.</item>
      </changelogEntry>
    </versionEntry>
  </changelog>
</oscar>
"""


def read(folder: Path, text: str | bytes) -> tuple[Opkg, tuple[Diagnostic, ...]]:
    path = folder / "config.xml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_config(path)


def faults(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        read(folder, text)
    return [f"{d.line}: {d.message}" for d in caught.value.diagnostics if d.severity == "error"]


def test_everything_in_the_file_is_read(tmp_path: Path) -> None:
    opkg, warnings = read(tmp_path, CONFIG)
    assert not warnings
    assert (opkg.name, opkg.category, opkg.licence) == ("sample", "core", "GPL")
    assert opkg.description == "First line goes on.\n\nSecond paragraph."
    assert str(opkg.version) == "1:2.0-1"
    assert opkg.maintainer.name == "Max"
    assert opkg.changed.isoformat() == "2026-03-01T12:00:00+01:00"
    assert opkg.releases[0].changes[0].closes == (12, 34)
    own, server, suggested, common = opkg.dependencies
    assert own.parts == frozenset()
    assert own.kind is Kind.PROVIDES
    assert server.parts == {Part.SERVER}
    assert server.relations == (
        Relation(name="alpha", rel=">=", version="1.2"),
        Relation(name="beta"),
    )
    assert server.filter.dists == (DistFilter(name="rhel", rel=">=", version="9"),)
    assert server.filter.archs == ("x86_64",)
    assert suggested.kind is Kind.SUGGESTS
    assert common.parts == {Part.SERVER, Part.CLIENT}


def test_the_declared_encoding_is_honoured(tmp_path: Path) -> None:
    text = CONFIG.replace("UTF-8", "ISO-8859-1").replace("Una", "Zoé")
    opkg, _ = read(tmp_path, text.encode("latin-1"))
    assert opkg.authors[0].name == "Zoé"


def test_a_version_without_a_relation_means_equal(tmp_path: Path) -> None:
    opkg, _ = read(tmp_path, CONFIG.replace('rel=">=" version="1.2"', 'version="1.2"'))
    assert opkg.dependencies[1].relations[0] == Relation(name="alpha", rel="=", version="1.2")


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (">thing</pkg></provides>", ">thing</pkg></provide>", "<provide> is read as <provides>"),
        (">rhel<", ">RHEL<", "“RHEL” is read as “rhel”"),
        ("2026-03-01T12:00:00+01:00", "2026-03-1TT12:00:00+01:00", "is read as 2026-03-01"),
        ("2026-03-01T12:00:00+01:00", "2026-03-01 12:00:00+01:00", "is read as 2026-03-01"),
        ("2026-03-01T12:00:00+01:00", "2026-19-26T12:00:00+01:00", "is read as 2026-01-01"),
        ("2026-03-01T12:00:00+01:00", "2026-02-30T12:00:00+01:00", "is read as 2026-02-01"),
        (">GPL<", ">GPL license<", "the licence “GPL license” is read as “GPL”"),
    ],
)
def test_what_is_harmless_is_read_with_a_warning(
    tmp_path: Path, old: str, new: str, warning: str
) -> None:
    text = CONFIG.replace(old, new)
    if "</provide>" in new:
        text = text.replace("<provides>", "<provide>")
    opkg, warnings = read(tmp_path, text)
    assert [warning in w.message for w in warnings] == [True]
    reference, _ = read(tmp_path, CONFIG)
    assert opkg.dependencies == reference.dependencies


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("<name>sample</name>", "", "2: <name> is missing"),
        ("<class>core</class>", "<class>vital</class>", "4: the class is “vital”"),
        ("A sample", "A" * 68, "5: the summary has 68 characters"),
        ("<license>GPL</license>", "", "2: <license> is missing"),
        ('cat="upstream"', 'cat="boss"', "14: the author's cat is “boss”"),
        ("<apiDeps/>", "<apiDep><x/></apiDep><nonsense/>", "27: <nonsense> is not known"),
        ("<pkg>beta</pkg>", "<pkg></pkg>", "22: <pkg> names nothing"),
        ("<pkg>beta</pkg>", '<pkg rel="~" version="1">beta</pkg>', "22: rel is “~”"),
        ("<pkg>beta</pkg>", "<pkg>beta &gt;= 1</pkg>", "22: “beta >= 1” is not the name"),
        ("<pkg>beta</pkg>", '<pkg ver="1">beta</pkg>', "22: <pkg> has an unknown attribute “ver”"),
        ("<pkg>beta</pkg>", '<pkg version="a b">beta</pkg>', "22: “a b” is not a version"),
        ("<pkg>beta</pkg>", "beta", "19: the text “beta” in <requires> is in no element"),
        ("1:2.0-1", "two", "29: “two” is not a version"),
        ("<apiDeps/>", "<version/>", "27: <version> is of an older generation"),
        ("<apiDeps/>", "<rpmlist/>", "27: <rpmlist> is of an older generation"),
        ("2026-03-01T12:00:00+01:00", "yesterday", "30: “yesterday” is not a date"),
        ("</oscar>", "", "not well-formed"),
    ],
)
def test_what_would_be_lost_is_an_error_with_its_line(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    found = faults(tmp_path, CONFIG.replace(old, new))
    assert any(fault in line for line in found), found


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    text = (
        CONFIG.replace("core", "vital")
        .replace("1:2.0-1", "two")
        .replace("max@", " ")
        .replace("<uri>", "<uri>x</uri><uri>")
    )
    assert len(faults(tmp_path, text)) == 3


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE oscar [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;">]>'
    assert "declares entities" in faults(tmp_path, CONFIG.replace("<oscar>", bomb + "<oscar>"))[0]


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("TOP SECRET")
    doctype = f'<!DOCTYPE oscar [<!ENTITY s SYSTEM "{secret.as_uri()}">]>'
    text = CONFIG.replace("<oscar>", doctype + "<oscar>").replace("A sample", "&s;")
    assert all("TOP SECRET" not in line for line in faults(tmp_path, text))


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    assert "larger than" in faults(tmp_path, CONFIG + " " * (5 << 20))[0]


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_config(tmp_path / "config.xml")
    assert "No such file" in caught.value.diagnostics[0].message


_CHARACTERS = st.characters(min_codepoint=32, exclude_categories=["Cs"])


def _elements() -> list[str]:
    return [str(node.tag) for node in etree.fromstring(CONFIG.encode()).iter()]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damaged_file_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Elements taken out, doubled, emptied or renamed, attributes changed: the file is read, or
    refused with its faults."""
    root = etree.fromstring(CONFIG.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        nodes = list(root.iter())
        node = nodes[data.draw(st.integers(0, len(nodes) - 1))]
        change = data.draw(st.sampled_from(["drop", "double", "empty", "rename", "text", "attr"]))
        parent = node.getparent()
        if change == "drop" and parent is not None:
            parent.remove(node)
        elif change == "double" and parent is not None:
            parent.append(etree.fromstring(etree.tostring(node, with_tail=False)))
        elif change == "empty":
            node[:] = []
            node.text = None
        elif change == "rename":
            node.tag = data.draw(st.sampled_from(_elements()))
        elif change == "text":
            node.text = data.draw(st.text(_CHARACTERS, max_size=8))
        else:
            name = data.draw(st.sampled_from(["version", "rel", "date", "cat", "closes"]))
            node.set(name, data.draw(st.text(_CHARACTERS, max_size=5)))
    folder = tmp_path_factory.mktemp("damaged")
    try:
        read(folder, etree.tostring(root))
    except InvalidInputError as error:
        if not error.diagnostics:
            raise AssertionError("refused without a reason") from error
