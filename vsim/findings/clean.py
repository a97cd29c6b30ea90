"""A text without what names people and machines: MAC and IP addresses, host names, serials, UUIDs, command lines.

    text, counts = clean(text)

What matters to interrupts stays, and so do line numbers. Nothing is promised of words that a person typed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from vsim.findings.paste import is_table
from vsim.readers.pieces import text_of

KEPT_OPTIONS = re.compile(r"(?:intremap|intel_iommu|amd_iommu|iommu|x2apic\w*|nox2apic|noapic|nolapic|maxcpus|nr_cpus|"
                          r"pci|irqaffinity|isolcpus)(?:=[\w,:.-]{1,60})?")
"""Words of a command line that stay: they steer interrupts and name nobody."""


class Rule(NamedTuple):
    """What goes: its name, its form, what stands there instead."""

    name: str
    form: re.Pattern[str]
    instead: Callable[[re.Match[str]], str] | str


def _options(match: re.Match[str]) -> str:
    kept = [word for word in match[2].split() if KEPT_OPTIONS.fullmatch(word)]
    return match[1] + " ".join([*kept, "(removed)"])


_HEX = r"[0-9a-fA-F]"
RULES = (
    Rule("command line", re.compile(r"((?:[Cc]ommand line|BOOT_IMAGE)\s*[:=]\s*)([^\n]*)"), _options),
    Rule("serial", re.compile(r"(Device Serial Number |[Ss]erial(?: [Nn]umber|No\.?|#)?\s*[:=]\s*)\S[^\n]*"),
         r"\1(removed)"),
    Rule("extended bytes", re.compile(r"^([1-9a-f][0-9a-f]{2}:)(?: [0-9a-f]{2}){1,16}[ \t]*$", re.M), r"\1"),
    Rule("UUID", re.compile(rf"\b{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}\b"),
         "00000000-0000-0000-0000-000000000000"),
    Rule("MAC address", re.compile(rf"(?<![\w:.-])(?:{_HEX}{{2}}[:-]){{5}}{_HEX}{{2}}(?![\w:.-]{_HEX})(?![\w:-])"),
         "00:00:00:00:00:00"),
    Rule("IPv6 address", re.compile(rf"(?<![\w:.])(?:(?:{_HEX}{{1,4}}:){{6,7}}{_HEX}{{1,4}}|(?:{_HEX}{{1,4}}:){{1,6}}:"
                                    rf"(?:{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{0,5}}))(?![\w:])"), "::"),
    Rule("IPv4 address", re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)"
                                    r"(?![\w.]\d)(?!\w)"), "0.0.0.0"),
    Rule("mail address", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*"), "(removed)"),
    Rule("guest's name", re.compile(r"^([ \t]*(?:name|vncpasswd)[ \t]*=[ \t]*)(['\"]).*?\2", re.M), r"\1\2guest\2"),
)
"""The rules, in the order in which they are done."""
_HOST_NAMES = (
    re.compile(r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?P<host>[\w.-]{1,64}) \S{1,64}:", re.M),
    re.compile(r"^\d{4}-\d\d-\d\dT\S{8,30} (?P<host>[\w.-]{1,64}) \S{1,64}:", re.M),
    re.compile(r"[Hh]ostname (?:set )?(?:to|is):? <?(?P<host>[\w.-]{1,64})>?"),
    re.compile(r"^\[?[\w.-]{1,32}@(?P<host>[\w.-]{1,64})[ :~][^\n]{0,80}[#$] ", re.M),
    re.compile(r"^host(?:name)?\s*[:=]\s*(?P<host>[\w.-]{1,64})\s*$", re.M),
)
"""Where a text says the name of its host; it then goes wherever it stands."""
MAX_NAMES = 100


def cleaned(name: str, data: bytes | str) -> tuple[bytes | str, Counter[str]]:
    """A source by its name, without them, and how many of each went. The bytes of an ACPI table stay as they are."""
    if is_table(data):
        return data, Counter()
    return clean(text_of(data, name)[0] if isinstance(data, bytes) else data)


def clean(text: str) -> tuple[str, Counter[str]]:
    """The text without them, and how many of each went."""
    counts: Counter[str] = Counter()
    names = {match["host"] for form in _HOST_NAMES for match in form.finditer(text)}
    names = {name for name in sorted(names)[:MAX_NAMES] if name not in ("host", "kernel", "localhost")}
    if names:
        longest = sorted(names, key=len, reverse=True)
        form = re.compile(r"(?<![\w.-])(?:" + "|".join(map(re.escape, longest)) + r")(?![\w-])")
        text, counts["host name"] = form.subn("host", text)
    for rule in RULES:
        text, count = rule.form.subn(rule.instead, text)
        counts[rule.name] += count
    return text, +counts
