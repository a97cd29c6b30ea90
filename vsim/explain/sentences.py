"""Each event on the way of an interrupt as a sentence, with the section of the specification to read about it.

`say` needs the machine as it was before the command: names, the table's address, a descriptor that has been changed.
"""

from __future__ import annotations

from collections.abc import Callable

from vsim.devices.dma import DMA_REASON_TEXT
from vsim.explain.warned import WARNINGS
from vsim.layouts.bits import bdf_text, get
from vsim.layouts.formats import (
    DLM_NAMES,
    DM_NAMES,
    FRCD,
    IRTE,
    IRTE_POSTED,
    MSI_ADDRESS,
    MSI_DATA,
    PID,
    REASON_TEXT,
    REMAP_ADDRESS,
    REMAP_DATA,
    TM_NAMES,
    Dlm,
)
from vsim.layouts.interfaces import Errno
from vsim.layouts.registers import CCMD, ESR, ICR, LVT_LINT
from vsim.machine import remapping_on
from vsim.state.arrays import LATCH_WORDS, Apic, Latch, Machine
from vsim.state.trace import Act, Drop, Event, Kind, Stop, Trip, Warn, node_text
from vsim.xen.paths import signed


def number(event: Event) -> int:
    """The number within an event's kind of node: a requester, pin, unit or vCPU."""
    return event.node & 0xFFFFFF


def apic_text(m: Machine, vcpu: int) -> str:
    """A local APIC by its vCPU and ID, e.g. "vLAPIC 287 (APIC ID 0x23e)"."""
    return f"vLAPIC {vcpu} (APIC ID {m.apic_id[vcpu]:#x})" if vcpu < m.vcpus else f"vLAPIC {vcpu}"


def device_text(m: Machine, bdf: int) -> str:
    """A function by its place and name, e.g. "device 03:00.0 (nic)"."""
    place = m.bus.place(bdf)
    name = m.bus.functions[place].name if place >= 0 else ""
    return f"device {bdf_text(bdf)}" + (f" ({name})" if name else "")


def entry_text(words: tuple[int, int, int, int] | None) -> str:
    """An entry of the remapping table in the text form of its layout; "not readable" for None."""
    if words is None:
        return "not readable"
    entry = sum(word << 32 * place for place, word in enumerate(words))
    return (IRTE_POSTED if get(entry, IRTE.im) else IRTE).text(entry) if entry else "all bits 0"


def words_of(event: Event) -> tuple[int, int, int, int]:
    """The four words of the entry that a FETCHED or HIT event shows."""
    mask = 0xFFFFFFFF
    return event.low & mask, event.low >> 32, event.high & mask, event.high >> 32


def message_text(m: Machine, address: int, data: int) -> str:
    """Where a compatibility-format message goes: "vector 0x41, fixed, edge, to physical destination 0x23e"."""
    destination = get(address, MSI_ADDRESS.dest) | address >> 32 & 0xFFFFFF00
    if m.profile.options.ext_dest and not address >> 32:
        destination |= get(address, MSI_ADDRESS.ext) << 8
    hint = ", redirection hint" if get(address, MSI_ADDRESS.rh) else ""
    return (f"vector {get(data, MSI_DATA.vector):#x}, {DLM_NAMES[get(data, MSI_DATA.dlm)]}, "
            f"{TM_NAMES[get(data, MSI_DATA.tm)]}{hint}, to {DM_NAMES[get(address, MSI_ADDRESS.dm)]} destination "
            f"{destination:#x}")


def request_text(m: Machine, address: int, data: int, remappable: bool) -> str:
    """A request with its fields, read in the remappable or in the compatibility format."""
    form = (REMAP_ADDRESS, REMAP_DATA) if remappable else (MSI_ADDRESS, MSI_DATA)
    ignored = remappable and not get(address, REMAP_ADDRESS.shv)
    fields = f" ({'ignored: SHV is 0' if ignored else form[1].text(data)})" if data else ""
    return (f"address {address:#x} ({form[0].text(address)}), data {data:#x}{fields}: "
            + ("remappable format" if remappable else f"compatibility format, {message_text(m, address, data)}"))


