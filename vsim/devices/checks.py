"""The decision about one interrupt request, as data (VT-d 5.1.4; V 5.1).

`OPERANDS` says how each named quantity is computed from the raw words; `CHECKS` lists the rows in which the
specification tests them. From these two tables come the verdict of one request (`chain`, generated source), the
verdicts of arrays of a million (`matching`), the why-panel (`operands_of`), the documentation and the tests.

A condition uses comparisons, `&`, `|` and arithmetic only: no `and`, `or`, `if`, no look-up. It holds on ints and on
numpy arrays alike. No value in it is wider than 63 bits: a 128-bit entry is the four words w0..w3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Any

from vsim.layouts.bits import Field
from vsim.layouts.formats import (
    IRTE,
    IRTE_POSTED,
    MSI_ADDRESS,
    MSI_DATA,
    REMAP_ADDRESS,
    REMAP_DATA,
    XAPIC_DST_RESERVED,
    Reason,
)

MODE = ("ires", "eime", "cfis", "pi", "svt3_mismatch", "dlm_passes", "sourceless", "compat_passes", "bus_reversed",
        "im_ignored", "dst_unchecked", "index_wraps", "drops_when_off", "index_off_by_one", "msi_unchecked")
"""Bits of the `mode` word from bit 0: state of the unit (ires, eime, cfis), its capability pi, options, the
requester without source-id, and quirks by name."""

MODE_BIT = {name: 1 << place for place, name in enumerate(MODE)}
"""The mode bit of each name."""

CHOSEN = MODE[MODE.index("svt3_mismatch"):MODE.index("sourceless")] + MODE[MODE.index("compat_passes"):]
"""The names that stand for options of a profile and for quirks, not for the state of a unit or a requester."""


def _words(place: Field) -> str:
    """The expression for a field of a 128-bit entry kept as the words w0..w3."""
    parts, shift = [], 0
    for low, width in place.pieces:
        parts.append(f"(w{low // 32} >> {low % 32} & {(1 << width) - 1:#x})" + (f" << {shift}" if shift else ""))
        shift += width
    return "(" + " | ".join(parts) + ")" if len(parts) > 1 else parts[0]


def _int(name: str, place: Field) -> str:
    parts, shift = [], 0
    for low, width in place.pieces:
        parts.append(f"({name} >> {low} & {(1 << width) - 1:#x})" + (f" << {shift}" if shift else ""))
        shift += width
    return "(" + " | ".join(parts) + ")" if len(parts) > 1 else parts[0]


def _reserved(layout_reserved: int, extra: str = "") -> str:
    parts = [f"w{n} & {layout_reserved >> 32 * n & 0xFFFFFFFF:#x}" for n in range(4)
             if layout_reserved >> 32 * n & 0xFFFFFFFF]
    return "(" + " | ".join(parts) + extra + ")"


OPERANDS: dict[str, tuple[str, str]] = {
    **{name: (f"(mode >> {place} & 1)", "bit of the unit's mode") for place, name in enumerate(MODE)},
    "format": (_int("address", REMAP_ADDRESS.format), "address bit 4: 1 is remappable"),
    "shv": (_int("address", REMAP_ADDRESS.shv), "address bit 3: subhandle valid"),
    "handle": (_int("address", REMAP_ADDRESS.handle), "address bits 19:5 and 2"),
    "subhandle": (_int("data", REMAP_DATA.subhandle), "data bits 15:0"),
    "data_upper": (_int("data", REMAP_DATA.upper), "data bits 31:16"),
    "index": ("((handle + shv * subhandle) & (0x1ffff - index_wraps * 0x10000))", "handle + subhandle, 17 bits"),
    "entry_page": ("(base_page + (index >> 8))", "page of the entry: table base plus index * 16"),
    "p": (_words(IRTE.p), "present"),
    "im": (_words(IRTE.im), "entry mode: 1 posted"),
    "dlm": (_words(IRTE.dlm), "delivery mode"),
    "dst": (_words(IRTE.dst), "destination"),
    "sid": (_words(IRTE.sid), "allowed source-id"),
    "sq": (_words(IRTE.sq), "source-id qualifier"),
    "svt": (_words(IRTE.svt), "source validation type"),
    "sq_ignored": ("((sq >= 1) * 4 | (sq >= 2) * 2 | (sq >= 3) * 1)", "function bits not compared"),
    "bus": ("(requester >> 8)", "the requester's bus"),
    "sid_high": ("(sid >> 8)", "SID[15:8]"),
    "sid_low": ("(sid & 0xff)", "SID[7:0]"),
    "remapped_reserved": (_reserved(IRTE.reserved), "reserved bits of a remapped entry"),
    "posted_reserved": (_reserved(IRTE_POSTED.reserved), "reserved bits of a posted entry"),
    "dst_reserved": (f"(dst & {XAPIC_DST_RESERVED:#x})", "bits of DST that are reserved while EIME=0"),
    "dm": (_words(IRTE.dm), "destination mode"),
    "rh": (_words(IRTE.rh), "redirection hint"),
    "tm": (_words(IRTE.tm), "trigger mode"),
    "vector": (_words(IRTE.vector), "vector"),
    "destination": ("(eime * dst + (1 - eime) * (dst >> 8 & 0xff))", "APIC ID: all of DST, or DST[15:8]"),
    "out_upper": ("(destination & 0xffffff00)", "upper half of the message's address"),
    "out_address": ("(" + " | ".join((
        f"{MSI_ADDRESS.make(fee=0xFEE):#x}", f"(destination & 0xff) << {MSI_ADDRESS.dest.low}",
        f"rh << {MSI_ADDRESS.rh.low}", f"dm << {MSI_ADDRESS.dm.low}")) + ")", "lower half of the message's address"),
    "out_data": ("(" + " | ".join((
        f"{MSI_DATA.make(level=1):#x}", "vector", f"dlm << {MSI_DATA.dlm.low}", f"tm << {MSI_DATA.tm.low}")) + ")",
        "the message's data; level is always asserted"),
}
"""Named quantities: (expression over raw words and other operands, meaning). Raw words: address (low 32 bits),
upper (address 63:32), data, requester, entries, base_page (table address / 4096), width (address width - 12),
mode, readable, w0..w3."""

PASS = -1
"""Outcome of a row that ends the decision by delivering the request unchanged, in compatibility format."""


@dataclass(frozen=True, slots=True)
class Check:
    """One row: when `condition` holds, the request ends here with `outcome` (a `Reason`, or PASS).

    qualified: the fault is not recorded when the entry's FPD is set. stage: "request" (before the entry is
    fetched) or "entry". section: of the VT-d specification. sentence: why, for people. cure: what would let such a
    request pass this check.
    """

    name: str
    condition: str
    outcome: int
    qualified: bool
    stage: str
    section: str
    sentence: str
    cure: str


def _check(name: str, stage: str, condition: str, outcome: int, section: str, sentence: str,
           cure: str, qualified: bool = False) -> Check:
    return Check(name, condition, outcome, qualified, stage, section, sentence, cure)


DROP = -2
"""Outcome of a row that ends the decision by losing the request without a fault."""

_ROWS = (
    _check("dropped-while-off", "request", "(ires == 0) & (format == 1) & (drops_when_off == 1)", DROP, "5.1.4",
           "Remapping is off and the device model drops remappable messages (Xen).",
           "Turn remapping on before the message is sent, or write the message in compatibility format."),
    _check("remapping-off", "request", "ires == 0", PASS, "5.1.4",
           "Remapping is off: the request is delivered as compatibility format, whatever bit 4 says.",
           "Turn remapping on (GCMD.IRE) to have the request checked and remapped."),
    _check("compatibility-blocked", "request",
           "(format == 0) & ((eime == 1) | (cfis == 0)) & (compat_passes == 0)", Reason.COMPATIBILITY, "5.1.4",
           "A compatibility-format request is blocked: EIME is 1, or CFIS is 0.",
           "Write the message in remappable format (bit 4 set, with a handle). With EIME=0, setting CFI "
           "lets it pass unremapped."),
    _check("compatibility-passes", "request", "format == 0", PASS, "5.1.4",
           "A compatibility-format request passes the table by.",
           "Write the message in remappable format, or clear CFI, to have it checked."),
    _check("request-reserved", "request",
           "(upper != 0) | (shv == 1) & (data_upper != 0) & (msi_unchecked == 0)", Reason.REQUEST_RESERVED, "5.1.4.1",
           "Upper address bits are set, or data bits 31:16 are set while the subhandle is valid.",
           "Clear address bits 63:32, and data bits 31:16 while the subhandle is valid."),
    _check("table-absent", "request", "(entries == 0) & (index_off_by_one == 0)", Reason.TABLE_ERROR, "5.1.4.1",
           "Remapping is on, and no table was ever latched by SIRTP.",
           "Write IRTA and set the table pointer (GCMD.SIRTP) before remapping is turned on."),
    _check("index-over", "request", "index >= entries + index_off_by_one", Reason.INDEX_OVER, "5.1.3",
           "The index is not below the number of entries, 2^(S+1).",
           "Use a handle below the number of entries, or set a larger table (IRTA.S)."),
    _check("entry-beyond-width", "request", "(entry_page >> width) != 0", Reason.INDEX_OVER, "5.1.4.1",
           "The entry's address is above the host address width.",
           "Put the table below the host address width."),
    _check("table-unreadable", "entry", "readable == 0", Reason.TABLE_ERROR, "5.1.4.1",
           "The entry could not be read: its address is not memory.",
           "Put the table into memory that the unit can read: see IRTA."),
    _check("not-present", "entry", "p == 0", Reason.NOT_PRESENT, "5.1.4.1", "P is 0 in the entry.",
           "Set P in the entry, and invalidate it, before the device sends; or have the device send the "
           "handle of a present entry.", True),
    _check("source-compare", "entry",
           "(svt == 1) & (sourceless == 0) & (((requester ^ sid) & (0xffff ^ sq_ignored)) != 0)", Reason.SOURCE_ID,
           "9.9", "The requester is not the SID, in the bits that SQ compares.",
           "Write the requester into SID (behind a bridge: the bridge's own id), or have SQ leave out the "
           "bits that differ.", True),
    _check("source-bus", "entry",
           "(svt == 2) & (sourceless == 0) & (bus_reversed == 0) & ((bus < sid_high) | (bus > sid_low))",
           Reason.SOURCE_ID, "9.9", "The requester's bus is outside SID[15:8] .. SID[7:0].",
           "Write first and last bus into SID so that the requester's bus is between them.", True),
    _check("source-bus-reversed", "entry",
           "(svt == 2) & (sourceless == 0) & (bus_reversed == 1) & ((bus > sid_high) | (bus < sid_low))",
           Reason.SOURCE_ID, "9.9", "The requester's bus is outside SID[7:0] .. SID[15:8] (reversed).",
           "This device model takes first and last bus the other way round.", True),
    _check("source-type-mismatch", "entry", "(svt == 3) & (sourceless == 0) & (svt3_mismatch == 1)",
           Reason.SOURCE_ID, "9.9", "SVT is 3, a reserved encoding, taken as a mismatch.",
           "Use SVT 0, 1 or 2.", True),
    _check("remapped-reserved", "entry", "((im == 0) | (im_ignored == 1)) & (remapped_reserved != 0)",
           Reason.ENTRY_RESERVED, "9.9", "Reserved bits of the entry are set.",
           "Clear the reserved bits of the entry.", True),
    _check("destination-reserved", "entry",
           "((im == 0) | (im_ignored == 1)) & (eime == 0) & (dst_unchecked == 0) & (dst_reserved != 0)",
           Reason.ENTRY_RESERVED, "9.9", "EIME is 0 and DST has bits set outside 15:8.",
           "Put the APIC ID into DST bits 15:8 and clear the others, or turn EIME on.", True),
    _check("delivery-mode", "entry",
           "((im == 0) | (im_ignored == 1)) & (dlm_passes == 0) & ((dlm == 3) | (dlm == 6))",
           Reason.ENTRY_RESERVED, "9.9", "The delivery mode is a reserved encoding.",
           "Use delivery mode 0, 1, 2, 4, 5 or 7.", True),
    _check("posting-absent", "entry", "(im == 1) & (pi == 0) & (im_ignored == 0)", Reason.ENTRY_RESERVED, "9.10",
           "The entry is in posted mode and the unit does not offer posted interrupts.",
           "Clear IM (remapped mode), or use a unit with CAP.PI.", True),
    _check("posted-reserved", "entry", "(im == 1) & (im_ignored == 0) & (posted_reserved != 0)",
           Reason.ENTRY_RESERVED, "9.10", "Reserved bits of the posted entry are set.",
           "Clear the reserved bits of the entry.", True),
    _check("source-type", "entry", "(svt == 3) & (svt3_mismatch == 0)", Reason.ENTRY_RESERVED, "9.9",
           "SVT is 3, a reserved encoding.",
           "Use SVT 0, 1 or 2.", True),
)

CHECKS: dict[str, Check] = {row.name: row for row in _ROWS}
"""All checks by name, in the specification's order."""

