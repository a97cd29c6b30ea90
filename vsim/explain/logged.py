"""Lines of a log told: a fault with its record, the checks that refuse so and what would let it pass.

`tell_logged(record)` takes what the readers of logs give (`linux_faults`, `xen_faults`, `amd_log`, `qemu_trace`);
`TELLERS` has a row for each type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vsim.explain import amd
from vsim.explain.ends import ends_of_reason
from vsim.explain.things import tell
from vsim.explain.told import Form, Told, word
from vsim.layouts.formats import FRCD, IRTE, REASON_TEXT, Reason
from vsim.layouts.registers import FSTS, IQERCD
from vsim.readers import qemu_trace
from vsim.readers.amd_log import Event
from vsim.readers.linux_faults import Fault, QueueDump, QueueFault, Status
from vsim.readers.xen_faults import StatusBit


def tell_logged(record: Any) -> Told:
    """A record of a log, told. ValueError for a type that has no row in `TELLERS`."""
    teller = TELLERS.get(type(record))
    if teller is None:
        raise ValueError(f"record is a {type(record).__name__}; the limit is "
                         f"{', '.join(each.__name__ for each in TELLERS)}")
    return teller(record)


def _fault(fault: Fault) -> Told:
    given = f"{fault.file}:{fault.line}: request of {fault.source}, reason {_hex(fault.reason)}"
    if fault.kind != "interrupt":
        return Told("fault", given, (Form(f"Fault of DMA remapping: a {fault.kind}", "", (), (
            f"{fault.source} tried address {_hex(fault.address)}: {fault.words or 'no words'}.",
            "This is no interrupt: what is remapped here are addresses, not messages.")),))
    known = fault.reason >= 0
    record = FRCD.make(f=1, reason=max(fault.reason, 0), sid=fault.rid, index=fault.index or 0)
    if fault.reason == Reason.COMPATIBILITY:
        says = [f"{fault.source} was refused: {_why(fault)}.",
                "Such a request has no index; what the unit recorded there is none."]
    else:
        says = [f"{fault.source} asked for index {_hex(fault.index)}"
                f"{f' ({fault.index})' if fault.index is not None else ''} and was refused: {_why(fault)}."]
    ends = ends_of_reason(fault.reason)
    if len(ends) > 1:
        says.append("Several checks refuse so; the entry or the message says which one it was.")
    remarks = () if fault.index is not None and known else ("the line was cut: not everything of the fault is told",)
    return Told("fault", given, (Form("Interrupt refused", "", (word(FRCD, record),), tuple(says), ends),), remarks)


def _why(fault: Fault) -> str:
    if fault.reason in REASON_TEXT and fault.reason:
        return REASON_TEXT[fault.reason]
    if fault.reason < 0:
        return "for a reason that is not told"
    words = f" The line says: {fault.words}" if fault.words else ""
    return f"{fault.reason:#x} is no reason that interrupt remapping has (those are 0x20 to 0x28).{words}".rstrip(".")


def _status(status: Status) -> Told:
    told = tell("fsts", (status.value,))
    return told._replace(given=f"{status.file}:{status.line}: {status.value:#x}")


def _bit(bit: StatusBit) -> Told:
    told = tell("fsts", (FSTS.make(**{bit.field: 1}),))
    return told._replace(given=f"{bit.file}:{bit.line}: {bit.field} is set; the other bits are not told")


def _queue(fault: QueueFault) -> Told:
    words = {"queue": (word(IQERCD, IQERCD.make(iqei=min(fault.value, IQERCD.iqei.limit))),),
             "time-out": (word(IQERCD, IQERCD.make(itesid=fault.value)),),
             "completion": (word(IQERCD, IQERCD.make(icesid=fault.value)),)}
    return Told("queue error", f"{fault.file}:{fault.line}: {fault.what}", (Form(
        "Invalidation queue", "", words.get(fault.what, ()), (f"{fault.what.capitalize()} error: {fault.meaning}.",)),))


def _dump(dump: QueueDump) -> Told:
    where = "at the queue's head" if dump.which == "HEAD" else "before the queue's head"
    told = tell("descriptor", (dump.high, dump.low))
    return told._replace(given=f"{dump.file}:{dump.line}: {where}, {dump.high:#x} {dump.low:#x}")


def _amd(happened: Event) -> Told:
    return Told("AMD event", f"{happened.file}:{happened.line}: {happened.kind} of {happened.source}",
                amd.logged(happened))


QEMU_WORDS = {"vtd_ir_irte_get": "irte", "vtd_inv_desc": "descriptor", "vtd_frr_new": "frcd"}
"""Trace events of QEMU that show two halves of a word, and the kind of the word."""
QEMU_MESSAGES = ("vtd_ir_remap_msi_req", "vtd_ir_remap_msi", "vtd_irq_generate")
"""Those that show a message."""


def _traced(event: qemu_trace.Event) -> Told:
    if event.name in QEMU_WORDS:
        told = tell(QEMU_WORDS[event.name], (event["high"], event["low"]))
    else:
        told = tell("msi", (event["address"], event["data"] & 0xFFFFFFFF))
    return told._replace(given=f"{event.file}:{event.line}: {event.name}")


def _refused(refusal: qemu_trace.Refusal) -> Told:
    index = "" if refusal.index is None else f"index {refusal.index}, "
    known = dict(refusal.values)
    words = (word(IRTE, refusal["high"] << 64 | refusal["low"]),) if "high" in known else ()
    what = f"The message to {refusal['address']:#x}" if refusal.index is None else \
        f"The entry at index {refusal.index:#x}"
    return Told("fault", f"{refusal.file}:{refusal.line}: {index}reason {refusal.reason:#x}", (Form(
        "Interrupt refused by QEMU's unit", "", words, (
            f"{what}: {REASON_TEXT[refusal.reason]}.",
            "QEMU tells the first of a kind only."), ends_of_reason(refusal.reason)),))


def _hex(value: int | None) -> str:
    return "unknown" if value is None or value < 0 else f"{value:#x}"


TELLERS: dict[type, Callable[[Any], Told]] = {
    Fault: _fault, Status: _status, StatusBit: _bit, QueueFault: _queue, QueueDump: _dump, Event: _amd,
    qemu_trace.Event: _traced, qemu_trace.Refusal: _refused}
"""What tells each type of record."""
