"""A QEMU that does as a test wants: `python fake_qemu.py MODE ARGUMENTS`. No machine runs; a trace is written.

Modes: boot (powers off), xen (the same, and a Xen that answers keys), cut (it ends behind the first print), panic
(the kernel gives up), poor (it cannot tell its devices), old (boot
as version 7.2), wait (never ends by itself), flood (writes without end), broken (ends at once, with a word), other
(something else of that name), endless (says its version for ever).
"""

import sys
import time

UNIT = 0xFED90000
ENTRY = "index 5 high 0x40018 low 0x100410001"
DUMP = b"=== proc-interrupts-boot\n  0: 1 <b>\n=== end\n"


def argument(name):
    """The word behind an option."""
    return sys.argv[sys.argv.index(name) + 1]


def console(text):
    """A text on the serial line, as it is traced."""
    return [f"1@7.0:memory_region_ops_write cpu 0 mr 0x9 addr 0x3f8 value {ord(letter):#x} size 1 name 'serial'"
            for letter in text + "\r\n"]


def unit(offset, size, value):
    """A write to a register of the unit."""
    return (f"1@7.000100:memory_region_ops_write cpu 0 mr 0x1 addr {UNIT + offset:#x} value {value:#x} size {size} "
            f"name 'intel_iommu'")


def message(thread="9"):
    """A message of the first function through entry 5."""
    return [f"{thread}@7.000200:vtd_ir_remap_msi_req addr 0xfee000b0 data 0x0",
            f"{thread}@7.000201:vtd_ir_irte_get {ENTRY}",
            f"{thread}@7.000202:vtd_ir_remap index 5 trig 0 vector 65 deliver 0 dest 1 mode 0",
            f"{thread}@7.000203:vtd_ir_remap_type MSI",
            f"{thread}@7.000204:vtd_ir_remap_msi (addr 0xfee000b0, data 0x0) -> (addr 0xfee01000, data 0x41)"]


def boot(plugin, mode):
    """The lines of a short run."""
    yield from ("V 0 1", "V 1 2") if plugin else ()
    yield from console("[    0.1] Linux version 6 <b>")
    yield "2@7.000050:apic_register_write register 0x0f = 0x1ff"
    yield "1@7.000060:pci_cfg_write nvme 00:03.0 @0x54 <- 0xfee000b0"
    yield "1@7.000061:pci_cfg_write nvme 00:03.0 @0x5c <- 0x0"
    yield unit(0xB8, 8, 0x100000 | 1 << 11 | 7)
    yield unit(0x18, 4, 1 << 24)
    yield unit(0x90, 8, 0x200000)
    yield unit(0x18, 4, 1 << 26)
    yield unit(0x18, 4, 1 << 26 | 1 << 25)
    if plugin:
        yield "L 0 r8 0xfed90008 0xd2008c222f0606"
        yield "L 0 r8 0xfed90010 0xf00f5a"
        yield "G 0 w8 0x100050 0x100410001"
        yield "G 0 w8 0x100058 0x40018"
        yield "G 0 w16 0x200000 0x4"
    yield unit(0x88, 4, 16)
    yield "1@7.000101:vtd_inv_desc invalidate desc type iec high 0x0 low 0x4"
    yield "1@7.000102:vtd_inv_desc_iec granularity 0 index 0 mask 0"
    yield from message()
    yield from ("T 1 65",) if plugin else ()
    yield "2@7.000300:apic_register_write register 0x0b = 0x0"
    yield from talk(mode == "cut") if mode in ("xen", "cut") else ()
    for number in range(1, 3 if mode == "panic" else 10):
        yield from console(f"vsim: stage {number} of 9: x")
    yield from console("[    3.1] Kernel panic - not syncing: \x1b[31m<b>") if mode == "panic" else ()


def talk(cut):
    """The lines of a Xen on the serial line while dom0 waits; what is typed comes through a pipe, as QEMU has it."""
    from xen_console import XenConsole
    xen = XenConsole()
    yield from console("[    1.0] vsim: keys boot")
    with open(argument("-chardev").split("path=")[1] + ".in", "rb", buffering=0) as keys:
        while not xen.dom0:
            for text in xen.type(keys.read(1)):
                yield from console(text)
            if cut and xen.heard:
                sys.exit(1)


def main():
    """Answer, or run."""
    mode = sys.argv.pop(1)
    if "--version" in sys.argv:
        while mode == "endless":
            print("x" * 4096)
        print({"other": "a poem", "old": "QEMU emulator version 7.2.0"}.get(mode, "QEMU emulator version 10.0.2 (x)"))
        return 0
    if argument("-device") == "help":
        if mode == "poor":
            print("failed to open module <b>", file=sys.stderr)
            return 134
        print('name "nvme", bus PCI\nname "edu", bus PCI\nname "e1000e", bus PCI')
        return 0
    if mode == "broken" or (mode == "old" and ("eim=on" in str(sys.argv) or "x2apic" in argument("-cpu"))):
        print("warning: a feature is not there", file=sys.stderr)
        print("no such accelerator \x1b[31m", file=sys.stderr)
        return 1
    disk = next(word for word in sys.argv if word.startswith("if=none")).split("file=")[1].split(",")[0]
    with open(disk, "r+b") as stream:
        stream.seek(8 << 20)
        stream.write(DUMP)
    with open(argument("-D"), "w", encoding="utf-8") as trace:
        for line in boot("-plugin" in sys.argv, mode):
            print(line, file=trace, flush=True)
        while mode == "flood":
            print("9@8.000000:ioapic_set_irq vector: 4 level: 1", file=trace)
        if mode == "wait":
            time.sleep(600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
