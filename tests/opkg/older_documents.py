# SPDX-License-Identifier: GPL-2.0-or-later
"""config.xml files of the older generations: one of each, and many at random."""

from __future__ import annotations

from hypothesis import strategies as st
from lxml import etree

DTD = """<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE package SYSTEM "../package.dtd">
<package>
  <!-- $Id: config.xml,v 1.3 2002/11/02 00:45:44 max Exp $ -->
  <name>clock</name>
  <version>
    <major>3</major><minor>1</minor><subversion>1</subversion><release>2</release>
    <epoch>1</epoch>
  </version>
  <class>core</class>
  <installable>1</installable>
  <summary>One time for all nodes</summary>
  <license>freely distributable</license>
  <group>Applications/System</group>
  <url>http://clock.example/</url>
  <packager><name>Max</name><email>max@clock.example</email></packager>
  <description>Keeps the time.</description>
  <rpmlist>
    <all><rpm>rsync</rpm></all>
    <server><rpm>clock-server</rpm><rpm distro="redhat" version="7.3">clock-compat</rpm></server>
    <client><rpm>clock</rpm></client>
  </rpmlist>
</package>
"""

RPMLIST = """<?xml version="1.0" encoding="ISO-8859-1"?>
<oscar>
  <!-- $Id: config.xml,v 1.10 2003/10/22 16:51:55 max Exp $ and $Date: 2004/02/03 01:02:03 $ -->
  <name>Cluster Clock</name>
  <filter architecture='ia32' />
  <version>
    <major>6</major><minor>0u8</minor><subversion>0</subversion><release>3oscar</release>
  </version>
  <class>selected</class>
  <summary>One time for all nodes of a cluster, which is a thing that they all need</summary>
  <license>GPL</license>
  <copyright>2002</copyright>
  <group>Applications/System</group>
  <maintainer><name>The Clock Team</name><email>team@clock.example</email></maintainer>
  <packager><name>Max</name><email>max@clock.example</email></packager>
  <vendor>NCSA</vendor>
  <description>Keeps the time.</description>
  <provides><type>package</type><name>time</name></provides>
  <requires><type>package</type><name>file_sync</name></requires>
  <conflicts><name>sundial</name><type>package</type></conflicts>
  <rpmlist><rpm>clock</rpm></rpmlist>
  <rpmlist>
    <filter group="oscar_server" distribution="fedora" distribution_version="2" />
    <filter group='oscar_server' distribution='redhat' distribution_version='3as'/>
    <filter group="oscar_server" distribution="redhat" distribution_version="el4" />
    <filter group="oscar_server" distribution="rhas" distribution_version="2.1AS" />
    <filter group="oscar_server" distribution="redhat" distribution_version="9" />
    <filter group="oscar_server" distribution="mandrake" />
    <rpm>clock-server</rpm>
  </rpmlist>
  <servicelist><filter group="oscar_server"/><service>clockd</service></servicelist>
  <switcher><tag>time</tag><name>clock-6.0</name></switcher>
  <oda><shortcut>clocks read_records nodes</shortcut></oda>
  <download><uri>http://clock.example/clock.tgz</uri><size>10</size></download>
</oscar>
"""

BPL = """<?xml version="1.0" encoding="ISO-8859-1"?>
<!-- $Id: config.xml 5616 2007-01-18 09:08:06Z max $ -->
<oscar
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://clock.example/config.xml oscar-config.xsd"
>
  <name>Clock</name>
  <version><major>4</major><minor>0</minor><release>5</release><epoch>0</epoch></version>
  <class>included</class>
  <summary>One time for all nodes</summary>
  <license>GPL</license>
  <group>Applications/System</group>
  <uri>http://clock.example/</uri>
  <packager><name>Beno\u00eet</name></packager>
  <description>Keeps the time.

And tells it.</description>
  <binary-package-list>
    <filter>
      <group>oscar_clients</group>
      <distribution><name>rhel</name></distribution>
      <architecture>x86_64</architecture>
    </filter>
    <filter>
      <group>oscar_clients</group>
      <architecture>x86_64</architecture>
      <distribution><name>mdk</name><version>10.1</version></distribution>
    </filter>
    <pkg>clock</pkg>
    <pkg>clock-tools</pkg>
  </binary-package-list>
  <binary-package-list>
    <filter><group>oscar_server</group></filter>
    <filter><group>oscar_clients</group></filter>
    <pkg>rsync</pkg>
  </binary-package-list>
  <binary-package-list>
    <filter><group>oscar_api</group></filter>
    <pkg>perl</pkg>
  </binary-package-list>
  <package-specific-attributes>
    <switcher><tag>time</tag><name>clock-4</name></switcher>
  </package-specific-attributes>
</oscar>
"""

