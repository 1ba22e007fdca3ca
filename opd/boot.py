# SPDX-License-Identifier: GPL-2.0-or-later
"""What an image boots, as text: systemconfig.conf, which lists its kernels, and the menus that are
made from it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from dataclasses import dataclass, replace

from opkg.errors import OpkgError

_BOOT = "BOOT"
_HEADER = re.compile(r"\s*\[([^\]]+)\]\s*")
_NUMBERED = re.compile(r"KERNEL([0-9]+)")
# Around our lines in GRUB's custom.cfg, which others write to as well.
_OURS = "kernels"
_BLOCK = re.compile(r"^# BEGIN OPKG (\S+)$.*?^# END OPKG \1$\n?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A kernel that can be booted; `path` and `initrd` are the image's own, `append` is all that
    the kernel is told beside its root device, which is empty where none is known."""

    label: str
    path: str
    initrd: str
    append: str
    root: str


@dataclass(frozen=True)
class _Section:
    """A section with its lines as they stand, its header first; the first of a file may have no
    header. Keys are found in any case."""

    name: str
    lines: tuple[str, ...]

    def get(self, key: str) -> str:
        for line in self.lines:
            if setting := re.fullmatch(rf"\s*{key}\s*=\s*(.*?)\s*", line, re.IGNORECASE):
                return str(setting[1])
        return ""

    def having(self, key: str, value: str) -> _Section:
        """It with this value, once; an empty one is not written."""
        if self.get(key) == value:
            return self
        old = [re.match(rf"\s*{key}\s*=", line, re.IGNORECASE) for line in self.lines]
        last = max((n for n, line in enumerate(self.lines, 1) if line.strip()), default=0)
        place = next((n for n, found in enumerate(old) if found), last)
        new = [f"    {key} = {value}"] if value else []
        kept = [
            [line for line, found in zip(part, old[start:], strict=False) if not found]
            for start, part in ((0, self.lines[:place]), (place, self.lines[place:]))
        ]
        return replace(self, lines=(*kept[0], *new, *kept[1]))


@dataclass(frozen=True)
class SystemConfig:
    """A systemconfig.conf. What is not about kernels stays as it is, comments too."""

    sections: tuple[_Section, ...]

    @classmethod
    def parse(cls, text: str) -> SystemConfig:
        sections = [_Section("", ())]
        for line in text.splitlines():
            if header := _HEADER.fullmatch(line):
                sections.append(_Section(header[1].strip().upper(), ()))
            sections[-1] = replace(sections[-1], lines=(*sections[-1].lines, line))
        return cls(tuple(sections))

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for section in self.sections for line in section.lines)

    @property
    def default(self) -> str:
        """The label of the kernel that is booted."""
        return self._section(_BOOT).get("DEFAULTBOOT")

    def entries(self) -> list[Entry]:
        """Its kernels, in the order of their numbers: 9 before 10."""
        boot = self._section(_BOOT)
        return [
            Entry(
                label=_label(kernel),
                path=kernel.get("PATH"),
                initrd=kernel.get("INITRD"),
                append=" ".join(filter(None, (boot.get("APPEND"), kernel.get("APPEND")))),
                root=kernel.get("ROOTDEV") or boot.get("ROOTDEV"),
            )
            for kernel in self._kernels()
        ]

    def default_entry(self) -> Entry | None:
        """The kernel that is booted, if it is known."""
        return next((entry for entry in self.entries() if entry.label == self.default), None)

    def with_kernel(
        self, path: str, initrd: str, append: str | None, *, default: bool, there: Collection[str]
    ) -> SystemConfig:
        """It with one entry for the kernel at `path`, as the default where that is asked for or
        there is no other. Its label stays if it has one. `append` None leaves what it is told.
        Entries of kernels that are not `there`, and second ones of a kernel, go."""
        kept = self._without_doubles(there)
        old = next((each for each in kept._kernels() if each.get("PATH") == path), None)
        numbers = [int(each.name.removeprefix("KERNEL")) for each in kept._kernels()]
        kernel = old or kept._section(f"KERNEL{max(numbers, default=-1) + 1}")
        label = _label(kernel) or path.rpartition("/")[2]
        boot = kept._section(_BOOT)
        if default or kept.default_entry() is None:
            boot = boot.having("DEFAULTBOOT", label)
        # The initrd is there: nobody has to make one when a node is installed.
        kept = kept._having(boot.having("CONFIGRD", "NO"))
        told = {"PATH": path, "LABEL": label, "INITRD": initrd}
        for key, value in (told if append is None else {**told, "APPEND": append}).items():
            kernel = kernel.having(key, value)
        return kept._having(kernel)

    def with_root(self, device: str) -> SystemConfig:
        """It with this root device for every kernel."""
        changed = self._having(self._section(_BOOT).having("ROOTDEV", device))
        for kernel in changed._kernels():
            changed = changed._having(kernel.having("ROOTDEV", ""))
        return changed

    def _kernels(self) -> list[_Section]:
        found = [each for each in self.sections if _NUMBERED.fullmatch(each.name)]
        return sorted(found, key=lambda each: int(each.name.removeprefix("KERNEL")))

    def _section(self, name: str) -> _Section:
        found = (each for each in self.sections if each.name == name)
        return next(found, _Section(name, (f"[{name}]",)))

    def _having(self, section: _Section) -> SystemConfig:
        """It with this section, in the place of the one of its name or at the end."""
        if all(each.name != section.name for each in self.sections):
            last = self.sections[-1]
            if last.lines and last.lines[-1].strip():
                last = replace(last, lines=(*last.lines, ""))
            return SystemConfig((*self.sections[:-1], last, section))
        names = [each.name for each in self.sections]
        place = names.index(section.name)
        return SystemConfig((*self.sections[:place], section, *self.sections[place + 1 :]))

    def _without_doubles(self, there: Collection[str]) -> SystemConfig:
        first: dict[str, _Section] = {}
        for kernel in self._kernels():
            if kernel.get("PATH") in there:
                first.setdefault(kernel.get("PATH"), kernel)
        gone = [each for each in self._kernels() if each not in first.values()]
        return SystemConfig(tuple(each for each in self.sections if each not in gone))


