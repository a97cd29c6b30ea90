"""The registers of the remapping unit, the local APIC, the I/O APIC and the PCI interrupt capabilities, by bits.

`UNIT` is the register page of a VT-d unit (VT-d 11.4; V 1.1): offset, width, name, layout, and who may write what.
Only what interrupt remapping touches has a layout of its own; the other registers are named for dumps.
"""

from __future__ import annotations

from vsim.layouts.bits import Access, Field, Layout, flag, reserved
from vsim.layouts.formats import DLM_NAMES, DM_NAMES, RTE, TM_NAMES

RO, RW, WO, W1C = Access.RO, Access.RW, Access.WO, Access.W1C

VER = Layout("VER", 32, "VT-d 11.4.1", reserved(8, 24), Field("major", 4, 4, "major version", RO, "dec", reset=1),
             Field("minor", 0, 4, "minor version", RO, "dec"))

CAP = Layout(
    "CAP", 64, "VT-d 11.4.2",
    Field("nd", 0, 3, "domain ids: 2^(4+2*nd)", RO), flag("afl", 3, "advanced fault log", RO),
    flag("rwbf", 4, "write-buffer flush required", RO), flag("plmr", 5, "protected low memory", RO),
    flag("phmr", 6, "protected high memory", RO),
    flag("cm", 7, "caching mode: not-present entries may be cached", RO),
    Field("sagaw", 8, 5, "DMA address widths", RO), reserved(13, 3),
    Field("mgaw", 16, 6, "maximum guest address width minus 1", RO, "dec"),
    flag("zlr", 22, "zero-length reads", RO), Field("dep23", 23, 1, "deprecated", RO),
    Field("fro", 24, 10, "offset of the first fault record, in units of 16 bytes", RO),
    Field("sllps", 34, 4, "large pages", RO), reserved(38, 1), flag("psi", 39, "page-selective invalidation", RO),
    Field("nfr", 40, 8, "number of fault records minus 1", RO, "dec"),
    Field("mamv", 48, 6, "maximum address mask", RO, "dec"), flag("dwd", 54, "write draining", RO),
    flag("drd", 55, "read draining", RO), flag("fs1gp", 56, "first-stage 1 GiB pages", RO), reserved(57, 2),
    flag("pi", 59, "posted interrupts", RO), flag("fs5lp", 60, "five-level paging", RO),
    flag("ecmds", 61, "enhanced commands", RO),
    flag("esirtps", 62, "SIRTP and turning remapping off invalidate the entry cache by themselves", RO),
    flag("esrtps", 63, "the same for SRTP and the DMA caches", RO))

ECAP = Layout(
    "ECAP", 64, "VT-d 11.4.3",
    flag("c", 0, "table fetches snoop the processor caches", RO), flag("qi", 1, "queued invalidation", RO),
    flag("dt", 2, "device TLB", RO), flag("ir", 3, "interrupt remapping; needs qi", RO),
    flag("eim", 4, "extended interrupt mode: 32-bit destinations; needs ir", RO), Field("dep5", 5, 1, "deprecated", RO),
    flag("pt", 6, "pass-through", RO), flag("sc", 7, "snoop control", RO),
    Field("iro", 8, 10, "offset of the IOTLB registers, in units of 16 bytes", RO), reserved(18, 2),
    Field("mhmv", 20, 4, "largest im of an interrupt-entry-cache invalidation", RO, "dec"), reserved(24, 1),
    flag("mts", 25, "memory types", RO), flag("nest", 26, "nested translation", RO), reserved(27, 2),
    flag("prs", 29, "page requests", RO), Field("other30", 30, 12, "not interrupt remapping", RO),
    flag("pds", 42, "page-request drain of a wait descriptor", RO), flag("smts", 43, "scalable mode", RO),
    Field("other44", 44, 8, "not interrupt remapping", RO), flag("adms", 52, "abort-DMA mode", RO),
    Field("other53", 53, 11, "not interrupt remapping", RO))

