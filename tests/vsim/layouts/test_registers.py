"""The registers, bit by bit against the reference tables (V 1; A 1, 2, 5, 6, 7, 8, 9; X 3.2)."""

import pytest

from vsim.layouts import registers
from vsim.layouts.bits import Access, Layout, get, put
from vsim.layouts.registers import APIC, APIC_OFFSET, CAP, ECAP, MSI_CAPABILITY, OFFSET, TIMER_DIVIDE, UNIT

# Fields as "bits name access", access a letter: w read-write, r read-only, o write-only, c write 1 to clear; a dash
# alone is a reserved range.
PLACES = [
    ("V 1.3", "VER", "31:8 -, 7:4 major r, 3:0 minor r"),
    ("V 1.4", "GCMD", "31 te o, 30 srtp o, 29 sfl o, 28 eafl o, 27 wbf o, 26 qie o, 25 ire o, 24 sirtp o, 23 cfi o, "
                      "22:0 -"),
    ("V 1.4", "GSTS", "31 tes r, 30 rtps r, 29 fls r, 28 afls r, 27 wbfs r, 26 qies r, 25 ires r, 24 irtps r, "
                      "23 cfis r, 22:0 -"),
    ("V 1.5", "FSTS", "31:16 -, 15:8 fri r, 7 pro c, 6 ite c, 5 ice c, 4 iqe c, 3 apf c, 2 afo c, 1 ppf r, 0 pfo c"),
    ("V 1.5", "FECTL", "31 im w, 30 ip r, 29:0 -"),
    ("V 1.5", "EVENT_DATA", "31:16 old w, 15:0 data w"),
    ("V 1.5", "EVENT_ADDRESS", "31:2 address w, 1:0 -"),
    ("V 1.5", "EVENT_UPPER", "31:8 id w, 7:0 -"),
    ("V 1.7", "IQH", "63:19 -, 18:4 qh r, 3:0 -"),
    ("V 1.7", "IQT", "63:19 -, 18:4 qt w, 3:0 -"),
    ("V 1.7", "IQA", "63:12 base w, 11 dw w, 10:3 -, 2:0 qs w"),
    ("V 1.7", "ICS", "31:1 -, 0 iwc c"),
    ("V 1.7", "IECTL", "31 im w, 30 ip r, 29:0 -"),
    ("V 1.7", "IQERCD", "63:48 icesid r, 47:32 itesid r, 31:4 -, 3:0 iqei r"),
    ("V 1.7", "IRTA", "63:12 base w, 11 eime w, 10:4 -, 3:0 s w"),
    ("V 3.5", "HPET_CONFIG", "63:32 pins r, 31:16 -, 15 fsb_cap r, 14 fsb_en w, 13:9 pin w, 8 narrow w, 7 -, "
                              "6 val_set w, 5 size_cap r, 4 per_cap r, 3 periodic w, 2 enabled w, 1 level w, 0 -"),
    ("V 3.5", "HPET_GENERAL", "63:2 -, 1 legacy r, 0 enable w"),
    ("V 3.5", "HPET_COMPARATOR", "63:0 count w"),
    ("V 3.5", "HPET_ROUTE", "63:32 address w, 31:0 data w"),
    ("8259A ICW1", "ICW1", "7:5 -, 4 init w, 3 ltim w, 2 adi w, 1 sngl w, 0 ic4 w"),
    ("8259A ICW2", "ICW2", "7:3 base w, 2:0 -"),
    ("8259A ICW4", "ICW4", "7:5 -, 4 sfnm w, 3:2 buffered w, 1 aeoi w, 0 upm w"),
    ("8259A OCW2", "OCW2", "7:5 command w, 4:3 -, 2:0 irq w"),
    ("8259A OCW3", "OCW3", "7 -, 6 esmm w, 5 smm w, 4:3 kind w, 2 poll w, 1 rr w, 0 ris w"),
    ("A 1", "APIC_ID", "31:24 id w, 23:0 -"),
    ("A 1", "X2APIC_ID", "31:0 id r"),
    ("A 1", "APIC_VERSION", "31:25 -, 24 suppress r, 23:16 last r, 15:8 -, 7:0 version r"),
    ("A 1", "TPR", "31:8 -, 7:0 priority w"),
    ("A 1", "PPR", "31:8 -, 7:0 priority r"),
    ("A 1", "EOI", "31:0 any o"),
    ("A 1", "LDR", "31:24 id w, 23:0 -"),
    ("A 3", "X2APIC_LDR", "31:16 cluster r, 15:0 member r"),
    ("A 1", "DFR", "31:28 model w, 27:0 ones r"),
    ("A 1", "SVR", "31:13 -, 12 suppress w, 11:9 -, 8 enable w, 7:0 vector w"),
    ("A 1", "VECTORS", "31:0 bits r"),
    ("A 4.1", "ESR", "31:8 -, 7 illegal_register r, 6 receive_illegal r, 5 send_illegal r, 4 redirectable r, "
                     "3 receive_accept r, 2 send_accept r, 1 receive_checksum r, 0 send_checksum r"),
    ("A 2", "APIC_BASE", "63:52 -, 51:12 base w, 11 en w, 10 extd w, 9 -, 8 bsp r, 7:0 -"),
    ("A 5", "LVT_TIMER", "31:19 -, 18:17 mode w, 16 mask w, 15:13 -, 12 status r, 11:8 -, 7:0 vector w"),
    ("A 5", "LVT_THERMAL", "31:17 -, 16 mask w, 15:13 -, 12 status r, 11 -, 10:8 dlm w, 7:0 vector w"),
    ("A 5", "LVT_LINT", "31:17 -, 16 mask w, 15 tm w, 14 irr r, 13 polarity w, 12 status r, 11 -, 10:8 dlm w, "
                        "7:0 vector w"),
    ("A 5", "LVT_ERROR", "31:17 -, 16 mask w, 15:13 -, 12 status r, 11:8 -, 7:0 vector w"),
    ("A 5", "TIMER_COUNT", "31:0 count w"),
    ("A 5", "TIMER_DIVIDE", "31:4 -, 3+1:0 divide w, 2 -"),
    ("A 6", "ICR", "63:32 dest w, 31:20 -, 19:18 shorthand w, 17:16 -, 15 tm w, 14 level w, 13 -, 12 status r, "
                   "11 dm w, 10:8 dlm w, 7:0 vector w"),
    ("A 6", "ICR_HIGH", "31:24 dest w, 23:0 -"),
    ("A 6", "SELF_IPI", "31:8 -, 7:0 vector o"),
    ("A 7.1", "IOREGSEL", "31:8 -, 7:0 index w"),
    ("A 7.1", "IOWIN", "31:0 data w"),
    ("A 7.1", "IOAPIC_EOI", "31:8 -, 7:0 vector o"),
    ("A 7.1", "IOAPIC_ID", "31:28 -, 27:24 id w, 23:0 -"),
    ("A 7.1", "IOAPIC_VERSION", "31:24 -, 23:16 last r, 15:8 -, 7:0 version r"),
    ("A 7.1", "IOAPIC_ARBITRATION", "31:28 -, 27:24 id r, 23:0 -"),
    ("A 8", "MSI_CONTROL", "15:11 -, 10 extended_enable w, 9 extended r, 8 maskable r, 7 wide r, 6:4 mme w, 3:1 mmc r, "
                           "0 enable w"),
    ("A 9", "MSIX_CONTROL", "15 enable w, 14 mask w, 13:11 -, 10:0 last r"),
    ("A 9", "MSIX_TABLE", "31:3 offset r, 2:0 bir r"),
    ("A 9", "MSIX_CAPABILITY", "95:64 pba r, 63:32 table r, 31:16 control w, 15:8 next r, 7:0 id r"),
    ("A 9", "MSIX_ENTRY", "127:112 st w, 111:97 -, 96 mask w, 95:64 data w, 63:32 upper w, 31:2 address w, 1:0 -"),
    ("A 9", "MSIX_VECTOR_CONTROL", "31:16 st w, 15:1 -, 0 mask w"),
]
LETTER = {Access.RW: "w", Access.RO: "r", Access.WO: "o", Access.W1C: "c"}


