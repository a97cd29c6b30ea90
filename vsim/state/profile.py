"""What a machine is made of: capabilities, options, quirks, and the named profiles that combine them.

*Options* are choices that the VT-d specification, the SDM or the platform leave open. *Quirks* are departures from
them; each is one row of data here and one named condition in the code. Every quirk can be switched singly on top of
any profile: `profile("spec").with_quirks("qemu.D9")`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from vsim.layouts.bits import get, put
from vsim.layouts.given import whole
from vsim.layouts.registers import CAP, ECAP, GCMD
from vsim.state import xen_quirks
from vsim.state.quirks import QUIRKS, Quirk, quirk

COMPAT_PASSES = quirk(
    "qemu.D1", "compat_passes", "compatibility-format requests always pass; GCMD.CFI is ignored",
    "blocked with 0x25 while IRES=1 if EIME=1 or CFIS=0", "unmapped MSIs of a device still arrive", "sure")
BUS_REVERSED = quirk(
    "qemu.D2", "bus_reversed", "SVT=2 takes SID[15:8] as the last bus and SID[7:0] as the first",
    "first bus in SID[15:8], last in SID[7:0]", "devices behind a bridge with several buses are blocked", "sure")
IM_IGNORED = quirk(
    "qemu.D3", "im_ignored", "IRTE bit 15 (IM) is ignored", "reserved without posted interrupts: 0x24",
    "a posted entry is used as a remapped one", "sure")
DST_UNCHECKED = quirk(
    "qemu.D4", "dst_unchecked", "EIME=0: DST bits 63:48 and 39:32 are ignored", "reserved: 0x24",
    "an ID written to the wrong place goes unnoticed", "sure")
INDEX_WRAPS = quirk(
    "qemu.D5", "index_wraps", "handle + subhandle wraps at 16 bits", "out of range: 0x21",
    "an index past 0xffff finds entry 0", "likely")
REQUEST_LATE = quirk(
    "qemu.D6", "request_late", "reserved data bits of a request are checked after the entry",
    "the request is checked first: 0x20", "another reason is logged for a doubly wrong request", "likely")
EIME_ALWAYS = quirk(
    "qemu.D7", "eime_always", "IRTA.EIME works although ECAP.EIM=0", "EIME is reserved and stays 0",
    "32-bit destinations on a unit that does not offer them", "sure")
IOAPIC_UNVERIFIED = quirk(
    "qemu.D8", "ioapic_unverified", "I/O APIC requests have no source-id: SVT does not apply, faults log 0xffff",
    "source-id ff:00.0 is checked and logged", "an entry with a foreign SID still serves the I/O APIC", "sure")
RESUME_ON_TAIL = quirk(
    "qemu.D9", "resume_on_tail", "after IQE is cleared the queue goes on at the next IQT write only",
    "it goes on when IQE is cleared", "a driver that only clears IQE waits for ever", "likely")
EMPTY_WAIT_ERROR = quirk(
    "qemu.D10", "empty_wait_error", "a wait descriptor with neither SW nor IF is an error", "valid",
    "a plain ordering point stops the queue", "likely")
QIE_STICKS = quirk(
    "qemu.D11", "qie_sticks", "QIE can be cleared only if the last descriptor was a wait",
    "it can be cleared when the queue is drained", "GSTS.QIES stays 1", "likely")
DEVICE_TLB_TAKEN = quirk(
    "qemu.D12", "device_tlb_taken", "a device-TLB descriptor is accepted with ECAP.DT=0", "IQE",
    "a driver's mistake goes unnoticed", "likely")
IP_LINGERS = quirk(
    "qemu.D14", "ip_lingers", "clearing the last F bit leaves FECTL.IP set until FSTS is written",
    "IP is cleared once everything is serviced", "unmasking sends an event for a fault already served", "likely")
EDGE_REPEATS = quirk(
    "qemu.D15", "edge_repeats", "an edge pin raised while high counts again", "one edge",
    "one interrupt too many", "sure")
LEVEL_UNSEEN = quirk(
    "qemu.D16", "level_unseen", "a pin high in edge mode is not seen after a change to level", "the level is seen",
    "a shared line stays dead until it falls", "sure")
IQA_IN_USE = quirk(
    "qemu.D17", "iqa_in_use", "IQA reads back the base in use, 0 before QIE", "what was written",
    "a driver that verifies its write fails", "sure")
DLM_UNCHECKED = quirk(
    "qemu.U1", "dlm_unchecked", "reserved delivery modes 3 and 6 pass", "reserved encodings (open)",
    "a message that no local APIC takes", "open")
SVT3_MISMATCH = quirk(
    "qemu.U2", "svt3_mismatch", "SVT=3 is a failed source validation: 0x26", "a reserved encoding: 0x24 (open)",
    "another reason is logged", "open")
LOWEST_IS_FIRST = quirk(
    "qemu.U3", "lowest_is_first", "lowest priority goes to the lowest APIC ID", "any of the set (open)",
    "no round robin", "open")
CLUSTER_F_BROADCASTS = quirk(
    "qemu.U4", "cluster_f_broadcasts", "xAPIC cluster mode: destinations 0xF1..0xFE reach all clusters",
    "only 0xFF is a broadcast (open)", "an IPI to cluster 15 reaches everybody", "open")
MIXED_NARROWS = quirk(
    "qemu.U5", "mixed_narrows", "once an xAPIC CPU was looked at only 8 bits of a logical destination count",
    "32 bits for each x2APIC target", "machines that mix the two modes lose interrupts", "slip")
RH_IGNORED = quirk(
    "qemu.K1", "rh_ignored", "the redirection hint does not change who takes a message",
    "RH=1 with a logical destination chooses one of the set", "several CPUs take one interrupt", "known, no case")
LOW_VECTORS_TAKEN = quirk(
    "qemu.K2", "low_vectors_taken", "the local APIC accepts vectors 0 to 15",
    "receive-illegal-vector error, dropped", "no ESR bit, an interrupt in the exception range", "known, no case")
DISABLED_TAKES = quirk(
    "qemu.K3", "disabled_takes", "the local APIC takes interrupts with SVR bit 8 clear",
    "a software-disabled unit accepts no new fixed interrupt", "IRR fills while disabled", "known, no case")
WAIT_BOTH_ABORTS = quirk(
    "qemu.K4", "wait_both_aborts", "a wait descriptor with SW and IF both set ends the emulator", "both are done",
    "the virtual machine is gone", "known, no case")
WIDE_WRITE_ABORTS = quirk(
    "qemu.K5", "wide_write_aborts", "an 8-byte write to FECTL, IEADDR and other 32-bit registers ends the emulator",
    "two 32-bit writes in ascending order", "the virtual machine is gone", "known, no case")

LOWEST_IPI_SENT = quirk(
    "qemu.K6", "lowest_ipi_sent", "an x2APIC sends IPIs of lowest priority",
    "a reserved mode there: nothing is sent, ESR bit 4 (SDM 11.5.3)", "one of several vCPUs takes the IPI",
    "known, no case")
SIGNAL_KEEPS_LEVEL = quirk(
    "qemu.K7", "signal_keeps_level", "a level pin with delivery mode NMI, SMI, INIT or ExtINT sets remote IRR",
    "these modes are edges (82093AA 3.2.4)", "the pin is dead after its first NMI: nobody ends it", "sure")
LVT_KEPT = quirk(
    "qemu.K8", "lvt_kept", "a local APIC that software switches off keeps its local vector table as it is",
    "every entry is masked, and stays so while it is off (SDM 11.4.7.2)",
    "a timer, or the 8259 at LINT0, still interrupts", "sure")
FAULTS_UNRECORDED = quirk(
    "qemu7.F1", "faults_unrecorded", "QEMU 7.2 records no fault of interrupt remapping",
    "a fault record, FSTS.PPF and a fault event (V 6)", "a blocked interrupt leaves no trace", "sure")
IEC_UNCHECKED = quirk(
    "qemu7.F2", "iec_unchecked", "QEMU 7.2 looks at no reserved bit of an IEC descriptor; a type has no bits 11:9",
    "IQE (V 7.1, 7.3)", "a driver's mistake goes unnoticed", "sure")
PASID_UNKNOWN = quirk(
    "qemu7.F3", "pasid_unknown", "QEMU 7.2 passes over descriptors with a PASID (types 6 and 7); its trace names none",
    "IQE without scalable mode (V 7.1)", "the queue goes on where it should stop", "sure")


INTERFACES = ("v1", "v1-corrected", "rfc-v1", "rfc-v2", "v2", "v3", "v4")
"""Names of the domctl's versions; their structures and refusals are in `viommu`."""