_COMMANDS = (
    ("te", 31, "DMA translation", "level"), ("srtp", 30, "set root table pointer", "one-shot"),
    ("sfl", 29, "set fault log", "one-shot"), ("eafl", 28, "advanced fault log", "level"),
    ("wbf", 27, "write-buffer flush", "one-shot"), ("qie", 26, "queued invalidation", "level"),
    ("ire", 25, "interrupt remapping", "level"),
    ("sirtp", 24, "set interrupt remapping table pointer", "one-shot"),
    ("cfi", 23, "compatibility-format interrupts pass", "level"))
_STATUS_NAMES = {"te": "tes", "srtp": "rtps", "sfl": "fls", "eafl": "afls", "wbf": "wbfs", "qie": "qies",
                 "ire": "ires", "sirtp": "irtps", "cfi": "cfis"}

GCMD = Layout("GCMD", 32, "VT-d 11.4.4", reserved(0, 23),
              *(flag(name, low, f"{doc} ({kind})", WO) for name, low, doc, kind in _COMMANDS))
GSTS = Layout("GSTS", 32, "VT-d 11.4.5", reserved(0, 23),
              *(flag(_STATUS_NAMES[name], low, f"{doc}: status", RO) for name, low, doc, _ in _COMMANDS))
ONE_SHOT = sum(1 << low for _, low, _, kind in _COMMANDS if kind == "one-shot")
"""Command bits of which only a 1 has meaning (V 1.4); 0x69000000."""

FSTS = Layout(
    "FSTS", 32, "VT-d 11.4.9", reserved(16, 16),
    Field("fri", 8, 8, "index of the first pending fault record; valid while ppf=1", RO, "dec"),
    flag("pro", 7, "page request overflow, deprecated", W1C), flag("ite", 6, "device-TLB time-out", W1C),
    flag("ice", 5, "device-TLB completion error", W1C), flag("iqe", 4, "invalidation queue error", W1C),
    flag("apf", 3, "advanced pending fault", W1C), flag("afo", 2, "advanced fault overflow", W1C),
    flag("ppf", 1, "primary pending fault: OR of all records' F", RO),
    flag("pfo", 0, "primary fault overflow; while 1 nothing is recorded", W1C))


def _event_control(name: str, section: str) -> Layout:
    return Layout(name, 32, section, flag("im", 31, "mask: 1 holds the message back", RW, reset=1),
                  flag("ip", 30, "pending: a message was held back", RO), reserved(0, 30))


FECTL = _event_control("FECTL", "VT-d 11.4.10")
IECTL = _event_control("IECTL", "VT-d 11.4.22")
EVENT_DATA = Layout("FEDATA, IEDATA", 32, "VT-d 11.4.11", Field("old", 16, 16, "message data in old revisions"),
                    Field("data", 0, 16, "message data: vector 7:0, delivery mode bit 8"))
EVENT_ADDRESS = Layout("FEADDR, IEADDR", 32, "VT-d 11.4.12", Field("address", 2, 30, "message address, bits 31:2"),
                       reserved(0, 2))
EVENT_UPPER = Layout("FEUADDR, IEUADDR", 32, "VT-d 11.4.13", Field("id", 8, 24, "APIC ID bits 31:8 in x2APIC mode"),
                     reserved(0, 8))
RTADDR = Layout("RTADDR", 64, "VT-d 11.4.6", Field("root", 12, 52, "root table, bits 63:12"),
                Field("ttm", 10, 2, "translation table mode"), reserved(0, 10))
_DONE = {0: "none: the request made no sense", 1: "global", 2: "domain", 3: "the finest: device or pages"}
CCMD = Layout("CCMD", 64, "VT-d 11.4.7", flag("icc", 63, "1: invalidate the context cache; 0 when done"),
              Field("cirg", 61, 2, "granularity asked for", names=_DONE),
              Field("caig", 59, 2, "granularity done", RO, names=_DONE), reserved(34, 25),
              Field("fm", 32, 2, "function bits that are ignored"), Field("sid", 16, 16, "requester", form="bdf"),
              Field("did", 0, 16, "domain"))
