"""Texts of one small machine, made here: four processors, one unit, a NIC below a port, an I/O APIC. They agree.

    texts = machine()                       # {"irq": ..., "table": ..., ...}
    texts["table"] = texts["table"].replace(...)
"""

from vsim.findings.catalogue import examine
from vsim.findings.picture import Picture
from vsim.layouts.formats import IRTE
from vsim.readers import acpi_dmar, acpi_madt

BASE, IOAPIC_RID, NIC = 0xFED90000, 0xF0F8, 0x0100
CPUS = (0, 2, 4, 6)
"""APIC IDs."""
INTERRUPTS = ((24, 0, 1, 33), (25, 1, 2, 34), (26, 2, 3, 35))
"""(irq, entry, CPU, vector) of the NIC's messages."""


def dumped(name: str, data: bytes) -> str:
    """A table as acpidump prints it."""
    rows = (f"    {at:04X}: {data[at:at + 16].hex(' ').upper()}  ." for at in range(0, len(data), 16))
    return "\n".join([f"{name} @ 0x0000000000000000", *rows, ""])


def irq(number: int, entry: int, cpu: int, vector: int, address: int | None = None) -> str:
    """One file of /sys/kernel/debug/irq/irqs."""
    low = 0xFEE00000 | (entry & 0x7FFF) << 5 | 0x18 if address is None else address
    remapped = f""" parent:
    domain:  INTEL-IR-0-13
     hwirq:   {entry << 16:#x}
     chip:    INTEL-IR
      flags:   0x0
     parent:
        domain:  VECTOR
         hwirq:   {number:#x}
         chip:    APIC
         Vector:    {vector}
         Target:     {cpu}
         move_in_progress: 0
""" if low & 0x10 else f""" parent:
    domain:  VECTOR
     hwirq:   {number:#x}
     chip:    APIC
     Vector:    {vector}
     Target:     {cpu}
     move_in_progress: 0
"""
    return f"""--- irq {number}
handler:  handle_edge_irq
device:   0000:01:00.0
status:   0x00004000
dstate:   0x19609200
            IRQD_ACTIVATED
            IRQD_IRQ_STARTED
affinity: 0-3
effectiv: {cpu}
domain:  {"IR-" if low & 0x10 else ""}PCI-MSIX-0000:01:00.0-12
 hwirq:   {entry:#x}
 chip:    IR-PCI-MSIX-0000:01:00.0
  flags:   0x430
  address_hi: 0x00000000
  address_lo: {low:#010x}
  msg_data:   0x00000000
{remapped}"""


def row(index: int, **fields: int) -> str:
    """One row of ir_translation_struct."""
    word = IRTE.make(p=1, **({"svt": 1, "sid": NIC} | fields))
    fields = IRTE.split(word)
    sid = fields["sid"]
    return (f" {index:<5d} {sid >> 8:02x}:{sid >> 3 & 31:02x}.{sid & 7} {fields['dst']:08x} {fields['vector']:02x} "
            f"{word >> 64:016x}\t{word & (1 << 64) - 1:016x}\n")


def table(*rows: str) -> str:
    """ir_translation_struct of one unit."""
    return ("Remapped Interrupt supported on IOMMU: dmar0\n IR table address:2600000\n"
            " Entry SrcID   DstID    Vct IRTE_high\t\tIRTE_low\n" + "".join(rows) + "\n****\n")