MAX_UNITS = 256
"""Most vIOMMUs of one domain."""
MAX_APIC_ID = 0xFFFFFFFE
"""Largest APIC ID; the next one is the broadcast."""


IOAPIC_WINDOW = 0xFEC00000
"""Where the first I/O APIC is."""
MOST_IOAPICS = 17
"""I/O APICs of a machine, as many as a real one has been seen to have."""


class IoApic(NamedTuple):
    """One I/O APIC: its window, its first GSI, its first pin among those of all, how many it has, its requester id."""

    window: int
    gsi: int
    first: int
    pins: int
    sid: int


@cache
def _ioapics(pins: int, sid: int, more: tuple[tuple[int, int, int, int], ...]) -> tuple[IoApic, ...]:
    out = [IoApic(IOAPIC_WINDOW, 0, 0, pins, sid)]
    for window, gsi, count, own in more:
        out.append(IoApic(window, gsi, out[-1].first + out[-1].pins, count, own))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Options:
    """Choices that are open, and facts of the platform; none of them departs from a specification.

    model: the unit's device model, "vtd" (the specification's) or a version of the series, "xen-v1" and so on. order:
    the check order of an entry that is wrong in two ways, "spec" (source-id first) or "reserved-first". merge_faults:
    fold a fault into a pending record of the same requester. cache: which entries the interrupt entry cache keeps,
    "none", "present" or "everything" (V 7.7). svt3_reason: 0x24 or 0x26 for SVT=3. dlm_passes: reserved delivery
    modes 3 and 6 of an entry are handed on. iec_any_mask: an IEC mask above ECAP.MHMV is accepted. eime_reads_back:
    without ECAP.EIM, IRTA.EIME reads as written, though it never works. matching: how destinations name local APICs:
    "architecture", "xen" (Xen 4.10's rules, X 5.5), or "everybody" and "nobody" for recordings made with a stub.
    built_viommu: Xen was built with the feature. pv_word: the memory that quirk xen.D3 reads. iedata_bits: bits of
    IEDATA that are stored. iqercd, event_upper: the registers IQERCD and FEUADDR/IEUADDR exist. ff_broadcast: an
    8-bit destination 0xFF is a broadcast for x2APIC targets (KVM's rule). alias_ids: xAPIC targets compare the low 8
    bits of a wider ID. cluster_f_broadcast: in xAPIC cluster mode destinations 0xF1..0xFE reach all clusters, as 0xFF
    does. ext_dest: compatibility messages carry 15 bits of destination. ioapic_pins, ioapic_version, ioapic_sid:
    model and requester id of the I/O APIC. more_ioapics: others, each (window, first GSI, pins, requester id).
    rte_reserved: its entries keep their reserved bits 47:17. apic_id_step: APIC ID of vCPU n is n times this.
    apic_ids: the APIC ID of each vCPU instead, as a real machine has them; a machine of this profile has as many
    vCPUs. x2apic: the vCPUs offer x2APIC mode. cmci: what the vCPUs have of the local vector table's entry for
    corrected machine checks: "absent" (no such register, so six entries), "present" (seven), or "silent" (six, and
    the register reads 0 and takes writes, as in Xen). suppress_eoi: the local APICs offer EOI-broadcast suppression.
    hpet_timers, hpet_sid: timers of an HPET with FSB messages (0: none), and its requester id. window_moves:
    IA32_APIC_BASE takes another address of the window, where Xen answers #GP. timer_ns: nanoseconds of a count of the
    local APIC's timer before division. tsc_deadline: it has TSC-deadline mode. iqa_width: IQA.DW is kept as written,
    offered or not. placement: where the unit is emulated, "xen", "qemu" (beside Xen), or "emulator" (the whole
    machine is one emulator's). interface: version of the domctl. domain_type: "hvm", "pvh" or "pv". boot_viommu: Xen
    was booted with the `viommu` option. pic: whose 8259 pair it has (`devices.vpic`, `devices.lint`): "datasheet", or
    as "qemu" or "xen" model it. max_units: vIOMMUs of one domain. gcmd_order: in which order several changed
    command bits act.
    """

    model: str = "vtd"
    order: str = "spec"
    merge_faults: bool = False
    cache: str = "everything"
    svt3_reason: int = 0x24
    dlm_passes: bool = False
    iec_any_mask: bool = False
    eime_reads_back: bool = False
    iedata_bits: int = 16
    iqercd: bool = True
    event_upper: bool = True
    ff_broadcast: bool = False
    alias_ids: bool = False
    cluster_f_broadcast: bool = False
    matching: str = "architecture"
    ext_dest: bool = False
    ioapic_pins: int = 48
    ioapic_version: int = 0x20
    ioapic_sid: int = 0xFF00
    more_ioapics: tuple[tuple[int, int, int, int], ...] = ()
    rte_reserved: bool = False
    apic_id_step: int = 2
    apic_ids: tuple[int, ...] = ()
    x2apic: bool = True
    cmci: str = "absent"
    iqa_width: bool = True
    hpet_timers: int = 0
    hpet_sid: int = 0xF00F
    window_moves: bool = False
    timer_ns: int = 10
    tsc_deadline: bool = True
    suppress_eoi: bool = False
    placement: str = "xen"
    pic: str = "datasheet"
    interface: str = "v1-corrected"
    domain_type: str = "hvm"
    boot_viommu: bool = True
    built_viommu: bool = True
    pv_word: int = 0
    max_units: int = 1
    gcmd_order: tuple[str, ...] = ("qie", "sirtp", "ire", "cfi", "te", "srtp", "eafl", "sfl", "wbf")

    def __post_init__(self) -> None:
        """Refuse values that no code knows."""
        _one_of("model", self.model, ("vtd", "xen-v1", "xen-v3", "xen-v4"))
        _one_of("order", self.order, ("spec", "reserved-first"))
        _one_of("cache", self.cache, ("none", "present", "everything"))
        _one_of("svt3_reason", self.svt3_reason, (0x24, 0x26))
        _one_of("matching", self.matching, ("architecture", "xen", "everybody", "nobody"))
        _one_of("placement", self.placement, ("xen", "qemu", "emulator"))
        _one_of("interface", self.interface, INTERFACES)
        _one_of("pic", self.pic, ("datasheet", "qemu", "xen"))
        _one_of("cmci", self.cmci, ("absent", "present", "silent"))
        _one_of("domain_type", self.domain_type, ("hvm", "pvh", "pv"))
        _one_of("apic_id_step", self.apic_id_step, (1, 2))
        _one_of("gcmd_order", tuple(sorted(self.gcmd_order)), (tuple(sorted(f.name for f in GCMD)),))
        _within("ioapic_pins", self.ioapic_pins, 1, 240)
        _within("ioapic_version", self.ioapic_version, 0, 0xFF)
        _within("ioapic_sid", self.ioapic_sid, 0, 0xFFFF)
        self._check_ioapics()
        if self.hpet_timers:
            _within("hpet_timers", self.hpet_timers, 3, 24)
        _within("hpet_sid", self.hpet_sid, 0, 0xFFFF)
        _within("timer_ns", self.timer_ns, 1, 1000)
        _within("iedata_bits", self.iedata_bits, 16, 32)
        _within("max_units", self.max_units, 1, MAX_UNITS)
        for vcpu, apic_id in enumerate(self.apic_ids):
            _within(f"apic_ids[{vcpu}]", apic_id, 0, MAX_APIC_ID)
        if len(set(self.apic_ids)) < len(self.apic_ids):
            raise ValueError("apic_ids has an ID twice; each vCPU has one of its own")

    def _check_ioapics(self) -> None:
        """Windows, GSIs and pins of I/O APICs that can stand beside each other."""
        _within("number of more_ioapics", len(self.more_ioapics), 0, MOST_IOAPICS - 1)
        for number, row in enumerate(self.more_ioapics):
            for name, value, low, high in zip(("window", "gsi", "pins", "sid"), row, (IOAPIC_WINDOW, 0, 1, 0),
                                              (IOAPIC_WINDOW + 0xFFC00, 255, 240, 0xFFFF), strict=True):
                _within(f"more_ioapics[{number}].{name}", value, low, high)
            if row[0] & 0x3FF:
                raise ValueError(f"more_ioapics[{number}].window is {row[0]:#x}, which is not a multiple of 0x400")
        taken = [gsi for each in self.ioapics for gsi in range(each.gsi, each.gsi + each.pins)]
        windows = sorted(each.window for each in self.ioapics)
        if len(set(taken)) < len(taken) or any(b - a < 0x400 for a, b in pairwise(windows)):
            raise ValueError("more_ioapics has a GSI or a window twice; each I/O APIC has its own")
        _within("last GSI of the I/O APICs", max(taken), 0, 255)
        _within("pins of all I/O APICs", len(taken), 1, 240)

    @property
    def ioapics(self) -> tuple[IoApic, ...]:
        """All I/O APICs, the first one first."""
        return _ioapics(self.ioapic_pins, self.ioapic_sid, self.more_ioapics)

    def pin_of(self, gsi: int) -> int:
        """The pin, counted over all I/O APICs, that a GSI is; -1 when there is none."""
        return next((each.first + gsi - each.gsi for each in self.ioapics if 0 <= gsi - each.gsi < each.pins), -1)

    def apic_id(self, vcpu: int) -> int:
        """The APIC ID that a vCPU has after power-on."""
        return self.apic_ids[vcpu] if self.apic_ids else self.apic_id_step * vcpu


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r:.60}; allowed are {', '.join(map(repr, allowed))}")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value:#x}; the limit is {low:#x} to {high:#x}")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """CAP and ECAP of a unit, and the host address width in bits (default: CAP.MGAW + 1)."""

    cap: int = 0x22260286
    ecap: int = 0xF0001A
    address_width: int = 0

    def __post_init__(self) -> None:
        """Refuse words that no register holds, and fault records that leave the register page (V 1.2)."""
        _within("cap", self.cap, 0, (1 << 64) - 1)
        _within("ecap", self.ecap, 0, (1 << 64) - 1)
        _within("address width", self.width, 12, 64)
        _within("end of the fault records", self.fault_offset + 16 * self.fault_records, 0, 4096)

    @property
    def width(self) -> int:
        """Host address width in bits."""
        return self.address_width or int(get(self.cap, CAP.mgaw)) + 1

    @property
    def fault_records(self) -> int:
        """Number of fault recording registers."""
        return int(get(self.cap, CAP.nfr)) + 1

    @property
    def fault_offset(self) -> int:
        """Offset in bytes of the first fault recording register."""
        return int(get(self.cap, CAP.fro)) * 16

    @property
    def shape(self) -> tuple[int, int, int]:
        """Fault offset, fault records and address width."""
        return self.fault_offset, self.fault_records, self.width

    def having(self, posting: bool | None = None, fault_records: int | None = None, eim: bool | None = None,
               caching_mode: bool | None = None, device_tlb: bool | None = None) -> Capabilities:
        """The same unit with posting, another number of fault records (1 to 256, in one page), EIM, caching mode or
        devices that have a TLB of their own.
        """
        cap, ecap = self.cap, self.ecap
        if posting is not None:
            cap = put(cap, CAP.pi, int(posting))
        if fault_records is not None:
            whole("fault_records", fault_records, 256, 1)
            cap = put(cap, CAP.nfr, fault_records - 1)
        if caching_mode is not None:
            cap = put(cap, CAP.cm, int(caching_mode))
        if eim is not None:
            ecap = put(ecap, ECAP.eim, int(eim))
        if device_tlb is not None:
            ecap = put(ecap, ECAP.dt, int(device_tlb))
        return replace(self, cap=cap, ecap=ecap)