IVA = Layout("IVA", 64, "VT-d 11.4.8.2", Field("address", 12, 52, "address, bits 63:12"), reserved(7, 5),
             flag("ih", 6, "only leaf entries have changed"), Field("am", 0, 6, "2^am pages", form="dec"))
IOTLB = Layout("IOTLB", 64, "VT-d 11.4.8.1", flag("ivt", 63, "1: invalidate the IOTLB; 0 when done"), reserved(62, 1),
               Field("iirg", 60, 2, "granularity asked for", names=_DONE), reserved(59, 1),
               Field("iaig", 57, 2, "granularity done", RO, names=_DONE), reserved(50, 7),
               flag("dr", 49, "drain reads"), flag("dw", 48, "drain writes"), Field("did", 32, 16, "domain"),
               reserved(0, 32))
IQH = Layout("IQH", 64, "VT-d 11.4.16", reserved(19, 45),
             Field("qh", 4, 15, "head, in units of 16 bytes", RO), reserved(0, 4))
IQT = Layout("IQT", 64, "VT-d 11.4.17", reserved(19, 45), Field("qt", 4, 15, "tail, in units of 16 bytes"),
             reserved(0, 4))
IQA = Layout("IQA", 64, "VT-d 11.4.18", Field("base", 12, 52, "queue base, bits 63:12"),
             flag("dw", 11, "descriptor width: 1 is 256 bits"), reserved(3, 8),
             Field("qs", 0, 3, "2^qs pages", form="dec"))
ICS = Layout("ICS", 32, "VT-d 11.4.19", reserved(1, 31), flag("iwc", 0, "a wait with IF has completed", W1C))
IQERCD = Layout("IQERCD", 64, "VT-d 11.4.25",
                Field("icesid", 48, 16, "requester of a device-TLB completion error", RO, "bdf"),
                Field("itesid", 32, 16, "requester of a device-TLB time-out", RO, "bdf"), reserved(4, 28),
                Field("iqei", 0, 4, "why the queue stopped", RO, names={
                    0: "no information", 1: "invalid tail pointer", 2: "descriptor fetch error",
                    3: "invalid descriptor type", 4: "reserved field", 5: "invalid descriptor width",
                    6: "misaligned tail", 7: "invalid translation mode"}))
IRTA = Layout("IRTA", 64, "VT-d 11.4.24", Field("base", 12, 52, "table base, bits 63:12"),
              flag("eime", 11, "extended interrupt mode: 32-bit destinations"), reserved(4, 7),
              Field("s", 0, 4, "2^(s+1) entries", form="dec"))

UNIT: tuple[tuple[int, int, str, Layout | None], ...] = (
    (0x000, 4, "VER", VER), (0x008, 8, "CAP", CAP), (0x010, 8, "ECAP", ECAP), (0x018, 4, "GCMD", GCMD),
    (0x01C, 4, "GSTS", GSTS), (0x020, 8, "RTADDR", RTADDR), (0x028, 8, "CCMD", CCMD), (0x034, 4, "FSTS", FSTS),
    (0x038, 4, "FECTL", FECTL), (0x03C, 4, "FEDATA", EVENT_DATA), (0x040, 4, "FEADDR", EVENT_ADDRESS),
    (0x044, 4, "FEUADDR", EVENT_UPPER), (0x058, 8, "AFLOG", None), (0x064, 4, "PMEN", None),
    (0x068, 4, "PLMBASE", None), (0x06C, 4, "PLMLIMIT", None), (0x070, 8, "PHMBASE", None),
    (0x078, 8, "PHMLIMIT", None), (0x080, 8, "IQH", IQH), (0x088, 8, "IQT", IQT), (0x090, 8, "IQA", IQA),
    (0x09C, 4, "ICS", ICS), (0x0A0, 4, "IECTL", IECTL), (0x0A4, 4, "IEDATA", EVENT_DATA),
    (0x0A8, 4, "IEADDR", EVENT_ADDRESS), (0x0AC, 4, "IEUADDR", EVENT_UPPER), (0x0B0, 8, "IQERCD", IQERCD),
    (0x0B8, 8, "IRTA", IRTA))
