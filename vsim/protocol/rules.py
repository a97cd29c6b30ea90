"""The rules by which software has to treat a remapping unit, as rows of data.

A row says what the rule is, where it stands, what may happen when it is broken, at which kinds of facts it looks, and
by which predicate over fact and state it finds out: a predicate returns "" when all is well, else what is wrong, in
words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vsim.protocol import predicates as p
from vsim.protocol.facts import (
    Access,
    Commanded,
    DescriptorStored,
    EntryChanged,
    Fact,
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

FORBIDDEN, UNDEFINED, UNWISE = "forbidden", "undefined", "unwise"
SEVERITIES = (FORBIDDEN, UNDEFINED, UNWISE)
"""The specification forbids it; it leaves open what happens then; it is allowed, and most likely a mistake."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. severity: one of `SEVERITIES`. section: of the specification; noted: where our notes have its sources.
    sentence: the rule. consequence: what may happen. looks: for each kind of fact that it looks at, what is wrong with
    one, "" when nothing is.
    """

    name: str
    severity: str
    section: str
    noted: str
    sentence: str
    consequence: str
    looks: dict[type[Fact], Callable[[Any], str]]


_ROWS = (
    Rule("one-shot-masked", FORBIDDEN, "VT-d 11.4.4", "V 2.1",
         "The one-shot bits of GSTS (RTPS, FLS, WBFS, IRTPS) are masked off before it is used as the next command.",
         "The one-shot command is given once more beside the wanted one: two changes in one write.",
         {Commanded: p.one_shot_copied}),
    Rule("whole-state", FORBIDDEN, "VT-d 11.4.4", "V 2.1, 2.3",
         "A write to GCMD carries the whole wanted state: every level bit that is on and shall stay on.",
         "What is left out is turned off: without QIE the queue stops silently, and every later wait hangs.",
         {Commanded: p.state_lost}),
    Rule("one-command", FORBIDDEN, "VT-d 11.4.4", "V 2.1",
         "One write to GCMD changes one field.",
         "Which of the changes takes effect, and in which order, is open.", {Commanded: p.several}),
    Rule("poll", UNDEFINED, "VT-d 11.4.4", "V 2.1",
         "Software reads GSTS until the status follows, before it gives the next command.",
         "A unit that takes its time has not done the command before, and may lose one of the two.",
         {Commanded: p.unpolled}),
    Rule("sirtp-before-ire", UNDEFINED, "VT-d 11.4.4", "V 2.3",
         "The table is latched by SIRTP before IRE is set, and again when IRTA was changed since.",
         "The unit remaps without a table (reason 0x23) or with the one before.", {Commanded: p.not_latched}),
    Rule("flush-after-sirtp", UNDEFINED, "VT-d 6.7", "V 2.3",
         "After SIRTP the whole entry cache is invalidated before it is used (unless CAP.ESIRTPS).",
         "Entries of the table before still route interrupts.",
         {Commanded: p.not_flushed, LeftUnflushed: p.left_unflushed, StaleUse: p.stale_table}),
    Rule("wait", UNDEFINED, "VT-d 6.5.2.8", "V 7.4, 7.7",
         "Software relies on an invalidation only once a wait descriptor behind it is known to be done.",
         "The unit has not come to it yet, or has stopped on an error: the old entry is still in use.",
         {Commanded: p.flush_not_awaited, LeftUnflushed: p.left_unawaited, StaleUse: p.stale_wait}),
    Rule("tail-zero", UNDEFINED, "VT-d 6.5", "V 7.1",
         "IQT is 0 when the queue is turned on.",
         "The unit takes whatever lies in the queue as descriptors.", {Commanded: p.tail_left}),
    Rule("queue-drained", FORBIDDEN, "VT-d 6.5", "V 7.1",
         "The queue is turned off only when everything in it is done.",
         "Descriptors are lost, or the queue stays on.", {Commanded: p.not_drained}),
    Rule("queue-before-invalidation", UNDEFINED, "VT-d 6.5", "V 2.3, 7.1",
         "Queued invalidation is on before descriptors are given to it.",
         "Nothing is invalidated, as there is no other way to invalidate entries; a wait hangs.",
         {Access: p.queue_off}),
    Rule("queue-address-while-on", UNDEFINED, "VT-d 11.4.18", "V 7.1",
         "IQA is written while the queue is off.",
         "The unit goes on with the old queue, or takes whatever lies in the new one.", {Warned: p.queue_moved}),
    Rule("page-selective-offered", UNDEFINED, "VT-d 6.5.2.3", "V 7.2",
         "Pages are named in an invalidation only where CAP.PSI says that the unit can drop single ones.",
         "The unit drops more than was asked for, or nothing at all.", {Warned: p.pageless}),
    Rule("queue-or-registers", UNDEFINED, "VT-d 6.5.1", "V 7.1",
         "While the queue is on nothing is invalidated by registers.",
         "The unit ignores the request, or does it in any order with the queue's.", {Warned: p.flushed_by_register}),
    Rule("root-before-translation", FORBIDDEN, "VT-d 11.4.4", "V 2.1",
         "The root table is set by SRTP before DMA translation is turned on.",
         "Every DMA of every device is blocked, or goes where the word at address 0 says.", {Warned: p.rootless}),
    Rule("queue-error", FORBIDDEN, "VT-d 6.5.2", "V 7.2, 7.6",
         "Descriptors have a known type and reserved bits 0, and the tail lies inside the queue.",
         "The queue stops at the bad one: what follows is not done until software clears IQE.",
         {QueueStopped: p.stopped}),
    Rule("status-cleared", UNWISE, "VT-d 6.5.2.8", "V 7.4",
         "The status word of a wait differs beforehand from what the wait will store.",
         "Software takes the old word for the new one and relies on an invalidation that is not done.",
         {StatusStood: p.stood}),
    Rule("table-aligned", UNDEFINED, "VT-d 11.4.24", "V 1.7",
         "The table is aligned to its size.",
         "Units may ignore the low bits of the base and use another table.", {Commanded: p.misaligned}),
    Rule("eime-while-on", FORBIDDEN, "VT-d 11.4.24", "V 1.7",
         "EIME is not changed while remapping is on.",
         "Entries are read with the wrong width of destination: wrong vCPUs, or reason 0x24.",
         {Access: p.eime_changed}),
    Rule("x2apic-after-eime", UNWISE, "SDM 11.12", "V 10.1, 10.3",
         "vCPUs go into x2APIC mode once remapping is on with 32-bit destinations.",
         "Until then no device interrupt reaches an APIC ID above 254.",
         {Commanded: p.x2apic_first, WideId: p.wide_id}),
    Rule("wide-destination", FORBIDDEN, "VT-d 9.9", "V 4.1",
         "While EIME is 0 only bits 15:8 of DST are set.",
         "Requests through the entry are blocked, reason 0x24.", {EntryChanged: p.wide_destination}),
    Rule("entry-fields", FORBIDDEN, "VT-d 9.9, 9.10", "V 4.1, 4.3",
         "A present entry has reserved bits 0 and no reserved encoding.",
         "Requests through the entry are blocked, reason 0x24.", {EntryChanged: p.faulty}),
    Rule("torn-entry", UNDEFINED, "VT-d 5.1", "V 7.7",
         "A live entry changes by one store of 16 bytes, or in an order in which no mixture is present.",
         "A request in between uses the mixture: the new vector at the old vCPU, or the wrong source.",
         {Torn: p.torn}),
    Rule("wait-before-reuse", UNDEFINED, "VT-d 6.5.2.7", "V 7.4, 7.7",
         "A freed entry is given to another source only when its invalidation is known to be done.",
         "The new source is served, or blocked, by the old source's entry.", {EntryChanged: p.reused}),
    Rule("no-free-while-live", UNWISE, "VT-d 5.1.4.1", "V 5.3, 7.7",
         "An entry is freed only when its source can no longer fire.",
         "The next interrupt is blocked with reason 0x22, or goes out by the entry's next owner.",
         {EntryChanged: p.freed_in_use}),
    Rule("source-check", UNWISE, "VT-d 9.9", "V 4.2",
         "An entry says who may use it (SVT is not 0).",
         "Any device can raise the interrupts of every other.", {EntryChanged: p.unchecked}),
    Rule("invalidate-after-change", UNDEFINED, "VT-d 6.5.2.7", "V 7.7",
         "After a change of an entry its cached copy is invalidated before a device uses it.",
         "The unit may use the old entry for ever: the old vCPU and the old vector.", {StaleUse: p.stale_change}),
    Rule("invalidate-after-set", UNDEFINED, "VT-d 11.4.2 CM", "V 7.7",
         "In caching mode an entry is invalidated also after it was set for the first time.",
         "The unit may have cached that it was not present: reason 0x22 although memory shows it.",
         {StaleUse: p.stale_set}),
    Rule("record-read", UNWISE, "VT-d 7", "V 6.3",
         "A fault record is read before its F bit is cleared.",
         "The fault is forgotten, or a newer one is read in its place.", {RecordCleared: p.unread}),
    Rule("records-in-order", UNWISE, "VT-d 7", "V 6.1, 6.3",
         "Fault records are cleared in the order of FSTS.FRI, the oldest first.",
         "Recording goes round: a record that stays in use makes the next fault an overflow.",
         {RecordCleared: p.out_of_turn}),
    Rule("records-before-overflow", UNWISE, "VT-d 7", "V 6.2",
         "The F bits of the records are cleared before FSTS.PFO.",
         "PPF stays set, and no fault event is sent any more until they are.", {OverflowCleared: p.overflow_first}),
    Rule("faults-served", UNWISE, "VT-d 7", "V 6.1, 6.3",
         "The handler of the fault event reads and clears the fault records.",
         "Later faults overflow and nobody is told of them.", {LeftFaults: p.faults_left}),
    Rule("device-errors-cleared", UNWISE, "VT-d 6.5.2.10", "V 7.6",
         "ITE and ICE are cleared by whoever finds them, and what was aborted is queued again.",
         "After ITE no descriptor is fetched any more: every later invalidation waits for ever.",
         {LeftDeviceError: p.device_error_left}),
    Rule("access-width", UNDEFINED, "VT-d 11", "V 1.2",
         "Registers are accessed by 4 bytes, 64-bit ones also by 8, aligned.",
         "Hardware may ignore the access or do part of it.", {Access: p.odd_access}),
    Rule("reserved-bits", FORBIDDEN, "VT-d 11.4", "V 1.2",
         "Reserved bits of a register are written as 0.",
         "A later unit gives them a meaning.", {Access: p.reserved_written}),
    Rule("gcmd-read", UNDEFINED, "VT-d 11.4.4", "V 1.2",
         "GCMD is write-only; the state is in GSTS.",
         "What is read is not the state; a next command made of it turns things off.", {Access: p.gcmd_read}),
    Rule("level-agrees", FORBIDDEN, "VT-d 5.1.5.1", "V 3.4",
         "A pin's entry has the trigger mode and the vector of its remapping entry, unless software ends it by hand.",
         "The broadcast of the EOI does not match: remote IRR stays set and the pin is dead.",
         {PinDisagrees: p.disagrees}),
    Rule("mask-before-change", UNDEFINED, "PCI 6.8.2", "A 8, 9",
         "A message is masked while its address and data change.",
         "It can go out half changed: the new vector at the old vCPU, or the other way round.",
         {MessageChanged: p.message_changed}),
    Rule("signal-shorthand", UNDEFINED, "SDM 11.6.1", "A 6",
         "NMI, SMI, INIT and start-up go to a destination or to all others, never to the sender by a shorthand.",
         "Whether the sender, or anybody, is reached depends on the processor.", {Warned: p.signal_to_self}),
    Rule("timer-mode", UNWISE, "SDM 11.5.4.1", "A 5",
         "The initial count is written in one-shot and periodic mode, IA32_TSC_DEADLINE in TSC-deadline mode.",
         "The write is ignored, and the timer never fires.", {Warned: p.timer_mode}),
    Rule("hpet-access", FORBIDDEN, "HPET 2.3.8", "V 3.5",
         "Registers of the HPET are accessed by 4 or 8 bytes, aligned, and none of a timer that is not there.",
         "The access is ignored, or does something else.", {TimerAccess: p.odd_timer_access}),
    Rule("hpet-fsb-edge", FORBIDDEN, "HPET 2.4.2.3", "V 3.5",
         "A timer that sends its own messages (FSB) is edge-triggered.",
         "A second interrupt waits for the status bit of the first, which nobody clears.",
         {TimerAccess: p.fsb_by_level}),
    Rule("hpet-counter-halted", UNDEFINED, "HPET 2.3.7", "V 3.5",
         "The main counter is written while it is halted.",
         "What it counts from is open, and comparators may be passed unseen.", {TimerAccess: p.set_while_running}),
    Rule("hpet-value-set", UNDEFINED, "HPET 2.3.8", "V 3.5",
         "The bit that sets a comparator itself (VAL_SET) is written to a periodic timer alone.",
         "What the next write to the comparator does is open.", {TimerAccess: p.one_shot_set}),
    Rule("descriptor-locked", FORBIDDEN, "SDM 30.6", "V 4.4",
         "The posted-interrupt descriptor of a vCPU changes by locked instructions, which take 16 bytes at most.",
         "What hardware posts in between is lost.", {DescriptorStored: p.stored_at_once}),
    Rule("one-extint", UNDEFINED, "SDM 11.5.1", "A 5",
         "One pin of one local APIC takes ExtINT.",
         "Which vCPU fetches the vector is open.", {Warned: p.second_extint}),
    Rule("lint1-edge", UNDEFINED, "SDM 11.5.1", "A 5",
         "LINT1 is edge-triggered.",
         "The interrupt may be lost, or come again and again.", {Warned: p.lint1_level}),
    Rule("one-way", UNWISE, "MP 3.6.2.3", "A 5",
         "A line interrupts by the 8259 or by the I/O APIC, never by both.",
         "One edge is handled twice.", {Warned: p.both_ways}),
    Rule("pic-eoi", UNWISE, "8259A OCW2", "A 5",
         "An interrupt that came from the 8259 is ended there, at both controllers when it is one of the second.",
         "Nothing of the same or a lower priority comes from it again.", {LeftInService: p.left_in_service}),
    Rule("apic-enabled", UNWISE, "SDM 11.4.7.2", "A 4",
         "The local APIC of a vCPU is enabled in its SVR before interrupts are directed to it.",
         "The interrupt is lost.", {NotTaken: p.not_taken}),
    Rule("eoi", UNWISE, "SDM 11.8.5", "A 4",
         "An interrupt that was taken is ended at the local APIC.",
         "The vCPU takes nothing of the same or a lower priority again.", {NotEnded: p.not_ended}),
)

RULES: dict[str, Rule] = {rule.name: rule for rule in _ROWS}
"""All rules by name; of several that one step breaks, the first is named first."""


def looking(fact: Fact) -> Sequence[tuple[Rule, Callable[[Any], str]]]:
    """The rules that look at facts of this kind, each with what says what is wrong with one, "" for nothing."""
    return _LOOKING.get(type(fact), ())


_LOOKING: dict[type[Fact], list[tuple[Rule, Callable[[Any], str]]]] = {}
for _rule in _ROWS:
    for _kind, _look in _rule.looks.items():
        _LOOKING.setdefault(_kind, []).append((_rule, _look))