@dataclass(frozen=True, slots=True)
class Profile:
    """A named combination; `quirks` is a set of quirk ids.

    units: CAP and ECAP of unit 0, 1 and so on, where several units differ; the others have `capabilities`. Where the
    fault records are and the address width are the device model's own: the same in all of them.
    """

    name: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    options: Options = field(default_factory=Options)
    quirks: frozenset[str] = frozenset()
    units: tuple[Capabilities, ...] = ()

    def __post_init__(self) -> None:
        """Refuse unknown quirks, and units of another shape."""
        for id_ in self.quirks:
            if id_ not in QUIRKS:
                raise ValueError(f"no quirk {id_!r}; there are {', '.join(QUIRKS)}")
        _within("units", len(self.units), 0, MAX_UNITS)
        for number, unit in enumerate(self.units):
            if unit.shape != self.capabilities.shape:
                raise ValueError(f"unit {number} has fault offset, fault records and address width {unit.shape}; "
                                 f"they must be {self.capabilities.shape}, as in the profile")

    def of_unit(self, unit: int) -> Capabilities:
        """CAP and ECAP of a unit."""
        return self.units[unit] if unit < len(self.units) else self.capabilities

    @property
    def quirk_word(self) -> int:
        """The quirks as one word, a bit each."""
        return sum(QUIRKS[id_].bit for id_ in self.quirks)

    def with_quirks(self, *ids: str) -> Profile:
        """The same with these quirks on as well."""
        return replace(self, quirks=self.quirks | frozenset(ids))

    def without_quirks(self, *ids: str) -> Profile:
        """The same with these quirks off."""
        return replace(self, quirks=self.quirks - frozenset(ids))

    def with_options(self, **changes: Any) -> Profile:
        """The same with some options changed. ValueError for a value that is not allowed."""
        return replace(self, options=replace(self.options, **changes))

    def with_capabilities(self, capabilities: Capabilities) -> Profile:
        """The same with another unit."""
        return replace(self, capabilities=capabilities)

    def with_units(self, *units: Capabilities) -> Profile:
        """The same with units that differ."""
        return replace(self, units=units)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        out = {"name": self.name, "capabilities": asdict(self.capabilities), "options": asdict(self.options),
               "quirks": sorted(self.quirks)}
        return out | {"units": [asdict(unit) for unit in self.units]} if self.units else out

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Profile:
        """The inverse of `to_dict`. ValueError when something in it is unknown or of a wrong type."""
        try:
            options = dict(data["options"])
            options["gcmd_order"] = tuple(options.get("gcmd_order", Options().gcmd_order))
            options["more_ioapics"] = tuple(tuple(map(_whole, row)) for row in options.get("more_ioapics", ()))
            options["apic_ids"] = tuple(map(_whole, options.get("apic_ids", ())))
            _same_types(options, asdict(Options()))
            units = tuple(_capabilities(unit) for unit in data.get("units", ()))
            return Profile(str(data["name"])[:64], _capabilities(data["capabilities"]), Options(**options),
                           frozenset(str(q) for q in data["quirks"]), units)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a profile: {error}") from None


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"apic_ids holds {value!r}, which is no int")
    return value


