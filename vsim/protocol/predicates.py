"""What each rule of `rules` looks for: predicates over one fact and the state it was done in.

Each returns "" when all is well, else what is wrong, in words. Commands are counted from 0, as in the log.
"""

from __future__ import annotations

from vsim.devices import hpet
from vsim.devices.checks import CHECKS
from vsim.devices.remap import entry_of
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import IOTLB_INV, IRTE, MSI_DATA, TM_NAMES, Reason
from vsim.layouts.registers import FSTS, GCMD, GSTS, HPET_CONFIG, ICR, IQERCD, IQT, IRTA, UNIT
from vsim.protocol.facts import (
    Access,
    Commanded,
    DescriptorStored,
    EntryChanged,
    LeftDeviceError,
    LeftFaults,
    LeftInService,
    LeftUnflushed,
    MessageChanged,
    NotEnded,
    NotTaken,
    OverflowCleared,
    PinDisagrees,
    QueueStopped,
    RecordCleared,
    StaleUse,
    StatusStood,
    TimerAccess,
    Torn,
    Warned,
    WideId,
)
from vsim.state.trace import Warn

_SVT = IRTE.svt.mask >> 64
LOCKED_BYTES = 16
"""Most bytes that a locked instruction changes (CMPXCHG16B, SDM volume 2)."""
_LAYOUT = {name: layout for _, _, name, layout in UNIT}


# --- commands ---


def _names(bits: int) -> str:
    return " and ".join(f.name.upper() for f in GCMD if bits & f.mask)


def one_shot_copied(f: Commanded) -> str:
    """One-shot bits came over from GSTS, beside another change."""
    others = (f.raised | f.dropped) & ~f.copied
    return f"{_names(f.copied)} copied from the status, beside {_names(others)}" if f.copied and others else ""


def state_lost(f: Commanded) -> str:
    """Something is asked for and something else falls to 0."""
    if one_shot_copied(f) or not (f.raised and f.dropped):
        return ""
    return f"{_names(f.raised)} is asked for and {_names(f.dropped)} falls to 0"


def several(f: Commanded) -> str:
    """Several fields change, in no way that has a rule of its own."""
    if f.single or one_shot_copied(f) or state_lost(f):
        return ""
    return f"{_names(f.raised | f.dropped)} change at once"


def unpolled(f: Commanded) -> str:
    """GSTS was not read since the command before."""
    if not (f.unit.reads and f.unit.awaited):
        return ""
    return f"GSTS was not read since command {f.unit.awaited - 1}"


def not_latched(f: Commanded) -> str:
    """Remapping goes on without the table being latched as IRTA has it."""
    if not f.turns_on("ire"):
        return ""
    if f.unit.latched < 0:
        return "no SIRTP before"
    return "" if f.unit.irta == f.unit.latched else f"IRTA was changed to {f.unit.irta:#x} since the last SIRTP"


def not_flushed(f: Commanded) -> str:
    """Remapping goes on without a global invalidation since SIRTP."""
    if f.turns_on("ire") and f.unit.latched >= 0 and f.unit.flushed == "no":
        return f"no global invalidation since the SIRTP at command {f.unit.latched_at - 1}"
    return ""


def flush_not_awaited(f: Commanded) -> str:
    """Remapping goes on while the global invalidation is not known to be done."""
    if f.turns_on("ire") and f.unit.latched >= 0 and f.unit.flushed == "queued":
        return "the global invalidation after SIRTP is queued, nobody knows whether it is done"
    return ""


def tail_left(f: Commanded) -> str:
    """The queue goes on while IQT is not 0."""
    return f"IQT is {f.unit.iqt:#x}" if f.turns_on("qie") and f.unit.iqt else ""


def not_drained(f: Commanded) -> str:
    """The queue goes off while descriptors are outstanding."""
    if f.turns_off("qie") and f.unit.iqh != f.unit.iqt:
        return f"IQH is {f.unit.iqh:#x}, IQT is {f.unit.iqt:#x}"
    return ""