BARE = """<?xml version="1.0"?>
<package>
  <name>Clock</name>
  <version><major>1</major><release>1</release></version>
  <summary>One time for all nodes</summary>
  <license>GPL</license>
  <packager><name>Max</name><email>max@clock.example</email></packager>
  <description>Only scripts.</description>
</package>
"""

ALL = {
    "dtd": DTD.encode("latin-1"),
    "rpmlist": RPMLIST.encode("latin-1"),
    "bpl": BPL.encode("latin-1"),
    "bare": BARE.encode(),
}

_WORDS = st.text("abcdefghij \u00e9&<-", min_size=1, max_size=90)
_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_+-]{0,8}", fullmatch=True)
_DISTS = st.sampled_from(["redhat", "fedora", "mandrake", "suse", "sles", "rhel", "debian", "mdk"])
_RELEASES = st.sampled_from(["", "9", "7.3", "3as", "el4", "10.1", "2"])
_GROUPS = st.sampled_from(["", "oscar_server", "oscar_clients", "oscar_api"])
_ARCHS = st.sampled_from(["", "ia32", "x86_64", "ia64"])


def _leaf(parent: etree._Element, tag: str, text: str) -> None:
    if text:
        etree.SubElement(parent, tag).text = text


def _filter(draw: st.DrawFn, parent: etree._Element, *, nested: bool, group: bool = True) -> None:
    node = etree.SubElement(parent, "filter")
    values = {"group": draw(_GROUPS) if group else "", "architecture": draw(_ARCHS)}
    name = draw(st.one_of(st.just(""), _DISTS))
    release = draw(_RELEASES) if name else ""
    if nested:
        for tag, text in values.items():
            _leaf(node, tag, text)
        if name:
            distribution = etree.SubElement(node, "distribution")
            _leaf(distribution, "name", name)
            _leaf(distribution, "version", release)
    else:
        values |= {"distribution": name, "distribution_version": release}
        node.attrib.update({key: value for key, value in values.items() if value})


def _lists(draw: st.DrawFn, root: etree._Element, kind: str) -> None:
    for _ in range(draw(st.integers(0, 3))):
        node = etree.SubElement(root, "binary-package-list" if kind == "bpl" else "rpmlist")
        if kind == "dtd":
            for side in draw(st.sets(st.sampled_from(["all", "server", "client"]))):
                parent = etree.SubElement(node, side)
                for name in draw(st.lists(_NAMES, min_size=1, max_size=3)):
                    _leaf(parent, "rpm", name)
            continue
        for _ in range(draw(st.integers(0, 3))):
            _filter(draw, node, nested=kind == "bpl")
        for name in draw(st.lists(_NAMES, min_size=1, max_size=3)):
            _leaf(node, "pkg" if kind == "bpl" else "rpm", name)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A file of one of the older generations, without faults that it would be refused for."""
    kind = draw(st.sampled_from(["dtd", "rpmlist", "bpl", "bare"]))
    root = etree.Element("package" if kind == "dtd" else "oscar")
    stamp = draw(st.sampled_from(["", "$Id: config.xml,v 1.4 2003/10/22 16:51:55 max Exp $"]))
    root.append(etree.Comment(f" {stamp} "))
    _leaf(root, "name", draw(_WORDS))
    if draw(st.booleans()):
        _filter(draw, root, nested=kind == "bpl", group=False)
    version = etree.SubElement(root, "version")
    for tag in ("major", "minor", "subversion", "release", "epoch"):
        if tag == "major" or draw(st.booleans()):
            _leaf(version, tag, str(draw(st.integers(0, 30))))
    _leaf(root, "class", draw(st.sampled_from(["", "core", "selected", "third-party"])))
    _leaf(root, "summary", "S" + draw(_WORDS))
    _leaf(root, "license", draw(st.sampled_from(["GPL", "gpl", "CeCILL", "Maui license"])))
    _leaf(root, "group", draw(st.sampled_from(["", "Applications/System"])))
    for tag in ("maintainer", "packager"):
        for _ in range(draw(st.integers(0, 1)) if tag == "maintainer" else 1):
            person = etree.SubElement(root, tag)
            _leaf(person, "name", "N" + draw(_WORDS))
            _leaf(person, "email", draw(st.sampled_from(["", "max@clock.example"])))
    _leaf(root, "description", "\n\n".join(draw(st.lists(_WORDS, max_size=3))))
    for tag in ("provides", "requires", "conflicts"):
        for _ in range(draw(st.integers(0, 2))):
            node = etree.SubElement(root, tag)
            _leaf(node, "type", draw(st.sampled_from(["", "package"])))
            _leaf(node, "name", "o" + draw(_NAMES))
    if kind != "bare":
        _lists(draw, root, kind)
    return etree.tostring(root, encoding="iso-8859-1", xml_declaration=True)
