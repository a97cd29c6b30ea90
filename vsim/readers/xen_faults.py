"""Faults in Xen's log: what a remapping unit refused, in the forms of Xen 3.3 to 4.x, as `linux_faults.Fault`.

The forms (xen/drivers/passthrough/vtd/iommu.c, iommu_page_fault_do_one):

    3.x         iommu_fault:DMA Read: 0:1d.1 addr 7d2ce000 REASON 6 iommu->reg = ...   (an interrupt's index is lost)
    later       INTR-REMAP: Request device [0000:02:00.0] fault index b0, iommu reg = ... \\n
                INTR-REMAP:[fault reason 22h] Present field in the IRTE entry is clear
    since       INTR-REMAP: Request device [0000:02:00.0] fault index b0 [, iommu reg = ...] \\n
                INTR-REMAP: reason 22 - Present field in the IRTE entry is clear

All three were read in copies of that file; which release the one between is of was not settled (unverified). All
numbers are hexadecimal. Before a fault Xen tells the bits of FSTS in words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vsim.layouts.formats import REASON_TEXT
from vsim.readers.linux_faults import Fault
from vsim.readers.pieces import Line, Reading, Remark, few
from vsim.readers.xen_lines import MAX_RECORDS, body, column, cut, is_xen

MAX_APART = 6
"""Lines between a fault and its reason."""

STATUS = {
    "Fault Overflow": "pfo", "Primary Fault Overflow": "pfo", "Primary Pending Fault": "ppf",
    "Advanced Fault Overflow": "afo", "Advanced Pending Fault": "apf", "Invalidation Queue Error": "iqe",
    "Invalidation Completion Error": "ice", "Invalidation Time-out Error": "ite"}
"""The words for a bit of FSTS, and its field."""

_SBDF = r"\[?(?:(?P<segment>[0-9a-f]{1,4}):)?(?P<bus>[0-9a-f]{1,2}):(?P<device>[0-9a-f]{1,2})\.(?P<function>[0-7])\]?"
_FAULT = re.compile(
    rf"(?P<kind>INTR-REMAP|DMAR|UNKNOWN): ?(?:\[(?P<way>DMA Read|DMA Write)\])? ?Request device {_SBDF} "
    r"fault (?P<what>index|addr) (?P<value>[0-9a-f]{1,16})\b")
_OLD = re.compile(rf"iommu_fault: ?(?P<way>DMA Read|DMA Write): {_SBDF} addr (?P<value>[0-9a-f]{{1,16}}) "
                  r"REASON (?P<reason>[0-9a-f]{1,2})\b")
_REASON = re.compile(r"(?:INTR-REMAP|DMAR|UNKNOWN): ?(?:reason (?P<new>[0-9a-f]{1,2}) - |"
                     r"\[fault reason (?P<old>[0-9a-f]{1,2})h\] ?)(?P<words>.{0,120})")
_STATUS = re.compile(r"iommu_fault_status: (?P<words>[A-Z][A-Za-z -]{1,40})")
_TIME = re.compile(r"\[ *(\d{1,12}\.\d{1,9})\]")
_WAYS = {"DMA Read": "read", "DMA Write": "write", None: "write"}


@dataclass(frozen=True, slots=True)
class StatusBit:
    """A bit of FSTS that Xen's fault handler found set, told in words. field: its name in `registers.FSTS`."""

    file: str
    line: int
    field: str