def _capabilities(data: Any) -> Capabilities:
    found = dict(data)
    _same_types(found, asdict(Capabilities()))
    return Capabilities(**found)


def _same_types(found: dict[str, Any], model: dict[str, Any]) -> None:
    for name, value in found.items():
        if name not in model:
            raise ValueError(f"{name!r} is not a field of this part of a profile")
        if type(value) is not type(model[name]):
            raise ValueError(f"{name} is {value!r}; expected {type(model[name]).__name__}")


PROFILES: dict[str, Profile] = {
    "spec": Profile("spec"),
    "qemu-10": Profile(
        "qemu-10", Capabilities(0xD2008C222F0606, 0xF00F5A),
        Options(order="reserved-first", merge_faults=True, cache="none", iec_any_mask=True,
                iqercd=False, event_upper=False, iqa_width=False, tsc_deadline=False,
                eime_reads_back=True, iedata_bits=32, alias_ids=True,
                ioapic_pins=24, rte_reserved=True, apic_id_step=1, placement="emulator", pic="qemu"),
        frozenset(id_ for id_ in QUIRKS if id_.startswith("qemu."))),
    **{f"xen-{version}": Profile(
        f"xen-{version}", Capabilities(cap, ecap),
        Options(model=f"xen-{version}", cache="none", ioapic_version=0x11, iqercd=False,
                matching="xen", cmci="silent", pic="xen", interface=version),
        xen_quirks.of_version(version))
        for version, cap, ecap in (("v1", 0xC22260206, 0x1A), ("v3", 0x22260206, 0x1A), ("v4", 0xC260206, 0xF0001A))},
}
"""The named profiles."""


def profile(name: str) -> Profile:
    """A named profile. ValueError names the profiles that exist."""
    if not isinstance(name, str) or name not in PROFILES:
        raise ValueError(f"no profile {name!r:.40}; there are {', '.join(PROFILES)}")
    return PROFILES[name]


__all__ = ["PROFILES", "QUIRKS", "Capabilities", "Options", "Profile", "Quirk", "profile"]