# --- the events ---


def _sent(m: Machine, e: Event) -> str:
    if e.node >> 24 == Kind.VLAPIC:
        icr = ICR.text(e.high << 32 | e.low)
        return f"vCPU {number(e)} sends an interprocessor interrupt; none passes through remapping. ICR: {icr}."
    if e.node >> 24 == Kind.VIOAPIC:
        who = f"I/O APIC pin {number(e)} sends, as requester {bdf_text(e.index)},"
    else:
        who = f"{_named(m, e)} writes"
        if e.index != number(e):
            who += f", as requester {bdf_text(e.index)} of a bridge above it,"
    unit = m.unit_of(e.index)
    remappable = bool(get(e.low, REMAP_ADDRESS.format)) and unit >= 0 and remapping_on(m, unit)
    return f"{who} {request_text(m, e.low, e.high, remappable)}."


def _fetched(m: Machine, e: Event) -> str:
    where = (m.latch[LATCH_WORDS * number(e) + Latch.BASE_PAGE] << 12) + 16 * e.index
    return f"{node_text(e.node)} reads entry {e.index} from memory at {where:#x}: {entry_text(words_of(e))}."


def _hit(m: Machine, e: Event) -> str:
    return f"{node_text(e.node)} finds entry {e.index} in its interrupt entry cache: {entry_text(words_of(e))}."


def _remapped(m: Machine, e: Event) -> str:
    return f"Entry {e.index} makes a new message of it, address {e.low:#x}, data {e.high:#x}: " \
           f"{message_text(m, e.low, e.high)}."


def _passed(m: Machine, e: Event) -> str:
    through = "No vIOMMU takes the request" if e.node >> 24 == Kind.VMSI else f"{node_text(e.node)} lets it pass"
    return f"{through}: it goes on as it is, in compatibility format, {message_text(m, e.low, e.high)}."


def _posted(m: Machine, e: Event) -> str:
    vector, notified = e.high & 0xFF, e.high >> 8
    before = int.from_bytes(m.ram.read(e.low, 64) or b"", "little")
    notice = f"and notifies with vector {get(before, PID.nv):#x}"
    if not notified:
        notice = "and sends no notification: " + (
            "one is outstanding (ON=1)" if get(before, PID.on) else "they are suppressed (SN=1)")
    return f"{node_text(e.node)} sets bit {vector:#x} in the posted-interrupt descriptor at {e.low:#x} {notice}."


def _blocked(m: Machine, e: Event) -> str:
    return f"The request is blocked, fault reason {e.index:#x}: {REASON_TEXT[e.index]}."


def _recorded(m: Machine, e: Event) -> str:
    return f"Fault record {e.index} now holds {FRCD.text(e.high << 64 | e.low)}."


def _event_name(e: Event) -> str:
    return "invalidation completion event" if e.index else "fault event"


def _notified(m: Machine, e: Event) -> str:
    return f"{node_text(e.node)} tells software by its {_event_name(e)}: {message_text(m, e.low, e.high)}."


def _held(m: Machine, e: Event) -> str:
    return f"The {_event_name(e)} is masked (IM=1); it waits (IP=1) until it is unmasked."


def _accepted(m: Machine, e: Event) -> str:
    return f"{apic_text(m, number(e))} accepts vector {e.index:#x}, {TM_NAMES[e.low]}: it is in IRR now."


def _merged(m: Machine, e: Event) -> str:
    return f"{apic_text(m, number(e))} merges vector {e.index:#x}: it was in IRR already, two interrupts become one."


def _taken(m: Machine, e: Event) -> str:
    if e.low == Dlm.EXTINT:
        return (f"vCPU {number(e)} begins the handler of vector {e.index:#x}, which the 8259 gave it; its EOI belongs "
                "to the 8259, the local APIC knows nothing of it.")
    return f"vCPU {number(e)} begins the handler of " + ("an NMI." if e.low else f"vector {e.index:#x}: IRR to ISR.")