"""The register page of a unit: (offset in bytes, width in bytes, name, layout). Fault records come on top."""

OFFSET = {name: offset for offset, _, name, _ in UNIT}
"""Offset of each register by name."""

# --- local APIC (SDM 11.4; A 1, 5, 6) ---

APIC_BASE = Layout("IA32_APIC_BASE", 64, "SDM 11.4.4", reserved(52, 12),
                   Field("base", 12, 40, "window, bits 51:12", reset=0xFEE00), flag("en", 11, "enabled", reset=1),
                   flag("extd", 10, "x2APIC mode"), reserved(9, 1), flag("bsp", 8, "bootstrap processor", RO),
                   reserved(0, 8))
SVR = Layout("SVR", 32, "SDM 11.9", reserved(13, 19), flag("suppress", 12, "no EOI broadcast"), reserved(9, 3),
             flag("enable", 8, "software enable"), Field("vector", 0, 8, "spurious vector", reset=0xFF))
TPR = Layout("TPR", 32, "SDM 11.8.3", reserved(8, 24), Field("priority", 0, 8, "class 7:4, subclass 3:0"))
ESR = Layout("ESR", 32, "SDM 11.5.3", reserved(8, 24), flag("illegal_register", 7, "illegal register address", RO),
             flag("receive_illegal", 6, "vector below 16 received", RO),
             flag("send_illegal", 5, "vector below 16 sent", RO), flag("redirectable", 4, "lowest-priority IPI", RO),
             flag("receive_accept", 3, "P6 only", RO), flag("send_accept", 2, "P6 only", RO),
             flag("receive_checksum", 1, "P6 only", RO), flag("send_checksum", 0, "P6 only", RO))
ICR = Layout(
    "ICR", 64, "SDM 11.6.1", Field("dest", 32, 32, "x2APIC: destination; xAPIC: bits 31:24 of it"), reserved(20, 12),
    Field("shorthand", 18, 2, "", names={0: "none", 1: "self", 2: "all", 3: "all but self"}), reserved(16, 2),
    Field("tm", 15, 1, "trigger; counts for INIT only", names=TM_NAMES), flag("level", 14, "1 assert"),
    reserved(13, 1), flag("status", 12, "delivery status, xAPIC only", RO),
    Field("dm", 11, 1, "destination mode", names=DM_NAMES),
    Field("dlm", 8, 3, "delivery mode", names={**DLM_NAMES, 6: "SIPI", 7: "reserved"}),
    Field("vector", 0, 8, "vector"))


def _lvt(name: str, *fields: Field) -> Layout:
    free = 0xFFFFFFFF & ~sum(f.mask for f in fields)
    gaps, low = [], 0
    while low < 32:
        width = 0
        while low + width < 32 and free >> (low + width) & 1:
            width += 1
        if width:
            gaps.append(reserved(low, width))
        low += width + 1
    return Layout(name, 32, "SDM 11.5.1", *fields, *gaps)


_VECTOR = Field("vector", 0, 8, "vector")
_DLM = Field("dlm", 8, 3, "delivery mode", names=DLM_NAMES)
_STATUS = flag("status", 12, "delivery status", RO)
_MASK = flag("mask", 16, "1: masked", reset=1)
LVT_TIMER = _lvt("LVT timer", _VECTOR, _STATUS, _MASK, Field("mode", 17, 2, "", names={
    0: "one-shot", 1: "periodic", 2: "TSC deadline", 3: "reserved"}))