NAMES: tuple[str, ...] = ("", *CHECKS)
"""A check's number in the generated chain is its place here; 0 means that nothing refused."""


def _ordered(*last: str) -> tuple[str, ...]:
    """The specification's order with the checks named by a prefix in `last` moved to the end."""
    late = [name for prefix in last for name in CHECKS if name.startswith(prefix) and name != "source-type"]
    return (*(name for name in CHECKS if name not in late), *late)


ORDERS: dict[str, tuple[str, ...]] = {
    "spec": tuple(CHECKS),
    "reserved-first": _ordered("source-"),
    "request-late": _ordered("source-", "request-reserved"),
}
"""The check orders; "request-late" is that of quirk qemu.D6."""


def expanded(condition: str) -> str:
    """A condition with every operand replaced by its expression over raw words."""
    def replace(match: re.Match[str]) -> str:
        name = match.group()
        return expanded(OPERANDS[name][0]) if name in OPERANDS else name
    return re.sub(r"[a-z_][a-z_0-9]*", replace, condition)


def operand_names(condition: str) -> tuple[str, ...]:
    """The operands and raw words that a condition names, in order of appearance."""
    return tuple(dict.fromkeys(re.findall(r"[a-z_][a-z_0-9]*", condition)))


def stage_rows(order: str, stage: str) -> tuple[str, ...]:
    """The checks of a stage ("request" or "entry") in an order; "request-late" moves one to the entry stage."""
    late = {"request-reserved": "entry"} if order == "request-late" else {}
    return tuple(name for name in ORDERS[order] if late.get(name, CHECKS[name].stage) == stage)


