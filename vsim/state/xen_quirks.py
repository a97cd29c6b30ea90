"""The 45 defects and oddities of the series, D1 to D45 (X 10), a row each; A1 to A3 are of the Xen 4.10 under it.

Grades as in the reference: "run" was seen on the compiled code, "read" in the source, "I" is inferred by hand,
"(f)" means that hardware does the same, so that the corrected machine shows it too. Rows with switch=False have no
effect that a machine could show; they are told only.
"""

from __future__ import annotations

from vsim.state.quirks import QUIRKS, quirk

POSITIVE_ENOMEM = quirk(
    "xen.D1", "create_positive_enomem", "the back end returns +12 when it is out of memory, which counts as success",
    "-ENOMEM", "create succeeds and the unit has no state: every request ends in -ENODEV", "run", "v4")
STUB_SUCCESS = quirk(
    "xen.D2", "stub_success", "a hypervisor built without the feature answers success and does nothing",
    "-EOPNOTSUPP or -ENOSYS", "create returns 0 and no register page appears", "read", "v4")
PV_UNION = quirk(
    "xen.D3", "pv_union_read", "for a PV domain the test for an existing unit reads unrelated memory",
    "-EINVAL", "create on a PV domain fails with a code that depends on chance", "I", "v4")
HANDLER_LEAK = quirk(
    "xen.D4", "handler_leak", "the MMIO handler is never unregistered", "unregister at destroy",
    "create and destroy in a loop use up the 32 handler slots and crash the domain", "run in part", "all")
IRE_STICKY = quirk(
    "xen.D5", "ire_sticky", "switching IRE off leaves remapping on", "remapping is off",
    "GSTS.IRES is 0 and messages are still remapped", "run", "v1 v2")
SIRTP_EIME_IGNORED = quirk(
    "xen.D6", "sirtp_eime_ignored", "SIRTP latches nothing when neither page nor size of the table changed",
    "always latch", "a guest that switches EIME alone keeps the old mode", "run", "v4")
FORMAT_HARDCODED = quirk(
    "xen.D7", "format_hardcoded", "the format bit decides even in domains without a vIOMMU", "ask the vIOMMU",
    "a guest that sets bit 4 loses the interrupt with -EINVAL", "read", "RFC v1 v2")
DROPS_WHEN_OFF = quirk(
    "xen.D8", "drops_when_off", "a remappable message is dropped while remapping is off",
    "deliver as compatibility format (unverified in hardware)", "no interrupt, no fault", "run (f)", "all")
IM_IGNORED = quirk(
    "xen.D9", "posted_as_remapped", "a posted-mode entry is used as a remapped one", "fault 0x24",
    "the interrupt arrives with the virtual vector", "run", "all")
SID_UNCHECKED = quirk(
    "xen.D10", "sid_unchecked", "the source-id is not checked", "SVT and SQ checks, fault 0x26",
    "any device can raise any other device's interrupt", "run", "all")
REQUEST_UNRECORDED = quirk(
    "xen.D11", "request_unrecorded", "fault 0x20 is not recorded", "record it", "a lost pin interrupt leaves no trace",
    "I", "v3")
INDEX_OFF_BY_ONE = quirk(
    "xen.D12", "index_off_by_one", "an index equal to the number of entries is accepted", "fault 0x21",
    "the bytes behind the table are an entry; with a full last page the hypervisor would fault", "run", "all")
POSITIVE_CODES = quirk(
    "xen.D13", "positive_codes", "positive fault codes reach the callers of inject-MSI", "negative codes",
    "a caller that tests for < 0 sees success", "run", "v4")
NULL_ENTRY = quirk(
    "xen.D14", "null_entry", "the fault handler gets no entry and reads it for reasons 0x22 and 0x24", "record",
    "the first interrupt through a not-present entry would crash the hypervisor", "I", "v3")
DELIVER_DISABLED = quirk(
    "xen.D15", "deliver_disabled", "fixed delivery sets IRR of disabled local APICs", "skip them",
    "a vCPU that switched its local APIC off finds old vectors pending", "run", "to 4.10")