LVT_THERMAL = _lvt("LVT thermal, performance, CMCI", _VECTOR, _DLM, _STATUS, _MASK)
LVT_LINT = _lvt("LVT LINT0, LINT1", _VECTOR, _DLM, _STATUS, _MASK, flag("polarity", 13, "1 active low"),
                flag("irr", 14, "remote IRR", RO), Field("tm", 15, 1, "trigger", names=TM_NAMES))
LVT_ERROR = _lvt("LVT error", _VECTOR, _STATUS, _MASK)

# Registers that look different in the two modes: the xAPIC's form, and the x2APIC's.
APIC_ID = Layout("local APIC ID, xAPIC", 32, "SDM 11.4.6", Field("id", 24, 8, "APIC ID"), reserved(0, 24))
X2APIC_ID = Layout("local APIC ID, x2APIC", 32, "SDM 11.4.6", Field("id", 0, 32, "APIC ID", RO))
LDR = Layout("LDR, xAPIC", 32, "SDM 11.6.2", Field("id", 24, 8, "logical APIC ID, read as DFR says"),
             reserved(0, 24))
X2APIC_LDR = Layout("LDR, x2APIC", 32, "SDM 11.12.10.2", Field("cluster", 16, 16, "APIC ID bits 19:4", RO),
                    Field("member", 0, 16, "1 << APIC ID bits 3:0", RO))
DFR = Layout("DFR", 32, "SDM 11.6.2", Field("model", 28, 4, "how logical IDs are compared", reset=15,
                                             names={0: "cluster", 15: "flat"}),
             Field("ones", 0, 28, "read 1", RO, reset=(1 << 28) - 1))
APIC_VERSION = Layout(
    "local APIC version", 32, "SDM 11.4", reserved(25, 7), flag("suppress", 24, "EOI-broadcast suppression", RO),
    Field("last", 16, 8, "LVT entries minus 1", RO, "dec", reset=5), reserved(8, 8),
    Field("version", 0, 8, "0x10 to 0x15", RO, reset=0x14))
PPR = Layout("PPR, APR", 32, "SDM 11.8.3.1", reserved(8, 24), Field("priority", 0, 8, "class 7:4, subclass 3:0", RO))
EOI = Layout("EOI", 32, "SDM 11.8.5", Field("any", 0, 32, "any value; 0 in an x2APIC", WO))
VECTORS = Layout("ISR, TMR, IRR word", 32, "SDM 11.8.4", Field("bits", 0, 32, "bit n of word w: vector 32 * w + n", RO))
ICR_HIGH = Layout("ICR, high half, xAPIC", 32, "SDM 11.6.1", Field("dest", 24, 8, "destination"), reserved(0, 24))
SELF_IPI = Layout("SELF IPI", 32, "SDM 11.12", reserved(8, 24), Field("vector", 0, 8, "vector", WO))
TIMER_COUNT = Layout("timer count", 32, "SDM 11.5", Field("count", 0, 32, "0 stops; the current count is read-only"))
TIMER_DIVIDE = Layout(
    "timer divide", 32, "SDM 11.5", reserved(4, 28), reserved(2, 1),
    Field("divide", 0, 2, "bits 3, 1 and 0", more=((3, 1),),
          names={0: "2", 1: "4", 2: "8", 3: "16", 4: "32", 5: "64", 6: "128", 7: "1"}))