def _intr(m: Machine, e: Event) -> str:
    if not e.index:
        return "The 8259 pair has nothing to ask for: INTR falls."
    what = f"for IRQ {e.low}" if e.low < 16 else "for a request that has gone"
    who = "no vCPU takes it as ExtINT" if not e.high else f"vCPUs that take it as ExtINT: {e.high}"
    return f"The 8259 pair raises INTR {what}, at LINT0 of every local APIC; {who}."


_PIN_DOES = {Dlm.FIXED: "it is an interrupt of its vector", Dlm.EXTINT: "the vCPU is asked to fetch a vector from the "
             "8259 (INTA)"}


def _lint(m: Machine, e: Event) -> str:
    what = f"LINT{e.index} of {apic_text(m, number(e))} {'rises' if e.low else 'falls'}"
    if not e.low:
        return f"{what}."
    if m.apic_mode[number(e)] == Apic.DISABLED:
        return f"{what}: the local APIC is off, so the pin is the processor's own {'NMI' if e.index else 'INTR'}."
    mode = get(e.high, LVT_LINT.dlm)
    does = "its entry is masked, and nothing comes of it" if get(e.high, LVT_LINT.mask) else \
        _PIN_DOES.get(mode, "that goes to the vCPU at once")
    return f"{what}, programmed as {DLM_NAMES[mode]}: {does}."


def _inta(m: Machine, e: Event) -> str:
    if e.high:
        return (f"INTA: the request has gone, and the 8259 answers as if IRQ {e.low} had been there: vector "
                f"{e.index:#x}, spurious, not in service.")
    return f"INTA: the 8259 takes IRQ {e.low} into service and gives vector {e.index:#x}, its base and its input."


def _line(m: Machine, e: Event) -> str:
    goes = "up" if e.low else "down"
    if e.node >> 24 == Kind.VPIC:
        return f"The line of IRQ {e.index} goes {goes} at {node_text(e.node)}."
    return f"The line of pin {e.index} goes {goes}."


def _signalled(m: Machine, e: Event) -> str:
    mode = ICR.dlm.names[e.index] if e.index == 6 else DLM_NAMES[e.index]
    return f"{apic_text(m, number(e))} receives {mode} at once, past IRR and priorities."


def _error(m: Machine, e: Event) -> str:
    name = next((f.name for f in ESR if f.mask == e.index), "error").replace("_", " ")
    return f"{apic_text(m, number(e))} notes an error for its ESR: {name} ({e.low:#x})."


def _pended(m: Machine, e: Event) -> str:
    return f"Message {e.index} of {device_text(m, e.low)} is masked: its pending bit is set, it goes out when unmasked."


def _no_pin(m: Machine, e: Event) -> str:
    kind = e.node >> 24
    if kind == Kind.DEVICE:
        return f"{_named(m, e)} has no wire that it may raise: INTx is off, or goes nowhere."
    if kind == Kind.VLAPIC:
        return f"There is no vCPU {number(e)}: the machine has {m.vcpus}."
    if kind == Kind.VPIC:
        return f"IRQ {e.low} is the cascade between the two 8259: no device has it."
    return f"GSI {e.low} is no pin of an I/O APIC."