def _label(kernel: _Section) -> str:
    return kernel.get("LABEL") or kernel.get("PATH").rpartition("/")[2]


def check_arguments(text: str) -> None:
    """Raise OpkgError for what a kernel would not take as it is meant."""
    if re.search(r"[\x00-\x1f\x7f'\\]", text) or text.count('"') % 2:
        raise OpkgError(
            f"this cannot be told to a kernel: {text!r}",
            hint='no quotes but pairs of ", no backslashes, all in one line',
        )
    for word in shlex.split(text):
        if re.search("<.*>", word):
            raise OpkgError(
                f"nothing fills in what stands between < and >: {word}",
                hint="an image is the same for all of its nodes; what differs is in the node list",
            )
        if word.endswith(","):
            raise OpkgError(
                f"the comma would be a part of the value: {word}",
                hint="arguments are separated by blanks",
            )


def grub_menu(config: SystemConfig, old: str) -> str:
    """GRUB's custom.cfg (GNU GRUB Manual, 6.1): what `old` has of others, and an entry for each
    kernel. Where no root device is known, it is the file system that the kernel is on. Marked lines
    of others that are entries for just these kernels go."""
    labels = {entry.label for entry in config.entries()}

    def kept(block: re.Match[str]) -> str:
        found = re.findall(r"^menuentry .*--id (\S+) ", block[0], re.MULTILINE)
        same = bool(found) and labels.issuperset(label.strip("\"'") for label in found)
        return "" if same or block[1] == _OURS else block[0]

    lines = [f"# BEGIN OPKG {_OURS}", f"set default={shlex.quote(config.default)}"]
    for entry in config.entries():
        lines += [
            f"menuentry {shlex.quote(entry.label)} --id {shlex.quote(entry.label)} {{",
            f"    search --no-floppy --set=root --file {shlex.quote(entry.path)}",
            *_grub_linux(entry),
            "}",
        ]
    rest = _BLOCK.sub(kept, old)
    if rest and not rest.endswith("\n"):
        rest += "\n"
    return rest + "".join(f"{line}\n" for line in (*lines, f"# END OPKG {_OURS}"))


def _grub_linux(entry: Entry) -> list[str]:
    words = [shlex.quote(word) for word in shlex.split(entry.append)]
    found = []
    if entry.root:
        words.insert(0, shlex.quote(f"root={entry.root}"))
    elif entry.initrd and not any(word.startswith("root=") for word in shlex.split(entry.append)):
        found.append("    probe --set=uuid --fs-uuid $root")
        words.insert(0, "root=UUID=$uuid")
    found.append("    " + " ".join(["linux", shlex.quote(entry.path), *words]))
    if entry.initrd:
        found.append(f"    initrd {shlex.quote(entry.initrd)}")
    return found