APIC: tuple[tuple[int, str, str, str, Layout | None], ...] = (
    (0x020, "ID", "RW", "RO", APIC_ID), (0x030, "VERSION", "RO", "RO", APIC_VERSION), (0x080, "TPR", "RW", "RW", TPR),
    (0x090, "APR", "RO", "", PPR), (0x0A0, "PPR", "RO", "RO", PPR), (0x0B0, "EOI", "WO", "WO", EOI),
    (0x0C0, "RRD", "RO", "", None), (0x0D0, "LDR", "RW", "RO", LDR), (0x0E0, "DFR", "RW", "", DFR),
    (0x0F0, "SVR", "RW", "RW", SVR),
    *((0x100 + 16 * word, f"ISR{word}", "RO", "RO", VECTORS) for word in range(8)),
    *((0x180 + 16 * word, f"TMR{word}", "RO", "RO", VECTORS) for word in range(8)),
    *((0x200 + 16 * word, f"IRR{word}", "RO", "RO", VECTORS) for word in range(8)),
    (0x280, "ESR", "RW", "RW", ESR), (0x2F0, "LVT_CMCI", "RW", "RW", LVT_THERMAL), (0x300, "ICR", "RW", "RW", ICR),
    (0x310, "ICR_HIGH", "RW", "", ICR_HIGH), (0x320, "LVT_TIMER", "RW", "RW", LVT_TIMER),
    (0x330, "LVT_THERMAL", "RW", "RW", LVT_THERMAL), (0x340, "LVT_PERFORMANCE", "RW", "RW", LVT_THERMAL),
    (0x350, "LVT_LINT0", "RW", "RW", LVT_LINT), (0x360, "LVT_LINT1", "RW", "RW", LVT_LINT),
    (0x370, "LVT_ERROR", "RW", "RW", LVT_ERROR), (0x380, "TIMER_INITIAL", "RW", "RW", TIMER_COUNT),
    (0x390, "TIMER_CURRENT", "RO", "RO", TIMER_COUNT), (0x3E0, "TIMER_DIVIDE", "RW", "RW", TIMER_DIVIDE),
    (0x3F0, "SELF_IPI", "", "WO", SELF_IPI))
"""Local APIC registers: (xAPIC offset, name, xAPIC access, x2APIC access, layout in xAPIC mode).

MSR = 0x800 + offset / 16."""