_DROPS: dict[int, tuple[Callable[[Machine, Event], str], str]] = {
    Drop.NOBODY: (lambda m, e: f"No local APIC matches destination {e.low:#x}: the interrupt is lost.",
                  "SDM 11.6.2"),
    Drop.DISABLED: (lambda m, e: f"{apic_text(m, number(e))} matches, and is switched off by software (SVR bit 8 is "
                                 "0): the interrupt is lost.", "SDM 11.4.7.2"),
    Drop.MASKED: (lambda m, e: f"Pin {number(e)} of the I/O APIC is masked: it sends no message.", "82093AA 3.2.4"),
    Drop.MODE: (lambda m, e: f"The delivery mode is reserved: no local APIC takes vector {e.high:#x}.", "SDM 11.6.1"),
    Drop.NOT_INTERRUPT: (lambda m, e: f"Address {e.low:#x} is not 0xFEEx_xxxx: the write is no interrupt request.",
                         "VT-d 5.1.2"),
    Drop.NO_MESSAGE: (lambda m, e: f"{_named(m, e)} has no message {e.low}, or MSI and MSI-X are off: nothing is sent.",
                      "PCI 6.8"),
    Drop.NO_MASTER: (lambda m, e: f"{_named(m, e)} is no bus master (command register bit 2 is 0): nothing is sent.",
                     "PCI 6.2.2"),
    Drop.UNCLAIMED: (lambda m, e: f"Nothing answers at {e.low:#x} ({node_text(e.node)}): the access is lost.", ""),
    Drop.WIDTH: (lambda m, e: f"Offset {e.low:#x} of {node_text(e.node)} takes no access of this width or "
                                "alignment.", ""),
    Drop.STRADDLE: (lambda m, e: f"The {e.high} bytes at {e.low:#x} leave the trapped range of {node_text(e.node)}: "
                                 "nothing is read or written.", "X 3.1"),
    Drop.NO_TARGET: (lambda m, e: f"The scheduler knows no vCPU by descriptor {e.low:#x} of which this can be asked "
                                  "now.", ""),
    Drop.NO_PIN: (_no_pin, ""),
    Drop.NOT_WAITING: (lambda m, e: f"{apic_text(m, number(e))} does not wait for a start-up IPI, and ignores it.",
                       "SDM 11.4.3"),
    Drop.DEAD: (lambda m, e: "The machine is dead: it does nothing until a reset.", ""),
    Drop.PENDING: (lambda m, e: f"Remote IRR of pin {number(e)} is set: the line waits for the EOI of what was sent.",
                   "82093AA 3.2.4"),
    Drop.OFF: (lambda m, e: f"Remapping is off, and {node_text(e.node)} drops a message in remappable format.", ""),
    Drop.UNWRITABLE: (lambda m, e: f"The page of the wait's status, {e.low:#x}, cannot be written: no status, no "
                                   "event.", ""),
}
"""Every reason of a drop: its sentence, and the section to read (none where it is the model's own)."""


WAITS, UNHEARD = 0xF0, 0xF1
"""Keys of `MASKED` beyond `Drop`: what ends a line at the pair of 8259."""
MASKED: dict[int, str] = {
    0: "masked: it waits as pending until the guest unmasks it",
    Drop.MASKED: "masked: the guest has not programmed the pin's entry, or masks it",
    Drop.NO_MESSAGE: "masked: the guest has not programmed it",
    Drop.NO_MASTER: "masked: the guest has not made the device a bus master",
    WAITS: "waits at the 8259: masked there, or another line is asked for or in service",
    UNHEARD: "waits at the 8259, which asks by INTR: no LINT0 is unmasked",
}
"""Why an interrupt goes no further than where it becomes a message, by `Drop`; 0: a pending bit is set."""


def masked(event: Event) -> int:
    """The key of `MASKED` that an event tells of its interrupt; -1 when the event is of another kind."""
    if event.act == Act.PENDED:
        return 0
    at_start = event.node >> 24 in (Kind.DEVICE, Kind.VIOAPIC)
    return event.index if event.act == Act.DROPPED and at_start and event.index in MASKED else -1


def _named(m: Machine, e: Event) -> str:
    text = device_text(m, number(e))
    return text[0].upper() + text[1:]


def _dropped(m: Machine, e: Event) -> str:
    return _DROPS[e.index][0](m, e)


def _warned(m: Machine, e: Event) -> str:
    return WARNINGS[Warn(e.index)][0](e.low, e.high)


_STOPS = {Stop.HYPERVISOR: "The hypervisor would crash here", Stop.DOMAIN: "The domain is crashed",
          Stop.LOOP: "The hypervisor would loop here for ever", Stop.EMULATOR: "The emulator would abort here"}