def places(layout):
    return {(f.bits.replace(", ", "+"), "-") if f.access is Access.RSVD else
            (f.bits.replace(", ", "+"), f.name, LETTER[f.access]) for f in layout.fields}


def as_written(text):
    return {tuple(part.split()) for part in text.split(", ")}


@pytest.mark.parametrize("section, name, text", PLACES, ids=[row[1] for row in PLACES])
def test_every_field_is_where_the_reference_has_it(section, name, text):
    assert places(getattr(registers, name)) == as_written(text), section


CAP_PLACES = ("2:0 nd, 3 afl, 4 rwbf, 5 plmr, 6 phmr, 7 cm, 12:8 sagaw, 21:16 mgaw, 22 zlr, 23 dep23, 33:24 fro, "
              "37:34 sllps, 39 psi, 47:40 nfr, 53:48 mamv, 54 dwd, 55 drd, 56 fs1gp, 59 pi, 60 fs5lp, 61 ecmds, "
              "62 esirtps, 63 esrtps")
ECAP_PLACES = ("0 c, 1 qi, 2 dt, 3 ir, 4 eim, 6 pt, 7 sc, 17:8 iro, 23:20 mhmv, 25 mts, 26 nest, 29 prs, 42 pds, "
               "43 smts, 52 adms")