ROWS = tuple(row(entry, vector=vector, dst=CPUS[cpu]) for _, entry, cpu, vector in INTERRUPTS)
PIN_ROW = row(9, sid=IOAPIC_RID, vector=48, dst=0)
MATRIX = """--- domain VECTOR
name:   VECTOR
 size:   0
 mapped: 5
 flags:  0x00000103
Online bitmaps:        4
Global available:    800
Global reserved:       1
Total allocated:       5
System: 29: 0-17,19,50,236,246-248,251-255
     | CPU | avl | man | mac | act | vectors
         0   200     1     1    1  48
         1   198     1     1    2  32-33
         2   198     1     1    2  32,34
         3   198     1     1    2  32,35
"""
REGISTERS = """IOMMU: dmar0 Register Base Address: fed90000
Name\t\t\tOffset\t\tContents
VER             \t0x00\t\t0x0000000000000010
GSTS            \t0x1c\t\t0x00000000c7000000
FSTS            \t0x34\t\t0x0000000000000000
CAP             \t0x08\t\t0x00d2008c222f0606
ECAP            \t0x10\t\t0x0000000000f00f5a
IRTA            \t0xb8\t\t0x000000000260080f
"""
LSPCI = """00:00.0 Host bridge: H
\tControl: I/O+ Mem+

00:1c.0 PCI bridge: P
\tControl: I/O+ Mem+
\tInterrupt: pin A routed to IRQ 16
\tBus: primary=00, secondary=01, subordinate=01, sec-latency=0
\tCapabilities: [40] Express (v2) Root Port (Slot+), MSI 00

01:00.0 Ethernet controller: N
\tControl: I/O+ Mem+
\tInterrupt: pin A routed to IRQ 16
\tCapabilities: [70] MSI-X: Enable+ Count=3 Masked-
\tCapabilities: [a0] Express (v2) Endpoint, MSI 00
"""
LOG = """[    0.000000] Linux version 6.12.0
[    0.200000] DMAR: Host address width 39
[    0.200001] DMAR: DRHD base: 0x000000fed90000 flags: 0x1
[    0.200002] DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap d2008c222f0606 ecap f00f5a
[    0.200003] DMAR-IR: IOAPIC id 2 under DRHD base  0xfed90000 IOMMU 0
[    0.300000] DMAR-IR: Enabled IRQ remapping in x2apic mode
[    1.000000] smp: Brought up 1 node, 4 CPUs
"""
COUNTS = """            CPU0       CPU1       CPU2       CPU3
  4:          9          0          0          0  IR-IO-APIC    4-edge      ttyS0
 24:          0          5          0          0  IR-PCI-MSIX-0000:01:00.0    0-edge      n-0
 25:          0          0          5          0  IR-PCI-MSIX-0000:01:00.0    1-edge      n-1
 26:          0          0          0          5  IR-PCI-MSIX-0000:01:00.0    2-edge      n-2
NMI:          0          0          0          0   Non-maskable interrupts
"""


def cpuid(ids: tuple[int, ...] = CPUS) -> str:
    """CPUID of each processor."""
    return "".join(f"CPU {number}:\n   0x0000000b 0x00: eax=0x00000001 ebx=0x00000002 ecx=0x00000100 "
                   f"edx=0x{apic_id:08x}\n" for number, apic_id in enumerate(ids))


def dmar(flags: int = 1, ioapic: int = 2, base: int = BASE, everything: bool = True, units: int = 1) -> str:
    """The DMAR table."""
    unit = acpi_dmar.unit(base, [acpi_dmar.scope_of(3, IOAPIC_RID, ioapic)], everything)
    parts = [unit] if units == 1 else [acpi_dmar.unit(base, [acpi_dmar.scope_of(1, 0x10)]), unit]
    return dumped("DMAR", bytes(acpi_dmar.table(parts, flags=flags)))


def madt(ids: tuple[int, ...] = CPUS) -> str:
    """The MADT."""
    entries = [*(acpi_madt.entry(0 if apic_id <= 0xFF else 9, uid=uid, id=apic_id, flags=1)
                 for uid, apic_id in enumerate(ids)), acpi_madt.entry(1, id=2, address=0xFEC00000)]
    return dumped("APIC", bytes(acpi_madt.table(entries)))


def machine() -> dict[str, str]:
    """All texts, by name; they agree."""
    return {"irq": "".join(irq(*each) for each in INTERRUPTS), "table": table(*ROWS, PIN_ROW), "matrix": MATRIX,
            "registers": REGISTERS, "lspci": LSPCI, "log": LOG, "counts": COUNTS, "cpuid": cpuid(), "dmar": dmar(),
            "madt": madt()}


def large_host() -> Picture:
    """The dumps of a host of 16 units, 144 processors, 17 I/O APICs and 400 functions, put together."""
    units = [acpi_dmar.unit(0xD0000000 + 0x1000 * n, [acpi_dmar.scope_of(2, 8 * n)], n == 15) for n in range(16)]
    functions = "".join(
        f"00:{n:02x}.0 PCI bridge: P{n}\n\tControl: I/O+\n\tBus: primary=00, secondary={n + 1:02x}, "
        f"subordinate={n + 1:02x}, sec-latency=0\n\tCapabilities: [40] Express (v2) Root Port (Slot+)\n\n"
        for n in range(16))
    functions += "".join(
        f"{n % 16 + 1:02x}:{n // 128:02x}.{n // 16 % 8} NIC: N{n}\n\tControl: I/O+\n\tCapabilities: [70] "
        f"MSI-X: Enable+ Count=64 Masked-\n\tCapabilities: [a0] Express (v2) Endpoint\n\n" for n in range(384))
    entries = [*(acpi_madt.entry(0 if n < 128 else 9, uid=n, id=2 * n, flags=1) for n in range(144)),
               *(acpi_madt.entry(1, id=8 + n, address=0xFEC00000 + 0x1000 * n, gsi=14 * n) for n in range(17))]
    return examine([("dmar", bytes(acpi_dmar.table(units))), ("lspci", functions),
                    ("madt", bytes(acpi_madt.table(entries)))]).picture