def _stopped(m: Machine, e: Event) -> str:
    return f"{_STOPS[Stop(e.index)]}: nothing after it is to be relied on."


def _timer(m: Machine, e: Event) -> str:
    times = f", for {e.low} periods" if e.low > 1 else ""
    end = "it is masked, and nothing comes of it" if e.high else \
        f"vector {e.index:#x} for its own vCPU, which no unit remaps"
    return f"The timer of {apic_text(m, number(e))} has reached 0{times}: {end}."


_TRIPS = {Trip.REGISTER: "an access to the unit's registers leaves the guest",
          Trip.EOI: "the end of an interrupt leaves the guest",
          Trip.EXTERNAL: "an interrupt of the host leaves the guest that runs there",
          Trip.WAKE_UP: "the host is interrupted, as something was posted to a vCPU that has halted"}


def _left(m: Machine, e: Event) -> str:
    return f"{node_text(e.node)}: {_TRIPS.get(Trip(e.index), 'the guest is left')}."


_DOING = ("runs on CPU {}: NDST names it, NV is the active notification vector, SN is 0",
          "waits for CPU {}: SN is 1, nobody is told of what is posted",
          "has halted on CPU {}: NV is the wake-up vector")


def _scheduled(m: Machine, e: Event) -> str:
    return f"The vCPU of descriptor {e.low:#x} {_DOING[e.index].format(e.high)}."


def _synced(m: Machine, e: Event) -> str:
    if not e.low:
        return f"CPU {number(e)} runs no such vCPU: the host passes the notification over."
    moved = "1 vector" if e.high == 1 else f"{e.high} vectors"
    return (f"CPU {number(e)} clears ON of descriptor {e.low:#x} and moves {moved} from PIR to the virtual IRR; RVI is "
            f"{e.index:#x}.")


def _returned(m: Machine, e: Event) -> str:
    code = signed(e.low)
    meaning = "" if code == 0 else ", a fault reason" if code > 0 else f", -{Errno(-code).name}"
    return f"The {'caller sees' if e.index else 'model returns'} {code}{meaning}."


def _constant(text: str) -> Callable[[Machine, Event], str]:
    return lambda m, e: text