def misaligned(f: Commanded) -> str:
    """A table is latched that is not aligned to its size."""
    if not f.turns_on("sirtp"):
        return ""
    size = 32 << get(f.unit.irta, IRTA.s)
    base = f.unit.irta & IRTA.base.mask
    return f"a table of {size:#x} bytes at {base:#x}" if base % size else ""


def x2apic_first(f: Commanded) -> str:
    """Remapping with 32-bit destinations goes on after a vCPU went into x2APIC mode."""
    if f.turns_on("ire") and f.unit.eime and f.early >= 0:
        return f"vCPU {f.early} is in x2APIC mode already"
    return ""


# --- register accesses ---


def odd_access(f: Access) -> str:
    """A width or an alignment that registers do not take."""
    if f.width in (4, 8) and not f.offset % 4 and not (f.width == 8 and f.offset % 8 and f.name):
        return ""
    return f"{f.width} bytes at offset {f.offset:#x}"


def reserved_written(f: Access) -> str:
    """Reserved bits are written as 1."""
    layout = _LAYOUT.get(f.name)
    if f.written < 0 or layout is None or f.width not in (4, 8) or f.offset % 4:
        return ""
    bits = layout.reserved_set(f.written << 32 * f.half)
    return f"bits {bits:#x} of {f.name} are reserved" if bits else ""


def gcmd_read(f: Access) -> str:
    """The write-only register is read."""
    return "GCMD was read" if f.name == "GCMD" and f.written < 0 else ""


def eime_changed(f: Access) -> str:
    """EIME of IRTA differs from the one in use."""
    if f.name != "IRTA" or f.written < 0 or not f.unit.remapping:
        return ""
    eime = bool(get(f.after, IRTA.eime))
    return f"EIME becomes {int(eime)}" if eime != f.unit.eime else ""


def queue_off(f: Access) -> str:
    """Descriptors are handed over while the queue is off."""
    if f.name != "IQT" or f.written < 0 or f.unit.status & GSTS.qies.mask or not f.after & IQT.qt.mask:
        return ""
    return f"IQT becomes {f.after:#x} while QIES is 0"


def stopped(f: QueueStopped) -> str:
    """The queue has stopped."""
    return f"IQE: {IQERCD.iqei.names.get(f.info, f.info)}"


def stood(f: StatusStood) -> str:
    """The status word was there before."""
    return f"{f.data:#x} stood at {f.address:#x} before the wait stored it"


def queue_moved(f: Warned) -> str:
    """The queue's address changes while it is on."""
    return f"{f.value:#x} is written to IQA while QIES is 1" if f.what == Warn.QUEUE_MOVED else ""


def flushed_by_register(f: Warned) -> str:
    """An invalidation register is used while the queue is on."""
    if f.what != Warn.REGISTER_FLUSH:
        return ""
    return f"the {'IOTLB register' if f.value else 'context command'} is used while QIES is 1"


def rootless(f: Warned) -> str:
    """Translation is turned on without a root table."""
    return "TE is set, no SRTP before" if f.what == Warn.NO_ROOT else ""


def pageless(f: Warned) -> str:
    """Pages are named to a unit that cannot drop single ones."""
    if f.what != Warn.NO_PAGES:
        return ""
    return f"address {get(f.more << 64 | f.value, IOTLB_INV.address) << 12:#x} is named, CAP.PSI is 0"


# --- faults ---


def unread(f: RecordCleared) -> str:
    """The record was not read as it is."""
    return f"record {f.record} was not read" if f.unit.reads and not f.seen else ""


def out_of_turn(f: RecordCleared) -> str:
    """An older record is still in use."""
    return f"record {f.record} is cleared, {f.expected} is older" if f.record != f.expected else ""


def overflow_first(f: OverflowCleared) -> str:
    """Records are still in use."""
    return f"PFO is cleared, F stays set in record {', '.join(map(str, f.records))}"