def definitions(expression: str, known: set[str]) -> Iterator[tuple[str, str]]:
    """The operands that an expression rests on with the expressions of their own, each once and in order.

    known: those that are there already; what is defined is added.
    """
    for name in operand_names(expression):
        if name in OPERANDS and name not in known:
            yield from definitions(OPERANDS[name][0], known)
            known.add(name)
            yield name, OPERANDS[name][0]


@cache
def _steps(order: str, stage: str) -> tuple[tuple[str, int, CodeType], ...]:
    """What `matching` evaluates, in turn: (operand, 0, its expression) or (check, its number, its condition)."""
    out, known = list[tuple[str, int, CodeType]](), set[str]()
    for row in stage_rows(order, stage):
        condition = CHECKS[row].condition
        out += [(name, 0, compile(text, name, "eval")) for name, text in definitions(condition, known)]
        out.append((row, NAMES.index(row), compile(condition, row, "eval")))
    return tuple(out)


def matching(order: str, stage: str, words: Mapping[str, Any]) -> Any:
    """The first check (number in NAMES) of a stage to end each request, or 0: what `chain` decides, for arrays too.

    words: the raw words by name (see OPERANDS), ints or numpy arrays of signed 64-bit integers.
    """
    known: dict[str, Any] = {**words, "__builtins__": {}}
    found: Any = 0
    for name, number, code in _steps(order, stage):
        value = eval(code, known)
        if number:
            found = found + (found == 0) * (value * number)
        else:
            known[name] = value
    return found


