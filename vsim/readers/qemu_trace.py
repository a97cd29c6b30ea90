"""QEMU's trace events of interrupts: `-trace vtd_*,apic_*,ioapic_*,msi*`, as its log or simpletrace prints them.

    for event in read(lines).records: event.name, event["index"]        # Event, Refusal

`EVENTS` declares each event once: its text, with the values by what they are (hw/i386/trace-events, hw/intc/
trace-events and accel/kvm/trace-events). An event that got further values later has a row for each form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vsim.layouts.formats import Reason
from vsim.readers.pieces import Line, Reading, Remark, few

MAX_EVENTS = 500_000
"""Most events of one reading."""

Values = tuple[tuple[str, int | str], ...]

EVENTS: tuple[tuple[str, str], ...] = (
    # The two halves of the entry stand under each other's names.
    ("vtd_ir_irte_get", "index {index:d} low {high:x} high {low:x}"),
    ("vtd_ir_enable", "enable {on:d}"),
    ("vtd_ir_remap", "index {index:d} trigger {tm:d} vector {vector:d} deliver {dlm:d} dest {dest:x} mode {dm:d}"),
    ("vtd_ir_remap_type", "{type:s}"),
    ("vtd_ir_remap_msi_req", "addr {address:x} data {data:x}"),
    ("vtd_ir_remap_msi_req", "addr {address:x} data {data:x} sid {sid:x} do_fault {do_fault:d}"),
    ("vtd_ir_remap_msi", "(addr {address:x}, data {data:x}) -> (addr {out_address:x}, data {out_data:x})"),
    ("vtd_reg_ir_root", "addr {base:x} size {entries:x}"),
    ("vtd_reg_dmar_root", "addr {base:x} scalable {scalable:d}"),
    ("vtd_dmar_enable", "enable {on:d}"),
    ("vtd_reg_read", "addr {offset:x} size {size:x}"),
    ("vtd_reg_write", "addr {offset:x} size {size:x} value {value:x}"),
    ("vtd_reg_write_gcmd", "status {status:x} value {value:x}"),
    ("vtd_reg_write_fectl", "value {value:x}"),
    ("vtd_reg_write_iectl", "value {value:x}"),
    ("vtd_reg_ics_clear_ip", ""),
    ("vtd_inv_desc", "invalidate desc type {type:s} high {high:x} low {low:x}"),
    ("vtd_inv_desc_iec", "granularity {g:x} index {index:x} mask {im:x}"),
    ("vtd_inv_desc_wait_sw", "wait invalidate status write addr {address:x} data {data:x}"),
    ("vtd_inv_desc_wait_irq", "{text:s}"),
    ("vtd_inv_qi_enable", "enabled {on:d}"),
    ("vtd_inv_qi_setup", "addr {base:x} size {size:d}"),
    ("vtd_inv_qi_head", "read head {head:d}"),
    ("vtd_inv_qi_tail", "write tail {tail:d}"),
    ("vtd_inv_qi_fetch", ""),
    ("vtd_irq_generate", "addr {address:x} data {data:x}"),
    ("vtd_dmar_fault", "sid {sid:x} fault {reason:d} addr {address:x} write {write:d}"),
    ("vtd_frr_new", "index {record:d} high {high:x} low {low:x}"),
    ("vtd_fsts_ppf", "FSTS PPF bit set to {on:d}"),
    ("vtd_fsts_clear_ip", ""),
    ("vtd_warn_invalid_qi_tail", "tail {tail:x}"),
    ("vtd_warn_ir_vector", "sid {sid:x} index {index:d} vec {vector:d} (should be: {target:d})"),
    ("vtd_warn_ir_trigger", "sid {sid:x} index {index:d} trigger {tm:d} (should be: {target:d})"),
    ("x86_iommu_iec_notify", "Notify IEC invalidation: global={all:d} index={index:d} mask={im:d}"),
    ("apic_local_deliver", "vector {lvt:d} delivery mode {dlm:d}"),
    ("apic_deliver_irq", "dest {dest:d} dest_mode {dm:d} delivery_mode {dlm:d} vector {vector:d} trigger_mode {tm:d}"),
    ("apic_mem_readl", "{offset:x} = {value:x}"),
    ("apic_mem_writel", "{offset:x} = {value:x}"),
    ("apic_register_read", "register {register:x} = {value:x}"),
    ("apic_register_write", "register {register:x} = {value:x}"),
    ("apic_report_irq_delivered", "coalescing {count:d}"),
    ("apic_reset_irq_delivered", "old coalescing {count:d}"),
    ("apic_get_irq_delivered", "returning coalescing {count:d}"),
    ("cpu_set_apic_base", "{value:x}"),
    ("cpu_get_apic_base", "{value:x}"),
    ("ioapic_set_irq", "vector: {pin:d} level: {level:d}"),
    ("ioapic_set_remote_irr", "set remote irr for pin {pin:d}"),
    ("ioapic_clear_remote_irr", "clear remote irr for pin {pin:d} vector {vector:d}"),
    ("ioapic_eoi_broadcast", "EOI broadcast for vector {vector:d}"),
    ("ioapic_eoi_delayed_reassert", "delayed reassert on EOI broadcast for vector {vector:d}"),
    ("ioapic_mem_read", "ioapic mem read addr {offset:x} regsel: {select:x} size {size:x} retval {value:x}"),
    ("ioapic_mem_write", "ioapic mem write addr {offset:x} regsel: {select:x} size {size:x} val {value:x}"),
    ("msix_write_config", "dev {device:s} enabled {on:d} masked {masked:d}"),
    ("kvm_irqchip_commit_routes", ""),
    ("kvm_irqchip_add_msi_route", "dev {device:s} vector {entry:d} virq {virq:d}"),
    ("kvm_irqchip_update_msi_route", "Updating MSI route virq={virq:d}"),
    ("kvm_irqchip_release_virq", "virq {virq:d}"),
    ("amdvi_ir_remap_msi_req", "addr {address:x} data {data:x} devid {devid:x}"),
    ("amdvi_ir_remap_msi", "(addr {address:x}, data {data:x}) -> (addr {out_address:x}, data {out_data:x})"),
    ("amdvi_ir_irte", "addr {base:x} offset {offset:x}"),
    ("amdvi_ir_irte_val", "data {value:x}"),
    ("amdvi_ir_irte_ga_val", "hi {high:x} lo {low:x}"),
)
"""(name, text): in the text {name:x} is a hexadecimal number, {name:d} a decimal one, {name:s} words."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event. values: by the names of `EVENTS`, in the order of the text. time: seconds as printed, or ""."""

    file: str
    line: int
    name: str
    values: Values
    time: str = ""

    def __getitem__(self, name: str) -> int:
        """A number by its name. KeyError for a name that the event does not have."""
        return int(dict(self.values)[name])

    def text(self, name: str) -> str:
        """A value as text."""
        return str(dict(self.values)[name])

    @property
    def word(self) -> int:
        """The 128 bits of an event that shows two halves (entry, descriptor, fault record). KeyError for another."""
        return self["high"] << 64 | self["low"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that QEMU reports of an entry or a message (error_report_once: the first of a kind only).

    reason: a fault reason.
    """

    file: str
    line: int
    reason: int
    values: Values

    @property
    def index(self) -> int | None:
        """The index of the entry, None where not told."""
        found = dict(self.values).get("index")
        return None if found is None else int(found)

    def __getitem__(self, name: str) -> int:
        """A number by its name. KeyError for a name that the line does not have."""
        return int(dict(self.values)[name])


REFUSALS: tuple[tuple[int, str], ...] = (
    (Reason.NOT_PRESENT, "vtd_irte_get: detected non-present IRTE (index={index:d}, high={high:x}, low={low:x})"),
    (Reason.ENTRY_RESERVED,
     "vtd_irte_get: detected non-zero reserved IRTE (index={index:d}, high={high:x}, low={low:x})"),
    (Reason.SOURCE_ID, "vtd_irte_get: invalid IRTE SID (index={index:d}, sid={sid:d}, source_id={source:d})"),
    (Reason.SOURCE_ID, "vtd_irte_get: invalid SVT_BUS (index={index:d}, bus={bus:d}, min={min:d}, max={max:d})"),
    (Reason.SOURCE_ID, "vtd_irte_get: detected invalid IRTE SVT (index={index:d}, type={svt:d})"),
    (Reason.TABLE_ERROR, "vtd_irte_get: read failed: ind={index:x} addr={address:x}"),
    (Reason.INDEX_OVER, "vtd_irte_get: index too large: ind={index:x}"),
    (Reason.REQUEST_RESERVED,
     "vtd_interrupt_remap_msi: invalid IR MSI (sid={sid:d}, address={address:x}, data={data:x})"),
    (Reason.REQUEST_RESERVED,
     "vtd_interrupt_remap_msi: MSI address high 32 bits non-zero detected: address={address:x}"),
    (Reason.REQUEST_RESERVED, "vtd_interrupt_remap_msi: MSI address low 32 bit invalid: {address:x}"),
)
"""(reason, text) of the errors, in the notation of `EVENTS` (hw/i386/intel_iommu.c)."""

_KINDS = {"x": r"(?:0x)?([0-9a-fA-F]{1,16})", "d": r"(-?\d{1,12})", "s": r"(\S.{0,200}?)"}
_PLACE = re.compile(r"\{(\w+):([xds])\}")


def _form(text: str) -> tuple[re.Pattern[str], tuple[tuple[str, str], ...]]:
    """The pattern of an event's text, and the values in it: (name, kind)."""
    parts, at, values = [], 0, []
    for match in _PLACE.finditer(text):
        parts += [re.escape(text[at:match.start()]), _KINDS[match[2]]]
        values.append((match[1], match[2]))
        at = match.end()
    return re.compile("".join((*parts, re.escape(text[at:]))) + r"\s*"), tuple(values)


FORMS: dict[str, list[tuple[re.Pattern[str], tuple[tuple[str, str], ...]]]] = {}
"""The forms of each event, by its name."""
for _name, _text in EVENTS:
    FORMS.setdefault(_name, []).append(_form(_text))

_REFUSALS = tuple((reason, *_form(text)) for reason, text in REFUSALS)
_WHERE = re.compile(r"(?:vtd_irte_get|vtd_interrupt_remap_msi): ")
_LINE = re.compile(r"(?:\d{1,8}@(\d{1,12}(?:\.\d{1,9})?):)?([a-z][a-z0-9_]{3,40})(?: (.*))?$")
_HEAD = re.compile(r"(?:\d{1,8}@[\d.]{1,24}:)?(?:" + "|".join(sorted(FORMS, key=len, reverse=True)) + r")(?![a-z0-9_])")
_SIMPLE = re.compile(r"(\d{1,12}\.\d{1,9}) pid=\d{1,8}((?: \w{1,40}=\S{1,200})*)\s*")


def read(lines: Sequence[Line]) -> Reading:
    """All events of `EVENTS`, in order. An event that is named and reads otherwise is left out, with a remark."""
    records: list[Event | Refusal] = []
    remarks: list[Remark] = []
    for place, line in enumerate(lines):
        text = line.text.lstrip(" \t>|").rstrip()
        if match := _WHERE.search(text):
            records.extend(_refusals(line, text[match.start():]))
        if "_" not in text or not _HEAD.match(text) or not (match := _LINE.match(text)):
            continue
        if len(records) >= MAX_EVENTS:
            remarks.append(Remark(line.file, line.number, 1, f"left out: all behind the first {MAX_EVENTS} events"))
            break
        made = _event(line, match[2], match[3] or "", match[1] or "")
        following = lines[place + 1].text.lstrip(" \t>|").rstrip() if place + 1 < len(lines) else ""
        if made is None and following and not _HEAD.match(following):       # a mail program may have wrapped it
            made = _event(line, match[2], f"{match[3] or ''} {following}".strip(), match[1] or "")
        if made is None:
            remarks.append(Remark(line.file, line.number, line.text.find(match[2]) + 1,
                                  f"left out: an event {match[2]} that was cut or is of another form"))
        else:
            records.append(made)
    return Reading(tuple(records), few(remarks))


def _refusals(line: Line, text: str) -> Iterator[Refusal]:
    for reason, pattern, values in _REFUSALS:
        if match := pattern.fullmatch(text):
            yield Refusal(line.file, line.number, int(reason), tuple(
                (name, int(given, 16 if kind == "x" else 10))
                for (name, kind), given in zip(values, match.groups(), strict=True)))


def _event(line: Line, name: str, said: str, time: str) -> Event | None:
    if " pid=" in said:
        return _simple(line, name, said)
    for pattern, values in FORMS[name]:
        if match := pattern.fullmatch(said):
            found = tuple((each, text if kind == "s" else int(text, 16 if kind == "x" else 10))
                          for (each, kind), text in zip(values, match.groups(), strict=True))
            return Event(line.file, line.number, name, found, time)
    return None


def _simple(line: Line, name: str, said: str) -> Event | None:
    """An event as simpletrace prints it: arguments by QEMU's names, in the same order, hexadecimal."""
    match = _SIMPLE.fullmatch(said)
    given = [word.partition("=")[2] for word in match[2].split()] if match else []
    for _, values in FORMS[name] if match else ():
        if len(values) == len(given) and all(kind == "s" or re.fullmatch(r"0x[0-9a-fA-F]{1,16}", text)
                                             for (_, kind), text in zip(values, given, strict=True)):
            return Event(line.file, line.number, name, tuple(
                (each, text if kind == "s" else int(text, 16))
                for (each, kind), text in zip(values, given, strict=True)), "")
    return None