APIC_OFFSET = {name: offset for offset, name, _, _, _ in APIC}
"""Offset of each local APIC register by name."""
X2APIC_MSR = 0x800
"""The first MSR of an x2APIC, that of offset 0 (SDM 11.12.1.2)."""
APIC_MSR = {name: X2APIC_MSR + offset // 16 for name, offset in APIC_OFFSET.items()}
"""MSR of each local APIC register by name, in x2APIC mode (SDM 11.12.1.2)."""
APIC_BASE_MSR = 0x1B
"""IA32_APIC_BASE (SDM 11.4.4)."""

# --- I/O APIC (82093AA 3.2; A 7.1) ---

IOAPIC_ID = Layout("I/O APIC ID", 32, "82093AA 3.2.1", reserved(28, 4), Field("id", 24, 4, "I/O APIC ID"),
                   reserved(0, 24))
IOAPIC_VERSION = Layout("I/O APIC version", 32, "82093AA 3.2.2", reserved(24, 8),
                        Field("last", 16, 8, "pins minus 1", RO, "dec"), reserved(8, 8),
                        Field("version", 0, 8, "0x11, or 0x20 with an EOI register", RO))
IOAPIC_ARBITRATION = Layout("I/O APIC arbitration", 32, "82093AA 3.2", reserved(28, 4),
                            Field("id", 24, 4, "follows the ID", RO), reserved(0, 24))
IOREGSEL = Layout("IOREGSEL", 32, "82093AA 3.1", reserved(8, 24), Field("index", 0, 8, "register behind IOWIN"))
IOWIN = Layout("IOWIN", 32, "82093AA 3.1", Field("data", 0, 32, "the selected register"))
IOAPIC_EOI = Layout("I/O APIC EOI", 32, "A 7.1", reserved(8, 24),
                    Field("vector", 0, 8, "ends every level entry with this vector; version 0x20 and later", WO))

IOREDTBL = 0x10
"""Index of the lower half of pin 0's redirection entry; the upper half is one above, pin n's is 2n (82093AA 3.2.4)."""

# --- HPET timers (V 3.5) ---

HPET_CONFIG = Layout(
    "HPET timer configuration", 64, "V 3.5", Field("pins", 32, 32, "pins that it can be wired to", RO),
    reserved(16, 16), flag("fsb_cap", 15, "FSB delivery is offered", RO), flag("fsb_en", 14, "FSB delivery is on"),
    Field("pin", 9, 5, "pin that it is wired to", form="dec"), flag("narrow", 8, "32 bits are compared"),
    reserved(7, 1), flag("val_set", 6, "the next write sets the comparator itself"),
    flag("size_cap", 5, "64 bits are compared", RO), flag("per_cap", 4, "periodic is offered", RO),
    flag("periodic", 3, "periodic"), flag("enabled", 2, "it interrupts"),
    flag("level", 1, "level-triggered; counts for pins only"), reserved(0, 1))
HPET_ROUTE = Layout("HPET FSB route", 64, "V 3.5", Field("address", 32, 32, "address of the message"),
                    Field("data", 0, 32, "data of the message"))

HPET_GENERAL = Layout("HPET general configuration", 64, "V 3.5", reserved(2, 62),
                      flag("legacy", 1, "replaces the 8254 and the RTC; not modelled", RO),
                      flag("enable", 0, "the counter goes, and timers interrupt"))
HPET_COMPARATOR = Layout("HPET comparator", 64, "V 3.5", Field("count", 0, 64, "of the main counter", form="dec"))

HPET_ID = Layout("HPET event timer block ID", 32, "IA-PC HPET 1.0a, 3.2.4", Field("vendor", 16, 16, "PCI vendor"),
                 flag("legacy", 15, "can replace the 8254 and the RTC"), reserved(14, 1), flag("wide", 13, "64 bits"),
                 Field("last", 8, 5, "timers minus 1", form="dec"), Field("revision", 0, 8, "hardware revision"))

# --- the 8259A interrupt controller (its data sheet: initialization and operation command words) ---

PIC_COMMANDS = {0: "rotate with automatic EOI off", 1: "non-specific EOI", 2: "nothing", 3: "specific EOI",
                4: "rotate with automatic EOI on", 5: "non-specific EOI and rotate", 6: "set priority",
                7: "specific EOI and rotate"}
ICW1 = Layout("ICW1", 8, "8259A ICW1", reserved(5, 3), flag("init", 4, "1 begins the initialization"),
              flag("ltim", 3, "1 level-triggered inputs"), flag("adi", 2, "for other processors"),
              flag("sngl", 1, "1 one controller, no ICW3"), flag("ic4", 0, "1 ICW4 follows"))
ICW2 = Layout("ICW2", 8, "8259A ICW2", Field("base", 3, 5, "bits 7:3 of the vectors"), reserved(0, 3))
ICW4 = Layout("ICW4", 8, "8259A ICW4", reserved(5, 3), flag("sfnm", 4, "special fully nested mode"),
              Field("buffered", 2, 2, "buffered mode"), flag("aeoi", 1, "automatic EOI"), flag("upm", 0, "1 8086"))
OCW2 = Layout("OCW2", 8, "8259A OCW2", Field("command", 5, 3, "what is done", names=PIC_COMMANDS), reserved(3, 2),
              Field("irq", 0, 3, "the input that a specific command is for", form="dec"))
OCW3 = Layout("OCW3", 8, "8259A OCW3", reserved(7, 1), flag("esmm", 6, "smm is set"),
              flag("smm", 5, "special mask mode"), Field("kind", 3, 2, "1: this is OCW3", form="dec"),
              flag("poll", 2, "the next read acknowledges"), flag("rr", 1, "ris is set"),
              flag("ris", 0, "reads show ISR, else IRR"))

# --- PCI capabilities (PCI 6.8; A 8, 9) ---

MSI_CONTROL = Layout(
    "MSI message control", 16, "PCI 6.8.1.3", reserved(11, 5), flag("extended_enable", 10, "extended data on"),
    flag("extended", 9, "extended data capable", RO), flag("maskable", 8, "per-vector masking", RO),
    flag("wide", 7, "64-bit address", RO), Field("mme", 4, 3, "2^mme messages enabled", form="dec"),
    Field("mmc", 1, 3, "2^mmc messages capable", RO, "dec"), flag("enable", 0, "MSI enabled"))
MSIX_CONTROL = Layout(
    "MSI-X message control", 16, "PCI 6.8.2.3", flag("enable", 15, "MSI-X enabled"),
    flag("mask", 14, "function mask"), reserved(11, 3), Field("last", 0, 11, "table size minus 1", RO, "dec"))
_STEERING = "steering tag of TPH, where the function keeps its tags in the table; else 0"
MSIX_VECTOR_CONTROL = Layout("MSI-X vector control", 32, "PCI 6.8.2.9", Field("st", 16, 16, _STEERING),
                             reserved(1, 15), flag("mask", 0, "1: masked", reset=1))
MSIX_TABLE = Layout("MSI-X table and PBA offset", 32, "PCI 6.8.2.4", Field("offset", 3, 29, "offset / 8", RO),
                    Field("bir", 0, 3, "which BAR", RO, "dec"))
MSIX_ENTRY = Layout(
    "MSI-X table entry", 128, "PCI 6.8.2", Field("st", 112, 16, _STEERING), reserved(97, 15),
    flag("mask", 96, "1: masked", reset=1), Field("data", 64, 32, "message data"),
    Field("upper", 32, 32, "message address, bits 63:32"),
    Field("address", 2, 30, "message address, bits 31:2"), reserved(0, 2))
MSIX_CAPABILITY = Layout(
    "MSI-X capability", 96, "PCI 6.8.2", Field("pba", 64, 32, "see MSIX_TABLE", RO),
    Field("table", 32, 32, "see MSIX_TABLE", RO), Field("control", 16, 16, "see MSIX_CONTROL"),
    Field("next", 8, 8, "offset of the next capability", RO), Field("id", 0, 8, "0x11", RO, reset=0x11))


def _msi_capability(wide: bool, maskable: bool) -> Layout:
    data = 96 if wide else 64
    upper = (Field("upper", 64, 32, "message address, bits 63:32"),) if wide else ()
    masks = (reserved(data + 16, 16), Field("mask", data + 32, 32, "a mask bit for each message"),
             Field("pending", data + 64, 32, "a pending bit for each message", RO)) if maskable else ()
    return Layout(
        f"MSI capability, {64 if wide else 32} bits{', masking' if maskable else ''}", data + (96 if maskable else 16),
        "PCI 6.8.1", Field("id", 0, 8, "0x05", RO, reset=0x05),
        Field("next", 8, 8, "offset of the next capability", RO),
        Field("control", 16, 16, "see MSI_CONTROL"), reserved(32, 2), Field("address", 34, 30, "address, bits 31:2"),
        *upper, Field("data", data, 16, "message data; the low bits give way to the message's number"), *masks)


MSI_CAPABILITY = {(wide, maskable): _msi_capability(wide, maskable) for wide in (False, True)
                  for maskable in (False, True)}
"""The four forms of the MSI capability, by (64-bit address, per-vector masking): 10, 14, 20 and 24 bytes."""

PCI_STATUS = Layout("PCI status", 16, "PCI 6.2", Field("other5", 5, 11, "not interrupts", RO),
                    flag("capabilities", 4, "there is a list of capabilities", RO), flag("intx", 3, "INTx status", RO),
                    Field("other0", 0, 3, "not interrupts", RO))
PCI_COMMAND = Layout(
    "PCI command", 16, "PCI 6.2.2", reserved(11, 5), flag("intx_off", 10, "INTx disable"),
    Field("other3", 3, 7, "not interrupts"), flag("master", 2, "bus master: messages may go out"),
    flag("memory", 1, "memory decoding"), flag("io", 0, "I/O decoding"))

RTE_RESET = RTE.reset
"""A redirection entry after reset: masked, all else 0."""