SAYS: dict[Act, tuple[Callable[[Machine, Event], str], str]] = {
    Act.SENT: (_sent, "VT-d 5.1.2"),
    Act.PENDED: (_pended, "PCI 6.8"),
    Act.FETCHED: (_fetched, "VT-d 5.1.3"),
    Act.HIT: (_hit, "VT-d 6.5"),
    Act.CACHED: (_constant("The entry is kept in the interrupt entry cache, until it is invalidated."), "VT-d 6.5"),
    Act.REMAPPED: (_remapped, "VT-d 5.1.4"),
    Act.PASSED: (_passed, "VT-d 5.1.2.1"),
    Act.POSTED: (_posted, "VT-d 9.11"),
    Act.BLOCKED: (_blocked, "VT-d 5.1.4.1"),
    Act.RECORDED: (_recorded, "VT-d 11.4.14"),
    Act.FOLDED: (lambda m, e: f"Fault record {e.index} of the same requester is pending: this fault is merged into it.",
                 "VT-d 7"),
    Act.OVERFLOWED: (_constant("No fault record is free: the fault is lost, and FSTS.PFO says so."), "VT-d 11.4.9"),
    Act.SUPPRESSED: (_constant("FPD is 1 in the entry: the fault is not recorded."), "VT-d 9.9"),
    Act.NOTIFIED: (_notified, "VT-d 11.4.10"),
    Act.HELD: (_held, "VT-d 11.4.10"),
    Act.ACCEPTED: (_accepted, "SDM 11.8.4"),
    Act.MERGED: (_merged, "SDM 11.8.4"),
    Act.SIGNALLED: (_signalled, "SDM 11.8.4"),
    Act.IRR_SET: (lambda m, e: f"The pin is level-triggered: remote IRR of pin {e.index} is set until its EOI.",
                  "82093AA 3.2.4"),
    Act.APIC_ERROR: (_error, "SDM 11.5.3"),
    Act.DROPPED: (_dropped, ""),
    Act.WARNED: (_warned, ""),
    Act.RETURNED: (_returned, ""),
    Act.STOPPED: (_stopped, ""),
    Act.DEVICE_FAILED: (lambda m, e: f"{device_text(m, e.low)} " + (
        "did not answer an invalidation of its TLB in time: ITE is set, and the queue stops until it is cleared."
        if e.index == 1 else "answered an invalidation of its TLB with an error: ICE is set, and the queue goes on."),
                        "VT-d 6.5.2.10"),
    Act.HPET: (lambda m, e: f"Timer {e.index} of the HPET is due" + (f", for {e.low} periods" if e.low > 1 else "")
               + ": it sends the message of its route register, as a requester of its own.", "IA-PC HPET 2.3.9"),
    Act.FLUSHED: (lambda m, e: f"The {'IOTLB' if e.index else 'context cache'} is invalidated by its register: asked "
                               f"was granularity {e.high}, done is {e.low} ({CCMD.caig.names[e.low]}).", "VT-d 6.5.1"),
    Act.ABORTED: (_constant("The wait behind it was fetched already and is aborted: no status, no event."),
                  "VT-d 6.5.2.10"),
    Act.DMA: (lambda m, e: f"{_named(m, e)} {'reads' if e.high else 'writes'} address {e.low:#x}: DMA, no interrupt.",
              "VT-d 3.4"),
    Act.DMA_BLOCKED: (lambda m, e: f"The DMA request is blocked, reason {e.index:#x}: {DMA_REASON_TEXT[e.index]}.",
                      "VT-d 7.1.3"),
    Act.TIMER: (_timer, "SDM 11.5.4"),
    Act.TAKEN: (_taken, "SDM 11.8.4"),
    Act.LINE: (_line, ""),
    Act.INTR: (_intr, "MP 3.6.2.2"),
    Act.LINT: (_lint, "SDM 11.5.1"),
    Act.INTA: (_inta, "8259A interrupt sequence"),
    Act.PIC_ENDED: (lambda m, e: f"EOI at {node_text(e.node)}: IRQ {e.index} is no longer in service there.",
                    "8259A OCW2"),
    Act.VM_EXIT: (_left, "SDM 30.6"),
    Act.SCHEDULED: (_scheduled, "VT-d 5.2.5"),
    Act.SYNCED: (_synced, "SDM 30.6"),
    Act.VIRTUAL: (lambda m, e: f"The vCPU of descriptor {e.low:#x} begins its handler of vector {e.index:#x}: no exit.",
                  "SDM 30.2.2"),
    Act.VIRTUAL_ENDED: (lambda m, e: f"The vCPU of descriptor {e.low:#x} ends vector {e.index:#x}, " + (
        "whose bit is in its EOI exit bitmap." if e.high else "without an exit."), "SDM 30.1.4"),
    Act.UNSHOWN: (lambda m, e: f"{e.low} more events of this command happened; only the first are kept.", ""),
}
"""How each act on the way of an interrupt is told, and where to read about it."""


def say(m: Machine, event: Event) -> str:
    """One event as a sentence. m: the machine before the command."""
    told = SAYS.get(Act(event.act))
    return told[0](m, event) if told else f"{node_text(event.node)}: {Act(event.act).name.lower()}."


def section(event: Event) -> str:
    """The section to read about an event, "" when there is none."""
    if event.act == Act.DROPPED:
        return _DROPS[event.index][1]
    if event.act == Act.WARNED:
        return WARNINGS[Warn(event.index)][1]
    if event.act == Act.SENT and event.node >> 24 == Kind.VLAPIC:
        return "SDM 11.6.1"
    told = SAYS.get(Act(event.act))
    return told[1] if told else ""
