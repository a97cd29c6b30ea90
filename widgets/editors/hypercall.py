"""The hypercall's structure as text: its bytes, its line in xl.cfg, and what the hypervisor will answer.

Pure functions; the panel is `domctl`.
"""

from __future__ import annotations

import re

from vsim.devices import viommu
from vsim.devices.viommu import Refusal
from vsim.layouts.interfaces import Caps, Errno, Op, known
from vsim.readers import xl
from vsim.state.arrays import Machine

MOST_BYTES = 128
STARTS = ("'", '"', "[")
"""How the value of an option begins; a line without is the text alone."""


def dump(data: bytes) -> str:
    """Bytes in hexadecimal, 16 a line, with their offsets."""
    rows = (data[at:at + 16] for at in range(0, len(data), 16))
    return "\n".join(f"{16 * n:02x}  {row[:8].hex(' '):<23}  {row[8:].hex(' ')}".rstrip() for n, row in enumerate(rows))


def undump(text: str) -> bytes:
    """The bytes of a dump, or of plain hexadecimal. ValueError tells line and column of what is neither."""
    out = bytearray()
    for number, row in enumerate(text[:4096].splitlines(), 1):
        offset = re.match(r"\s*[0-9a-fA-F]{2,4}(?:  |:)", row)
        for word in re.finditer(r"\S+", row[offset.end():] if offset else row):
            if not re.fullmatch(r"(?:[0-9a-fA-F]{2})+", word.group()):
                column = word.start() + 1 + (offset.end() if offset else 0)
                found = word.group()[:20]
                raise ValueError(f"bytes, line {number}, column {column}: {found!a} is no pair of hex digits")
            out += bytes.fromhex(word.group())
    if len(out) > MOST_BYTES:
        raise ValueError(f"bytes: found {len(out)}; the limit is {MOST_BYTES}")
    return bytes(out)


def xl_line(values: dict[str, int], version: str = "v1") -> tuple[str, list[str]]:
    """The `viommu` option that makes this version's xl create it, and a sentence for everything that it cannot say."""
    grammar, face = xl.GRAMMARS[version], known(version)
    remaps = bool(values["capabilities"] & Caps.IRQ_REMAPPING)
    kind = grammar.types[0] if values.get("viommu_type", face.type_value) == face.type_value else "?"
    notes = [] if kind != "?" else [f"xl has no name for viommu_type {values['viommu_type']:#x}."]
    notes += [f"xl always takes {name} {given:#x}." for name, given in
              (("base_address", grammar.base), ("length", grammar.length)) if values.get(name, given) != given]
    notes += ["xl asks for no other capability."] if values["capabilities"] & ~int(Caps.IRQ_REMAPPING) else []
    notes += ["This version's xl refuses a vIOMMU without interrupt remapping."] if grammar.on and not remaps else []
    notes += ["The key x2apic is no part of the hypercall: it becomes a flag of the DMAR table."
              ] if "x2apic" in grammar.switches else []
    text = f'"type={kind},intremap={int(remaps)}"'
    return f"viommu = [ {text} ]" if grammar.form == "list" else f"viommu = {text}", notes


def from_xl(text: str, version: str = "v1") -> tuple[dict[str, int], list[str]]:
    """The members of "create" that a version's xl would send for a line of a configuration, and what xl says of it.

    A line in the form of another version is taken, with a note. ConfigError tells what is wrong.
    """
    whole = text if re.match(r"\s*viommu\s*=", text) else f"viommu = {text if text[:1] in STARTS else repr(text)}"
    read = xl.parse(whole, "xl line", version)
    wanted = read.viommu
    if wanted is None:
        raise ValueError(f"xl line: found no viommu option; write {xl_line(_usual(version), version)[0]}")
    values = {"base_address": wanted.base or 0, "length": wanted.length or 0,
              "capabilities": int(Caps.IRQ_REMAPPING) if wanted.intremap else 0}
    return _usual(version) | {name: value for name, value in values.items() if name in _usual(version)}, [
        f"{note[:1].upper()}{note[1:]}." for note in read.notes if "viommu" in note or "version" in note]


def _usual(version: str) -> dict[str, int]:
    """The members of "create" that the toolstack sends (X 11.1)."""
    values = viommu.decode(version, viommu.create_op(version=version))[1]
    return {part.name: values[part.name] for part in known(version).fields(Op.CREATE) if not part.out}


def foretold(m: Machine, body: bytes) -> tuple[str, str]:
    """(sentence, kind) about what the hypervisor will answer to these bytes; the machine stays as it is."""
    face = viommu.interface(m)
    if not face.size <= len(body) <= MOST_BYTES:
        return f"EFAULT: {len(body)} bytes; the structure has {face.size}.", "bad"
    command, values = viommu.decode(face.name, body)
    copy = m.copy()
    row = viommu.check(copy, command, values)
    failed = viommu.operate(m.copy(), body)[0]
    if not failed:
        return "It will be done.", "good"
    why = row.sentence if row else f"There is no sub-command {command:#x}."
    single = row is not None and len({errno for _, _, errno in face.checks}) == 1
    coded = " (version 1 as coded has one errno for every failure)" if single else ""
    return f"It will be refused with {named(failed)}{coded}: {why}", "bad"


def named(number: int) -> str:
    """An errno with its number, e.g. "ERANGE (34)"."""
    return f"{Errno(number).name if number in tuple(Errno) else 'unknown'} ({number})"


def reasons(m: Machine, body: bytes) -> list[Refusal]:
    """All that is wrong with these bytes, in the order in which the hypervisor looks; nothing for other lengths."""
    face = viommu.interface(m)
    return viommu.refusals(m, *viommu.decode(face.name, body)) if face.size <= len(body) <= MOST_BYTES else []


def blamed(refusals: list[Refusal]) -> dict[str, str]:
    """The members that are to blame, each with all that is wrong with it."""
    found: dict[str, str] = {}
    for each in refusals:
        member = viommu.CONDITIONS[each.name].member
        if member:
            found[member] = f"{found[member]} {each.sentence}" if member in found else each.sentence
    return found


def afterwards(refusals: list[Refusal]) -> str:
    """What would refuse next if the first reason were mended, and so on: errno and member, or the sentence."""
    told = []
    for each in refusals[1:]:
        member = viommu.CONDITIONS[each.name].member.replace("_", " ")
        told.append(f"{named(each.errno)}, {member}" if member else f"{named(each.errno)}: {each.sentence}".rstrip("."))
    return f"Then {'; then '.join(told)}." if told else ""