def read(lines: Sequence[Line]) -> Reading:
    """All faults of Xen's log: `Fault` and `StatusBit` in the order of the text."""
    records: list[Fault | StatusBit] = []
    remarks: list[Remark] = []
    waiting: list[tuple[int, int]] = []
    for place, line in enumerate(lines):
        if len(records) >= MAX_RECORDS:
            remarks.append(Remark(line.file, line.number, 1, f"left out: all behind the first {MAX_RECORDS} faults"))
            break
        said = line.text if is_xen(line.text) else body(line.text) if waiting else ""
        if not said:
            continue
        if cut(said):
            said = _whole(lines, place)
        match = _FAULT.search(said) or _OLD.search(said)
        if match:
            _take(match, line, place, records, waiting, remarks)
        elif match := _REASON.search(said):
            _explain(match, line, place, records, waiting, remarks)
        elif (match := _STATUS.search(said)) and (name := STATUS.get(match["words"].strip())):
            records.append(StatusBit(line.file, line.number, name))
    for _, at in waiting:
        fault = records[at]
        remarks.append(Remark(fault.file, fault.line, 1, f"the fault of {getattr(fault, 'source', '')} was cut: no "
                                                         "reason"))
    return Reading(tuple(records), few(sorted(remarks, key=lambda remark: (remark.file, remark.line))))


def _whole(lines: Sequence[Line], place: int) -> str:
    """A line that was broken, with what is left of it on up to two lines that Xen did not begin."""
    said = lines[place].text.rstrip()
    for line in lines[place + 1:place + 3]:
        rest = line.text.strip(" \t>|")    # no `body`: it would take a requester in brackets for a time
        if not cut(said) or is_xen(line.text) or not rest:
            break
        said = f"{said} {rest}"
    return said


def _take(match: re.Match[str], line: Line, place: int, records: list[Fault | StatusBit],
          waiting: list[tuple[int, int]], remarks: list[Remark]) -> None:
    parts = match.groupdict()
    device = int(parts["device"], 16)
    if device > 31:
        remarks.append(Remark(line.file, line.number, column(line), f"left out: device {device:#x} is over its limit "
                                                                    "0x1f"))
        return
    rid = int(parts["bus"], 16) << 8 | device << 3 | int(parts["function"])
    stamps = _TIME.findall(line.text)
    kind = "interrupt" if parts.get("kind") == "INTR-REMAP" else _WAYS[parts["way"]]
    fault = Fault(line.file, line.number, rid, kind=kind, segment=int(parts["segment"] or "0", 16),
                  time=stamps[-1] if stamps else "")
    value = int(parts["value"], 16)
    if parts.get("reason"):
        reason = int(parts["reason"], 16)
        records.append(_typed(replace(fault, address=value, reason=reason), None))
        return
    if parts["what"] == "addr":
        fault = replace(fault, address=value)
    elif value <= 0xFFFF:
        fault = replace(fault, index=value)
    else:
        remarks.append(Remark(line.file, line.number, column(line), f"index {value:#x} is over its limit 0xffff"))
    waiting.append((place, len(records)))
    records.append(fault)


def _explain(match: re.Match[str], line: Line, place: int, records: list[Fault | StatusBit],
             waiting: list[tuple[int, int]], remarks: list[Remark]) -> None:
    while waiting and place - waiting[0][0] > MAX_APART:
        at = waiting.pop(0)[1]
        fault = records[at]
        remarks.append(Remark(fault.file, fault.line, 1, f"the fault of {getattr(fault, 'source', '')} was cut: no "
                                                         "reason"))
    reason = int(match["new"] or match["old"], 16)
    if not waiting:
        remarks.append(Remark(line.file, line.number, column(line), f"left out: {reason:#x} is the reason of no fault "
                                                                    "that is told"))
        return
    at = waiting.pop(0)[1]
    fault = records[at]
    if isinstance(fault, Fault):
        index = fault.address >> 48 if fault.address is not None else None
        records[at] = _typed(replace(fault, reason=reason, words=match["words"].strip()), index)


def _typed(fault: Fault, index: int | None) -> Fault:
    """A reason of interrupt remapping makes a fault one of an interrupt, also where it was printed with an address."""
    if fault.kind == "interrupt" or fault.reason not in REASON_TEXT or not fault.reason:
        return fault
    return replace(fault, kind="interrupt", index=index, address=None)