@pytest.mark.parametrize("layout, text", [(CAP, CAP_PLACES), (ECAP, ECAP_PLACES)], ids=["CAP", "ECAP"])
def test_every_capability_is_where_the_reference_has_it(layout, text):
    """V 1.3 names these; what it does not name is reserved or no matter of interrupt remapping."""
    named = {(f.bits, f.name) for f in layout if not f.name.startswith(("other", "dep5"))}
    assert named == as_written(text)
    assert {f.access for f in layout} == {Access.RO}


@pytest.mark.parametrize("cap, fields", [
    (0x22260286, {"nd": 6, "cm": 1, "sagaw": 2, "mgaw": 38, "fro": 0x22}),                           # design.md 4
    (0x000000000C260206, {"nd": 6, "sagaw": 2, "mgaw": 38, "fro": 0xC}),                             # X 3.3, v4
    (0x0000000022260206, {"nd": 6, "sagaw": 2, "mgaw": 38, "fro": 0x22}),                            # X 3.3, v3
    (0x0000000C22260206, {"nd": 6, "sagaw": 2, "mgaw": 38, "fro": 0x22, "sllps": 3}),                # X 3.3, v1
])
def test_what_the_units_say_of_themselves(cap, fields):
    assert CAP.make(**fields) == cap


@pytest.mark.parametrize("ecap, fields", [
    (0xF0001A, {"qi": 1, "ir": 1, "eim": 1, "mhmv": 15}), (0x1A, {"qi": 1, "ir": 1, "eim": 1}),
])
def test_what_the_units_say_of_themselves_further(ecap, fields):
    assert ECAP.make(**fields) == ecap


# V 1.1: offset, width in bits, name. FRCD follows CAP.FRO; the rows of page requests, MTRRs and the IOTLB need
# capabilities that an interrupt-remapping unit does not have.
MAP = """000 32 VER, 008 64 CAP, 010 64 ECAP, 018 32 GCMD, 01c 32 GSTS, 020 64 RTADDR, 028 64 CCMD, 034 32 FSTS,
038 32 FECTL, 03c 32 FEDATA, 040 32 FEADDR, 044 32 FEUADDR, 058 64 AFLOG, 064 32 PMEN, 068 32 PLMBASE,
06c 32 PLMLIMIT, 070 64 PHMBASE, 078 64 PHMLIMIT, 080 64 IQH, 088 64 IQT, 090 64 IQA, 09c 32 ICS, 0a0 32 IECTL,
0a4 32 IEDATA, 0a8 32 IEADDR, 0ac 32 IEUADDR, 0b0 64 IQERCD, 0b8 64 IRTA"""

