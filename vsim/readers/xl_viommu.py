"""The `viommu` option in the grammar of each version of the series (X 6.1, 6.2).

Versions differ in form (text or list), in the order of keys, in what they swallow without a word. A configuration is
read in the form that it is written in; when that is not the form of the tool stack that was asked for, a note says what
its xl would do.

What version 4 does with odd words was read in its parse_viommu_config (tools/xl/xl_parse.c): the type is compared with
strcmp, so capitals are refused (libxl's own libxl_viommu_type_from_string would take them, and is not asked); keys are
cut at commas and compared with their first letter, so a blank before one is refused; intremap goes through strtoul, so
any number but 0 is on and a word is off, and the last one counts. Of the versions before only the messages are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vsim.readers.source import shown
from vsim.readers.xl_values import Options, integer, one_of
from vsim.readers.xlu import Value


@dataclass(frozen=True, slots=True)
class ViommuConfig:
    """The `viommu` option (X 6.1). base, length (bytes): the register page; None unless intremap is given.

    x2apic: the DMAR table does not opt out of x2APIC; versions 3 and 4 have no such key and never do.
    """

    type: str
    intremap: bool
    x2apic: bool
    base: int | None
    length: int | None
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one version of the interface writes `viommu`: types, switches, the form of the value ("text" or "list").

    ordered: type has to come first. on: intremap is on unless it is given, and cannot be off.
    """

    types: tuple[str, ...]
    switches: tuple[str, ...]
    base: int = 0xFED90000
    length: int = 0x1000
    form: str = "text"
    ordered: bool = False
    on: bool = False


_V1 = Grammar(("vtd",), ("intremap", "x2apic"))
_V2 = Grammar(("intel_vtd",), ("intremap", "x2apic"), ordered=True, on=True)
_V3 = Grammar(("intel_vtd",), ("intremap",), form="list", ordered=True, on=True)
_SOURCE = "tools/xl/xl_parse.c, parse_viommu_config"
GRAMMARS = {"rfc-v1": _V1, "rfc-v2": _V1, "v1": _V1, "v1-corrected": _V1, "v2": _V2, "v3": _V3, "v4": _V3}
"""The grammar of `viommu` by interface version. "v1-corrected" is no tool stack's: each is taken without a note."""


def viommu(options: Options, version: str, kind: str) -> ViommuConfig | None:
    """The vIOMMU that a configuration asks for, None for none. kind: type of the domain.

    ConfigError, at its place, for what the xl whose form it has would refuse.
    """
    value = options.one("viommu", ("text", "list"))
    if value is None:
        return None
    if value.kind == "list":
        if not value.items:
            options.notes.append("viommu is an empty list: no vIOMMU")
            return None
        if len(value.items) > 1:
            raise options.source.error(value.items[1].at, "found a second viommu; allowed: one (libxl: more are \"under"
                                                          " implementation\")")
        if value.items[0].kind != "text":
            raise options.source.error(value.items[0].at, f"found a {value.items[0].kind} in viommu; allowed: texts in "
                                                          "quotes")
    written = _form(value)
    grammar, text = GRAMMARS[written], value.items[0] if value.items else value
    found = _unit(options, grammar, value, _keys(options, grammar, text))
    if grammar is _V3 and re.search(r"\s", text.text):
        options.notes.append(f"line {options.source.line(text.at)}: a blank in viommu is taken as if it were not there "
                             f"(xl refuses it: {_SOURCE})")
    if GRAMMARS[version] is not grammar and version != "v1-corrected":
        options.notes.append(f"line {options.source.line(value.at)}: viommu is written as in version "
                             f"{'3 and 4' if written == 'v3' else written[1:]}; the xl of version "
                             f"{version.removeprefix('v')} refuses it, and takes {_example(GRAMMARS[version])}")
    if version == "v3" and kind == "pvh":
        options.notes.append("the tool stack of version 3 gives a vIOMMU to HVM domains only")
    return found


def _form(value: Value) -> str:
    """The version that writes so."""
    if value.kind == "list":
        return "v3"
    return "v2" if any(part.replace(" ", "") == "type=intel_vtd" for _, part in value.parts()) else "v1"


def _example(grammar: Grammar) -> str:
    text = f'"type={grammar.types[0]},intremap=1"'
    return f"viommu = [ {text} ]" if grammar.form == "list" else f"viommu = {text}"


def _keys(options: Options, grammar: Grammar, value: Value) -> dict[str, str | int]:
    """The keys of a text, each once."""
    source, keys = options.source, dict[str, str | int]()
    for number, (at, part) in enumerate(value.parts()):
        key, _, text = (side.strip() for side in part.partition("="))
        if grammar.ordered and number == 0 and key != "type":
            raise source.error(at, f"found {key!a} first; allowed: type first, then {', '.join(grammar.switches)}")
        if grammar is _V2 and number == 1 and key != "intremap":
            options.notes.append(f"line {source.line(at)}: xl of version 2 swallows {key!a}: its second key is looked "
                                 "at for intremap only")
            continue
        if grammar is _V2 and number > 1:
            one_of(source, at, "viommu key", key, ("x2apic",))
        one_of(source, at, "viommu key", key, ("type", *grammar.switches))
        if key in keys and (grammar is not _V3 or key == "type"):
            raise source.error(at, f"found {key} again; allowed: each viommu key once")
        if key == "type":
            keys[key] = one_of(source, at, "viommu type", text, grammar.types)
        elif grammar is _V3 and text not in ("0", "1"):
            keys[key] = int(_strtoul(text) != 0)
            options.notes.append(f"line {source.line(at)}: {key} is {shown(text)}, which xl takes for {keys[key]}; "
                                 f"meant are 0 and 1 (xl changes it: {_SOURCE})")
        else:
            keys[key] = integer(source, at, key, text, 0, 1)
        if grammar.on and keys.get("intremap") == 0 and key == "intremap":
            raise source.error(at, "intremap is 0; allowed: 1 (libxl refuses a vIOMMU without interrupt remapping)")
    if "type" not in keys:
        allowed = ", ".join(f"type={each}" for each in grammar.types)
        raise source.error(value.at, f"found no type in viommu; allowed: {allowed}")
    return keys


def _strtoul(text: str) -> int:
    """What C's strtoul with base 0 finds at the beginning of a text, as far as it tells 0 from any other number."""
    match = re.match(r"[-+]?(0[xX](?=[0-9a-fA-F])([0-9a-fA-F]+)|0([0-7]*)|([1-9][0-9]*))", text)
    return int(bool(match and (match[2] or match[3] or match[4] or "").strip("0")))


def _unit(options: Options, grammar: Grammar, value: Value, keys: dict[str, str | int]) -> ViommuConfig:
    given = "intremap" in keys or grammar.on
    if not given:
        options.notes.append("viommu has no intremap key: its base and length stay empty, as in xl")
    base, length = (grammar.base, grammar.length) if given else (None, None)
    remap = keys.get("intremap", int(grammar.on)) == 1
    x2apic = keys.get("x2apic") == 1 or "x2apic" not in grammar.switches
    return ViommuConfig(str(keys["type"]), remap, x2apic, base, length, *options.source.place(value.at))


__all__ = ["GRAMMARS", "Grammar", "ViommuConfig", "viommu"]