FRCD_INDEX_LOW = quirk(
    "xen.D16", "frcd_index_low", "the record holds the index in bits 27:12", "bits 63:48",
    "a guest always reads index 0", "run", "v4")
FRCD_LAYOUT = quirk(
    "xen.D17", "frcd_layout", "F and the reason sit four bits too low, and writing the record wipes F",
    "the VT-d layout", "no fault raises PPF or an event; polling shows a shifted record", "run", "all")
FRCD_INVERTED = quirk(
    "xen.D18", "frcd_inverted", "the allocation test is inverted", "normal",
    "odd faults report an overflow, even ones are silent", "run", "v1 v2")
OVERFLOW_MINUS_ONE = quirk(
    "xen.D19", "overflow_minus_one", "the allocator's result is compared with -1 while it returns -ENOMEM", "< 0",
    "nothing, because of D17", "I", "v3", False)
FSTS_OVERCLEAR = quirk(
    "xen.D20", "fsts_overclear", "clearing bits of FSTS also clears every second bit above the highest of them",
    "exactly the bits written", "acknowledging PFO clears IQE as well", "run", "all")
QIE_UNCHECKED = quirk(
    "xen.D21", "qie_unchecked", "the queue runs whether QIE is set or not", "require QIE",
    "descriptors act before the guest switches the queue on", "run", "all")
FIRST_PAGE_ONLY = quirk(
    "xen.D22", "first_page_only", "only the first page of the queue is mapped", "all pages",
    "descriptors from number 256 on are read past the mapping", "I", "v1 v2 v3")
QI_ON_READ = quirk(
    "xen.D23", "qi_on_read", "the queue is looked at only after a read of a register", "when IQT is written",
    "a guest that polls memory alone waits for ever", "run", "v4")
SHRUNK_QUEUE = quirk(
    "xen.D24", "shrunk_queue", "a tail beyond a queue that was made smaller is walked to", "clamp, or IQE",
    "debug builds fail an assertion; release builds may loop for ever", "run", "all")
IEC_UNBOUNDED = quirk(
    "xen.D25", "iec_unbounded", "a selective invalidation walks 2^m entries for m up to 31 with locks held",
    "limit to MHMV", "the host stalls", "run", "v4")
SIRTP_UNDER_DELIVERY = quirk(
    "xen.D26", "sirtp_under_delivery", "SIRTP unmaps the table under a delivery in progress", "drain first",
    "a race on the host; one vCPU at a time cannot show it", "I", "v4", False)
GSI_VECTOR_ONE = quirk(
    "xen.D27", "gsi_vector_one", "the vector query of a pin answers 1 on any decode error", "a negative errno",
    "the timer code uses vector 1", "run", "v4")
PT_DEST_U8 = quirk(
    "xen.D28", "pt_dest_u8", "the lookup of a passed-through MSI's vCPU takes an 8-bit destination", "32 bits",
    "APIC ID 256 becomes 0: the host IRQ migrates, or is posted, to vCPU 0", "run", "v4, today")
EOI_RTE_VECTOR = quirk(
    "xen.D29", "eoi_rte_vector", "an EOI is matched with the pin's own vector field", "as hardware: the same",
    "Linux, which keeps the pin number there, must end the pin by hand", "read (f)", "all")
EDGE_ENTRY_LEVEL_PIN = quirk(
    "xen.D30", "edge_entry_level_pin", "an edge entry behind a level pin: no EOI reaches the pin",
    "as hardware: the guest's job", "the pin stays dead until the guest toggles it", "read (f)", "all")
DROPPED_LEVEL_IRR = quirk(
    "xen.D31", "dropped_level_irr", "a level interrupt that is dropped leaves remote IRR set",
    "hardware is similar", "the pin is dead until software changes it to edge", "read (f)", "all")
IOAPIC_SID_ZERO = quirk(
    "xen.D32", "ioapic_sid", "the I/O APIC's requests carry its 4-bit id, 0; the DMAR table says ff:00.0",
    "requester 0xff00", "checking source-ids would block every pin", "read", "all")
RR_U8 = quirk(
    "xen.D33", "rr_u8", "the last winner of a lowest-priority arbitration is kept in 8 bits", "wide",
    "with more than 256 vCPUs the round starts again at the wrong place", "read", "all, today")
