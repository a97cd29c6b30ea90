"""One thing told: its words by their fields, the ways to read it, the checks that would end it.

    told = Told("fsts", "0x2", (Form("FSTS", "", (word(FSTS, 2),)),))
    print(told)

A `Told` is plain values: `str` gives the text of `vsim decode`, `told.plain()` what its `--json` prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from vsim.layouts.bits import Access, Field, Layout, format_value, get


class Bits(NamedTuple):
    """One field of a word. bits: its place, e.g. "19:5, 2"; shown: the value for people; meaning: "" for none."""

    name: str
    bits: str
    value: int
    shown: str
    meaning: str


class Word(NamedTuple):
    """A word and its fields from the highest bit, reserved ones only where they are set. size: in bits."""

    name: str
    section: str
    size: int
    value: int
    fields: tuple[Bits, ...]


class End(NamedTuple):
    """A check that ends such a request.

    check: its name in `checks.CHECKS`. when: the state of the unit in which it does, "" for any. outcome: what becomes
    of the request. reason: the fault reason, 0 without a fault. sentence: why. cure: what would let it pass.
    """

    check: str
    when: str
    outcome: str
    reason: int
    sentence: str
    cure: str
    section: str


class Form(NamedTuple):
    """One way to read a thing. when: what has to hold for it to be read so, "" for nothing else."""

    title: str
    when: str
    words: tuple[Word, ...] = ()
    says: tuple[str, ...] = ()
    ends: tuple[End, ...] = ()


class Told(NamedTuple):
    """A thing, told. kind: its word in `vsim decode`; given: as it was written; forms: the likely one first.

    remarks: what is odd about it.
    """

    kind: str
    given: str
    forms: tuple[Form, ...]
    remarks: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As dictionaries, lists, texts and numbers."""
        plain: dict[str, Any] = _plain(self)
        return plain

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def word(layout: Layout, value: int, **meanings: str) -> Word:
    """A word by its layout; `meanings`: by field name, what this value means (default: the name of the value)."""
    return Word(layout.name, layout.section, layout.width, value, tuple(
        _bits(f, get(value, f), meanings.get(f.name, "")) for f in reversed(layout.fields)
        if f.access is not Access.RSVD or get(value, f)))


def _bits(place: Field, value: int, meaning: str) -> Bits:
    said = meaning or place.names.get(value, "")
    if place.access is Access.RSVD:
        said = "reserved: has to be 0"
    return Bits(place.name, place.bits, value, format_value(place, value),
                ": ".join(filter(None, (place.doc if place.doc != "reserved" else "", said))))


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(each) for name, each in value._asdict().items()}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _lines(told: Told) -> Iterator[str]:
    yield f"{told.kind}: {told.given}"
    for form in told.forms:
        yield ""
        yield form.title + (f" ({form.when})" if form.when else "")
        for each in form.words:
            yield from _word_lines(each)
        yield from (f"  {sentence}" for sentence in form.says)
        for end in form.ends:
            yield from _end_lines(end)
    if told.remarks:
        yield ""
        yield from (f"Remark: {remark}" for remark in told.remarks)


def _word_lines(each: Word) -> Iterator[str]:
    yield f"  {each.name} = {each.value:#0{2 + each.size // 4}x} ({each.section})"
    rows = [(row.bits, row.name, row.shown, row.meaning) for row in each.fields]
    wide = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for bits, name, shown, meaning in rows:
        yield f"    {bits:>{wide[0]}}  {name:{wide[1]}}  {shown:>{wide[2]}}  {meaning}".rstrip()


def _end_lines(end: End) -> Iterator[str]:
    yield f"  {f'If {end.when}: ' if end.when else ''}{end.outcome}, check {end.check} ({end.section})."
    yield f"    {end.sentence}"
    yield f"    To pass: {end.cure}"
