"""The files of /sys/kernel/debug/irq in a text, told apart: `grep -r`, `head`, or `cat` with any heading.

    for part in parts(lines): part.kind, part.name, part.text

`grep -r . /sys/kernel/debug/irq` puts the path before each line, and names of domains have colons in them; `head` and
loops of a shell put a heading before each file; `cat` puts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vsim.readers.pieces import Line

KINDS = {"irqs": "irqs", "irq": "irqs", "domains": "domains", "domain": "domains"}


class Part(NamedTuple):
    """A line of a file of debugfs. kind: "irqs", "domains" or "" where no heading was; name: the file's; text: the
    line without what stood before it; shift: how many characters those were; new: a heading stood right before."""

    kind: str
    name: str
    line: Line
    text: str
    shift: int
    new: bool


_GREP = re.compile(r"[ \t]{0,16}\S{0,200}?(?<![^/\s])(irqs/\d{1,9}|domains/\S{1,200}?)[:-](?:\d{1,6}[:-])?"
                   r"(?=name:|handler:|device:|status:|istate:|ddepth:|wdepth:|dstate:|node:|affinity:|effectiv:|"
                   r"pending:|domain:| |Online|Global|Total|System|\*\*\*|$)")
_BARE = re.compile(r"(\d{1,9}):(?=handler:|device:|status:|istate:|ddepth:|wdepth:|dstate:|node:|affinity:|effectiv:|"
                   r"pending:|domain:| )")
_HEADING = re.compile(r".{0,120}?(?<![^/\s])(irqs|domains)/(\S{1,200}?)(?: *<==|[ :]*)$|"
                      r"[-=#*> \t]{0,8}(irq)[ :#]{1,2}(\d{1,9})[-=#*>: ]{0,8}$|"
                      r"[ \t]{0,8}[-=#*>]{1,8} ?(domain)[ :]{1,2}(\S{1,200}?)[-=#*>: ]{0,8}$")


def parts(lines: Sequence[Line]) -> Iterator[Part]:
    """The lines of all files, headings and path prefixes taken off. Lines without either keep the last heading."""
    kind = name = ""
    new = bare = False
    for line in lines:
        text = line.text
        if "irqs/" in text or "domains/" in text or (text[:12].lstrip(" \t-=#>*[").startswith(("irq", "domain"))):
            match = _GREP.match(text)
            if match:
                path = match[1].partition("/")
                new = new or (kind, name) != (path[0], path[2])
                kind, name, bare = path[0], path[2], False
                yield Part(kind, name, line, text[match.end():], match.end(), new)
                new = False
                continue
            match = _HEADING.match(text.rstrip()[:300])
            if match:
                key, name = (group for group in match.groups() if group is not None)
                kind, new, bare = KINDS[key], True, False
                continue
        match = _BARE.match(text)
        if match and (bare or text.startswith("handler:", match.end())):
            new = new or (kind, name) != ("irqs", match[1])
            kind, name, bare = "irqs", match[1], True
            yield Part(kind, name, line, text[match.end():], match.end(), new)
        else:
            yield Part(kind, name, line, text, 0, new)
        new = False