def device_error_left(f: LeftDeviceError) -> str:
    """ITE or ICE still stands at the end."""
    return " and ".join(f"{each.name.upper()} stays set" for each in (FSTS.ite, FSTS.ice) if f.bits & each.mask)


def faults_left(f: LeftFaults) -> str:
    """Records are still in use after the fault event was taken."""
    lost = f", and a fault with reason {f.lost:#x} is lost for it" if f.lost else ""
    return f"the fault event was taken, record {f.record} still has F set{lost}"


# --- entries ---


def _entry(f: EntryChanged | Torn | StaleUse) -> str:
    return f"entry {f.index:#x}" + (f" of unit {f.unit.number}" if f.unit.number else "")


def _text(words: tuple[int, int, int, int]) -> str:
    return str(IRTE.text(entry_of(words)))


def wide_destination(f: EntryChanged) -> str:
    """A destination that does not fit 8 bits, while EIME is 0."""
    return f"{_entry(f)}: {_text(f.change.new)}" if f.check == "destination-reserved" else ""


def faulty(f: EntryChanged) -> str:
    """Any other field of a present entry that makes it fault."""
    if not f.check or f.check == "destination-reserved" or CHECKS[f.check].outcome != Reason.ENTRY_RESERVED:
        return ""
    return f"{_entry(f)}: {CHECKS[f.check].sentence}"


def torn(f: Torn) -> str:
    """The other part was stored later, and the mixture was present."""
    return f"{_entry(f)} is present and half written until command {f.until - 1}"


def reused(f: EntryChanged) -> str:
    """The entry of another source may still be cached."""
    if not f.reused:
        return ""
    queued = f.unit.invalidations.since(f.index, f.reused)
    how = f"its invalidation of command {queued - 1} was not waited for" if queued else "it was not invalidated"
    return f"{_entry(f)} was another source's until command {f.reused - 1}, and {how}"


def freed_in_use(f: EntryChanged) -> str:
    """A source can still fire through the freed entry."""
    return f"{_entry(f)} is freed, {f.user} can still fire" if f.user else ""


def unchecked(f: EntryChanged) -> str:
    """A present entry without a check of the source."""
    return f"{_entry(f)} lets anybody in" if f.now and not f.change.new[2] & _SVT else ""


# --- what the cache may still hold ---


def _stale(f: StaleUse, *why: str) -> str:
    if f.stale.why not in why:
        return ""
    old, left = f.stale.held.words, f.stale.held.left - 1
    held = f"which memory held until command {left}" if left >= 0 else "which it had cached from the beginning"
    return f"{_entry(f)} for {f.who}: in memory it is {f.now}; the unit may use {_text(old)}, {held}"


def stale_change(f: StaleUse) -> str:
    """An old entry may be used, and nothing was queued against it."""
    return _stale(f, "change")


def stale_set(f: StaleUse) -> str:
    """A not-present or faulty entry may be used, and nothing was queued against it."""
    return _stale(f, "set")


def stale_wait(f: StaleUse) -> str:
    """An old entry may be used, as an invalidation is not known to be done."""
    return _stale(f, "wait")


def stale_table(f: StaleUse) -> str:
    """An entry of a table used before may be used."""
    return _stale(f, "table")


def left_unflushed(f: LeftUnflushed) -> str:
    """The log ends without a flush of a table latched while remapping was on."""
    return "" if f.queued else "a table was latched while remapping was on, and never flushed"


def left_unawaited(f: LeftUnflushed) -> str:
    """The log ends without a wait for that flush."""
    return "a table was latched while remapping was on, its invalidation never waited for" if f.queued else ""


# --- beside the unit ---


def disagrees(f: PinDisagrees) -> str:
    """What the pin sent is not what was delivered."""
    def said(data: int) -> str:
        return f"{TM_NAMES[get(data, MSI_DATA.tm)]}, vector {get(data, MSI_DATA.vector):#x}"
    end = "; remote IRR stays set" if f.stuck else ""
    return f"pin {f.pin} says {said(f.sent)}; its remapping entry {said(f.delivered)}{end}"


