# SPDX-License-Identifier: GPL-2.0-or-later
"""opkg.xsd and the reader of config.xml mean the same documents."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from opkg.config_xml import read_config
from opkg.errors import Diagnostic, InvalidInputError
from opkg.spec import Opkg
from tests.opkg.from_schema import TEXT, Schema, dates

XSD = Path(__file__).parents[2] / "opkg/opkg.xsd"
TODAY = Schema(XSD, old=False)
EVER = Schema(XSD, old=True)

slow_to_draw = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schema") / "sample"
    folder.mkdir()
    return folder


def read(folder: Path, root: etree._Element) -> tuple[Opkg, tuple[Diagnostic, ...]]:
    path = folder / "config.xml"
    path.write_bytes(etree.tostring(root, encoding="utf-8", xml_declaration=True))
    return read_config(path)


@pytest.mark.slow
@slow_to_draw
@given(data=st.data())
def test_the_reader_takes_all_that_the_schema_allows_today(
    schema: etree.XMLSchema, folder: Path, data: st.DataObject
) -> None:
    root = data.draw(st.composite(lambda draw: TODAY.document(draw, "oscar"))())
    schema.assertValid(root)
    opkg, _ = read(folder, root)
    assert opkg.name == root.findtext("name")
    assert len(opkg.releases) == len(root.findall("changelog/versionEntry"))
    relations = sum(len(dep.relations) for dep in opkg.dependencies)
    assert relations == len(list(root.iter("pkg")))


@slow_to_draw
@given(data=st.data())
@pytest.mark.slow
def test_the_reader_takes_or_refuses_all_that_the_schema_ever_allowed(
    schema: etree.XMLSchema, folder: Path, data: st.DataObject
) -> None:
    root = data.draw(st.composite(lambda draw: EVER.document(draw, "oscar"))())
    schema.assertValid(root)
    try:
        read(folder, root)
    except InvalidInputError as error:
        hopeless = ("version", "not the name", "names nothing", "not a date", "no package can be")
        faults = [d.message for d in error.diagnostics if d.severity == "error"]
        assert faults
        assert all(any(word in fault for word in hopeless) for fault in faults), faults


# OSCAR's own schema (6.1), by its rules: one function for each of its types.

SOME = TEXT.filter(lambda text: text and not set("\n\r\u2028\u2029") & set(text))


def leaf(parent: etree._Element, tag: str, text: str) -> etree._Element:
    node = etree.SubElement(parent, tag)
    node.text = text
    return node


def times(draw: st.DrawFn, least: int, most: int = 2) -> range:
    return range(draw(st.integers(least, most)))


def bounded(draw: st.DrawFn, node: etree._Element) -> None:
    if draw(st.booleans()):
        node.set("rel", draw(st.sampled_from([">", ">=", "<", "<=", "="])))
    if draw(st.booleans()):
        node.set("version", draw(SOME))


def filters(draw: st.DrawFn, parent: etree._Element) -> None:
    for _ in times(draw, 0, 1):
        node = etree.SubElement(parent, "filters")
        for _ in times(draw, 0):
            bounded(draw, leaf(node, "dist", draw(TEXT)))
        for _ in times(draw, 0):
            archs = st.sampled_from(["i386", "amd64", "x86_64", "ia64", "ppc", "ppc64"])
            leaf(node, "arch", draw(archs))


def relations(draw: st.DrawFn, parent: etree._Element, *kinds: str) -> None:
    for kind in kinds:
        for _ in times(draw, 0):
            node = etree.SubElement(parent, kind)
            filters(draw, node)
            for _ in times(draw, 1):
                bounded(draw, leaf(node, "pkg", draw(TEXT)))


def people(draw: st.DrawFn, root: etree._Element) -> None:
    for _ in times(draw, 1):
        authors = etree.SubElement(root, "authors")
        for _ in times(draw, 1):
            roles = st.sampled_from(["upstream", "maintainer", "uploader"])
            node = etree.SubElement(authors, "author", cat=draw(roles))
            leaf(node, "name", draw(TEXT))
            if draw(st.booleans()):
                leaf(node, "nickname", draw(TEXT))
            leaf(node, "email", draw(st.sampled_from(["", "a@b.example", "mailto:a@b.example"])))
            if draw(st.booleans()):
                leaf(node, "institution", draw(TEXT))
            for tag in ("beginYear", "endYear"):
                if draw(st.booleans()):
                    leaf(node, tag, str(draw(st.integers(1, 3000))))


def changelog(draw: st.DrawFn, root: etree._Element) -> None:
    log = etree.SubElement(root, "changelog")
    for _ in times(draw, 1):
        entry = etree.SubElement(log, "versionEntry", version=draw(SOME))
        for _ in times(draw, 1):
            when = draw(dates(datetime(1, 1, 2), datetime(9999, 12, 30)))
            change = etree.SubElement(entry, "changelogEntry", authorName=draw(TEXT), date=when)
            if draw(st.booleans()):
                numbers = draw(st.lists(st.integers(1, 9999), max_size=3))
                change.set("closes", " ".join(map(str, numbers)))
            for _ in times(draw, 1):
                leaf(change, "item", draw(TEXT))


@st.composite
def oscar_documents(draw: st.DrawFn) -> etree._Element:
    root = etree.Element("oscar")
    leaf(root, "name", draw(TEXT))
    if draw(st.booleans()):
        leaf(root, "class", draw(st.sampled_from(["core", "base", "included", "third-party"])))
    leaf(root, "summary", draw(st.text("ab c", max_size=67)))
    if draw(st.booleans()):
        leaf(root, "description", draw(TEXT))
    licences = (
        "GPL", "LGPL", "PBS license (see PBS_License.txt)", "Freely distributable",
        "Maui license", "BSD", "SISSL",
    )  # fmt: skip
    leaf(root, "license", draw(st.sampled_from(licences)))
    for _ in times(draw, 1):
        leaf(root, "group", draw(TEXT))
    if draw(st.booleans()):
        leaf(root, "uri", draw(st.sampled_from(["", "https://a.example/b?c#d", "a"])))
    people(draw, root)
    filters(draw, root)
    relations(draw, root, "provides", "conflicts", "requires")
    for section in ("serverDeps", "clientDeps", "commonDeps", "apiDeps"):
        if draw(st.booleans()):
            node = etree.SubElement(root, section)
            relations(draw, node, "provides", "conflicts", "requires", "suggests")
    changelog(draw, root)
    return root


@pytest.mark.slow
@slow_to_draw
@given(root=oscar_documents())
def test_what_was_valid_for_oscar_stays_valid(
    schema: etree.XMLSchema, root: etree._Element
) -> None:
    schema.assertValid(root)


@pytest.mark.parametrize(
    "addition",
    [
        "<arch>aarch64</arch>",
        "<arch>riscv64</arch>",
        '<dist rel=">=" version="24.04">ubuntu</dist>',
        "<dist>opensuse-leap</dist>",
    ],
)
def test_todays_targets_are_valid(schema: etree.XMLSchema, addition: str) -> None:
    schema.assertValid(
        etree.fromstring(SAMPLE.replace("<filters/>", f"<filters>{addition}</filters>"))
    )


@pytest.mark.parametrize("licence", ["GPL-2.0-or-later", "MIT OR (BSD-3-Clause AND Apache-2.0)"])
def test_spdx_licences_are_valid_and_read_without_a_warning(
    schema: etree.XMLSchema, folder: Path, licence: str
) -> None:
    root = etree.fromstring(SAMPLE.replace(">GPL<", f">{licence}<"))
    schema.assertValid(root)
    opkg, warnings = read(folder, root)
    assert opkg.licence == licence
    assert warnings == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<class>core</class>", "<class>vital</class>"),
        ("<filters/>", "<filters><arch>x86 64</arch></filters>"),
        ("<pkg>rsync</pkg>", "<pkg rel='~'>rsync</pkg>"),
        ("<pkg>rsync</pkg>", ""),
        ("<license>GPL</license>", "<license>a licence of mine</license>"),
        ("2026-03-01T12:00:00Z", "2026-03-01"),
        (' cat="maintainer"', ""),
        ("<recommends>", "<serverDeps/><recommends>"),
    ],
)
def test_faults_are_invalid(schema: etree.XMLSchema, old: str, new: str) -> None:
    assert not schema.validate(etree.fromstring(SAMPLE.replace(old, new)))


SAMPLE = """<oscar>
  <name>sample</name><class>core</class><summary>A sample</summary><license>GPL</license>
  <group>Applications/System</group>
  <authors>
    <author cat="maintainer"><name>Max</name><email>max@sample.example</email></author>
  </authors>
  <filters/>
  <commonDeps><recommends><pkg>rsync</pkg></recommends></commonDeps>
  <changelog><versionEntry version="1.0-1">
    <changelogEntry authorName="Max" date="2026-03-01T12:00:00Z"><item>New.</item></changelogEntry>
  </versionEntry></changelog>
</oscar>"""