LDR_FROM_VCPU = quirk(
    "xen.D34", "ldr_from_vcpu_id", "the x2APIC logical address is derived from the vCPU number", "from the APIC ID",
    "logical destinations reach the wrong vCPUs", "read", "to 2023")
ASSERT_BY_PIN = quirk(
    "xen.D35", "assert_by_pin", "the count of asserted wires is looked up by pin", "by GSI",
    "nothing in a guest: its only I/O APIC starts at GSI 0", "read", "4.10", False)
TMR_STICKY = quirk(
    "xen.D36", "tmr_sticky", "TMR is not cleared when an edge interrupt is accepted", "clear it",
    "the EOI of an edge interrupt is broadcast to the I/O APIC", "read", "4.10")
INJECT_ALWAYS_ZERO = quirk(
    "xen.D37", "inject_always_zero", "injecting a remapped message always returns 0", "pass the result on",
    "QEMU cannot see that its interrupt was lost", "run", "v1 v2")
DMAR_ALWAYS = quirk(
    "xen.D38", "dmar_always", "every HVM guest gets a DMAR table, with base 0 and width 255 without a vIOMMU", "none",
    "a guest finds a table that describes nothing", "I", "v4")
CAPS_REVERSED = quirk(
    "xen.D39", "caps_reversed", "the toolstack tests (offered & wanted) against offered", "against wanted",
    "a vIOMMU without the wanted capability is created without a message", "read", "RFC v1")
RFC2_ERRNO = quirk(
    "xen.D40", "rfc2_errno", "unknown type gives -EFAULT; query always gives -EINVAL", "-EINVAL; 0",
    "the toolstack cannot tell success from failure", "read", "RFC v2", False)
BIND_UNDECODABLE = quirk(
    "xen.D41", "bind_undecodable", "binding an MSI whose entry cannot be decoded succeeds with vector 0",
    "the same, documented", "the device is bound and never interrupts", "run (f)", "v4", False)
MADT_U8 = quirk(
    "xen.D42", "madt_u8", "APIC IDs in the MADT wrap at 8 bits", "x2APIC entries",
    "vCPU 128 is announced with the ID of vCPU 0", "read", "all")
TYPE_U8 = quirk(
    "xen.D43", "type_u8", "a type of 256 is cut to 8 bits and accepted as 0", "refuse it",
    "the toolstack gets a vIOMMU that it did not ask for", "I", "v4")
UNMAP_LEAK = quirk(
    "xen.D44", "unmap_leak", "unmapping leaks its helper array", "free it", "host memory is lost", "read", "v4", False)
WILD_MESSAGE = quirk(
    "xen.D45", "wild_message", "the message \"type first\" prints an uninitialised pointer", "print the item",
    "the toolstack may crash on a bad configuration", "read", "v2 v3 v4", False)
ICR_STATUS_REFUSED = quirk(
    "xen.A1", "icr_status_refused", "bit 12 in a write to an x2APIC's ICR is #GP",
    "it is ignored, and the IPI is sent (x2APIC specification 2.4.3)",
    "a guest that writes back what it read of an old ICR gets an exception", "read", "4.10")
LOWEST_IPI = quirk(
    "xen.A2", "lowest_ipi_xen", "an x2APIC sends IPIs of lowest priority",
    "a reserved mode there: nothing is sent, ESR bit 4 (SDM 11.5.3)", "one of several vCPUs takes the IPI", "read",
    "4.10")
LEVEL_SIGNALS = quirk(
    "xen.A3", "level_signals", "a level pin with delivery mode NMI, SMI, INIT or ExtINT sets remote IRR",
    "these modes are edges (82093AA 3.2.4)", "the pin is dead after its first NMI: nobody ends it", "read", "4.10")


def of_version(version: str) -> frozenset[str]:
    """The ids of the quirks that a version of the series has: "v1", "v3" or "v4", with the Xen 4.10 under it."""
    chosen = set()
    for id_, row in QUIRKS.items():
        if not id_.startswith("xen."):
            continue
        words = row.versions.replace(",", "").split()
        if version in words or words[0] in ("all", "to", "4.10"):
            chosen.add(id_)
    return frozenset(chosen)