# X 3.2: offset and bytes of what the Xen unit emulates.
XEN = """00 4 VER, 08 8 CAP, 10 8 ECAP, 18 4 GCMD, 1C 4 GSTS, 20 8 RTADDR, 28 8 CCMD, 34 4 FSTS, 38 4 FECTL,
3C 4 FEDATA, 40 4 FEADDR, 44 4 FEUADDR, 80 8 IQH, 88 8 IQT, 90 8 IQA, 9C 4 ICS, A0 4 IECTL, A4 4 IEDATA, A8 4 IEADDR,
AC 4 IEUADDR, B8 8 IRTA"""


def rows(text):
    return [part.split() for part in text.replace("\n", " ").split(", ")]


def test_the_unit_has_the_registers_of_the_map():
    expected = {(int(offset, 16), int(bits) // 8, name) for offset, bits, name in rows(MAP)}
    assert {(offset, width, name) for offset, width, name, _ in UNIT} == expected


def test_the_registers_of_the_xen_unit_are_where_the_map_has_them():
    unit = {name: (offset, width) for offset, width, name, _ in UNIT}
    assert {name: unit[name] for _, _, name in rows(XEN)} == {
        name: (int(offset, 16), int(width)) for offset, width, name in rows(XEN)}


def test_registers_do_not_overlap():
    bytes_ = [place for offset, width, _, _ in UNIT for place in range(offset, offset + width)]
    assert len(bytes_) == len(set(bytes_))


def test_a_registers_layout_has_the_registers_width():
    assert [name for _, width, name, layout in UNIT if layout and layout.width != 8 * width] == []


# A 1: offset, name, access through the window, access as an MSR; an empty access is written "none".
LOCAL_APIC = """020 ID RW RO, 030 VERSION RO RO, 080 TPR RW RW, 090 APR RO none, 0a0 PPR RO RO, 0b0 EOI WO WO,
0c0 RRD RO none, 0d0 LDR RW RO, 0e0 DFR RW none, 0f0 SVR RW RW, 280 ESR RW RW, 2f0 LVT_CMCI RW RW, 300 ICR RW RW,
310 ICR_HIGH RW none, 320 LVT_TIMER RW RW, 330 LVT_THERMAL RW RW, 340 LVT_PERFORMANCE RW RW, 350 LVT_LINT0 RW RW,
360 LVT_LINT1 RW RW, 370 LVT_ERROR RW RW, 380 TIMER_INITIAL RW RW, 390 TIMER_CURRENT RO RO, 3e0 TIMER_DIVIDE RW RW,
3f0 SELF_IPI none WO"""


def test_the_local_apic_has_the_registers_of_the_table():
    expected = {(int(offset, 16), name, *("" if access == "none" else access for access in (window, msr)))
                for offset, name, window, msr in rows(LOCAL_APIC)}
    for first, name in ((0x100, "ISR"), (0x180, "TMR"), (0x200, "IRR")):
        expected |= {(first + 16 * word, f"{name}{word}", "RO", "RO") for word in range(8)}
    assert {row[:4] for row in APIC} == expected


@pytest.mark.parametrize("name, msr", [("ID", 0x802), ("LDR", 0x80D), ("ISR7", 0x817), ("TMR0", 0x818), ("IRR7", 0x827),
                                       ("ESR", 0x828), ("ICR", 0x830), ("LVT_ERROR", 0x837), ("SELF_IPI", 0x83F)])
def test_the_msr_of_an_x2apic_register_follows_from_its_offset(name, msr):
    assert 0x800 + APIC_OFFSET[name] // 16 == msr


RESETS = {"FECTL": 1 << 31, "IECTL": 1 << 31, "GSTS": 0, "IRTA": 0, "SVR": 0xFF, "DFR": 0xFFFFFFFF,
          "LVT_TIMER": 0x10000, "LVT_THERMAL": 0x10000, "LVT_LINT": 0x10000, "LVT_ERROR": 0x10000, "TPR": 0,
          "APIC_BASE": 0xFEE00800,
          "APIC_VERSION": 0x00050014, "VER": 0x10, "MSIX_VECTOR_CONTROL": 1, "MSIX_ENTRY": 1 << 96,
          "RTE_RESET": 0x10000}


@pytest.mark.parametrize("name, value", RESETS.items())
def test_what_a_register_holds_after_reset(name, value):
    found = getattr(registers, name)
    assert (found.reset if isinstance(found, Layout) else found) == value


@pytest.mark.parametrize("name, mask", [
    ("IRTA", 0xFFFFFFFFFFFFF80F), ("IQA", 0xFFFFFFFFFFFFF807), ("IQT", 0x7FFF0),                       # V 1.2
    ("LVT_TIMER", 0x700FF), ("LVT_THERMAL", 0x107FF), ("LVT_LINT", 0x1A7FF), ("LVT_ERROR", 0x100FF),   # A 5
    ("ICR", 0xFFFFFFFF_000CCFFF), ("TIMER_DIVIDE", 0xB),                                               # A 1
])
def test_what_a_plain_write_stores(name, mask):
    assert getattr(registers, name).writable == mask


def test_fsts_clears_what_v_1_5_allows():
    assert registers.FSTS.w1c == 0xFD


def test_one_shot_commands_are_those_that_the_driver_masks_off():
    assert ~registers.ONE_SHOT & 0xFFFFFFFF == 0x96FFFFFF


@pytest.mark.parametrize("bits, divisor", [(0b0000, 2), (0b0001, 4), (0b0010, 8), (0b0011, 16), (0b1000, 32),
                                           (0b1001, 64), (0b1010, 128), (0b1011, 1)])
def test_the_timer_divides_by_bits_3_1_and_0(bits, divisor):
    assert TIMER_DIVIDE.divide.names[get(bits, TIMER_DIVIDE.divide)] == str(divisor)
    assert put(0, TIMER_DIVIDE.divide, get(bits, TIMER_DIVIDE.divide)) == bits


# A 8: (64-bit, masking): bytes, and the byte offsets of data, mask and pending bits.
@pytest.mark.parametrize("wide, maskable, size, data, mask, pending", [
    (False, False, 0x0A, 8, None, None), (True, False, 0x0E, 12, None, None),
    (False, True, 0x14, 8, 12, 16), (True, True, 0x18, 12, 16, 20),
])
def test_the_four_forms_of_the_msi_capability(wide, maskable, size, data, mask, pending):
    layout = MSI_CAPABILITY[wide, maskable]
    at = {f.name: f.low // 8 for f in layout}
    assert layout.width == 8 * size
    assert (at["id"], at["next"], at["control"], at["address"], at["data"]) == (0, 1, 2, 4, data)
    assert (at.get("upper"), at.get("mask"), at.get("pending")) == (8 if wide else None, mask, pending)
    assert layout.reset == 0x05


def test_intx_is_switched_off_by_command_bit_10_and_shown_by_status_bit_3():
    assert (registers.PCI_COMMAND.intx_off.bits, registers.PCI_STATUS.intx.bits) == ("10", "3")
    assert (registers.PCI_COMMAND.memory.bits, registers.PCI_COMMAND.master.bits) == ("1", "2")


def test_the_offsets_by_name_are_those_of_the_map():
    assert (OFFSET["IRTA"], OFFSET["GSTS"], APIC_OFFSET["SVR"]) == (0xB8, 0x1C, 0xF0)