SIGNATURE = {
    "request": ("address", "upper", "data", "mode", "entries", "base_page", "width"),
    "entry": ("address", "upper", "data", "requester", "mode", "readable", "w0", "w1", "w2", "w3"),
}
"""The raw words that a stage's chain takes, in order."""


def _assignments(expression: str, known: set[str]) -> list[str]:
    return [f"    {name} = {text}" for name, text in definitions(expression, known)]


def _function(order: str, stage: str) -> list[str]:
    """The source lines of one generated function: the rows of a stage in one order, as an if-chain."""
    names = ", ".join(f"{name}: int" for name in SIGNATURE[stage])
    out = [f"def {stage}_{order.replace('-', '_')}({names}) -> int:",
           f'    """The first {stage} check (number in checks.NAMES) to end the request, order "{order}"; or 0."""']
    known: set[str] = set()
    for name in stage_rows(order, stage):
        condition = CHECKS[name].condition
        out += [*_assignments(condition, known), f"    if {condition}:", f"        return {NAMES.index(name)}"]
    return [*out, "    return 0", "", ""]


def _formula(name: str, arguments: str, answer: str, results: tuple[str, ...], says: str) -> list[str]:
    """The source lines of a generated function that returns operands."""
    returned = ", ".join(results)
    head = [f"def {name}({arguments}) -> {answer}:", f'    """{says}"""']
    return [*head, *_assignments(returned, set()), f"    return {returned}", "", ""]


def source() -> str:
    """The text of `vsim/chain.py`: the check table as plain if-chains."""
    head = ['"""The check table as plain if-chains. Generated by `python -m vsim.devices.checks`; do not edit.',
            "", "Numba compiles these functions and caches them, and the debugger steps through them.", '"""',
            "# ruff: noqa: E501", ""]
    body = [""]
    body += _formula("index_of", "address: int, data: int, mode: int", "int", ("index",),
                     "The interrupt index of a remappable request (VT-d 5.1.3).")
    body += _formula("message_of", "w0: int, w1: int, mode: int", "tuple[int, int, int, int]",
                     ("destination", "out_upper", "out_address", "out_data"),
                     "What a good entry sends on: (destination, address 63:32, address 31:0, data) (V 5.1, step 10).")
    for order in ORDERS:
        body += _function(order, "request") + _function(order, "entry")
    for stage in SIGNATURE:
        pairs = ", ".join(f'"{order}": {stage}_{order.replace("-", "_")}' for order in ORDERS)
        body += [f"{stage.upper()} = {{{pairs}}}", f'"""The {stage} chain of each order."""']
    return "\n".join(head + body) + "\n"


if __name__ == "__main__":
    print(source(), end="")