def message_changed(f: MessageChanged) -> str:
    """A message changed while it could be sent."""
    return f"message {f.number} of {bdf_text(f.bdf)} changed while it could be sent"


def not_taken(f: NotTaken) -> str:
    """A disabled local APIC dropped a vector."""
    return f"vCPU {f.vcpu} dropped vector {f.vector:#x}"


def signal_to_self(f: Warned) -> str:
    """A shorthand that includes the sender, with a mode other than fixed or lowest priority."""
    if f.what != Warn.SIGNAL_TO_SELF:
        return ""
    mode, to = ICR.dlm.names[get(f.value, ICR.dlm)], ICR.shorthand.names[get(f.value, ICR.shorthand)]
    return f"vCPU {f.node & 0xFFFFFF} sends {mode} to {to}"


def timer_mode(f: Warned) -> str:
    """A timer register that the mode does not use."""
    return f"vCPU {f.node & 0xFFFFFF} writes {f.value:#x}, which is ignored" if f.what == Warn.TIMER_MODE else ""


def fsb_by_level(f: TimerAccess) -> str:
    """A timer with FSB delivery is set to level-triggered."""
    by_level = f.configures and get(f.own, HPET_CONFIG.fsb_en) and get(f.own, HPET_CONFIG.level)
    return f"timer {f.timer} has FSB delivery and is level-triggered" if by_level else ""


def set_while_running(f: TimerAccess) -> str:
    """The main counter is set while it runs."""
    return f"{f.written:#x} is written to the main counter" if f.runs and f.offset & ~7 == hpet.COUNTER \
        and f.written >= 0 else ""


def one_shot_set(f: TimerAccess) -> str:
    """The bit for a periodic timer's comparator, in a timer that is none."""
    sets = f.configures and f.written & HPET_CONFIG.val_set.mask and not get(f.own, HPET_CONFIG.periodic)
    return f"timer {f.timer} is not periodic" if sets else ""


def odd_timer_access(f: TimerAccess) -> str:
    """A width or an alignment that the HPET does not take, or a timer that is not there."""
    if f.timer >= 0 and not f.there:
        return f"there is no timer {f.timer}"
    return "" if f.width in (4, 8) and not f.offset % f.width else f"{f.width} bytes at offset {f.offset:#x}"


def stored_at_once(f: DescriptorStored) -> str:
    """A store that no locked instruction makes."""
    return f"{f.size} bytes are stored to the descriptor at {f.address:#x}" if f.size > LOCKED_BYTES else ""


def second_extint(f: Warned) -> str:
    """A second pin that takes ExtINT."""
    who = f"LINT{f.more} of vCPU {f.node & 0xFFFFFF}"
    return f"{who} takes ExtINT beside another" if f.what == Warn.SECOND_EXTINT else ""


def lint1_level(f: Warned) -> str:
    """LINT1 by level."""
    return f"vCPU {f.node & 0xFFFFFF} writes {f.value:#x} to LINT1" if f.what == Warn.LINT1_LEVEL else ""


def both_ways(f: Warned) -> str:
    """One edge, two interrupts."""
    return f"IRQ {f.more} came by the 8259 and by pin {f.node & 0xFFFFFF}" if f.what == Warn.BOTH_WAYS else ""


def left_in_service(f: LeftInService) -> str:
    """The log ends without the 8259's EOI."""
    return f"IRQ {f.irq} is still in service at the 8259"


def not_ended(f: NotEnded) -> str:
    """The log ends without the EOI."""
    return f"vCPU {f.vcpu} never ended vector {f.vector:#x}"


def wide_id(f: WideId) -> str:
    """An ID that no entry can name."""
    return f"vCPU {f.vcpu} has APIC ID {f.apic_id}; entries have 8 bits"
