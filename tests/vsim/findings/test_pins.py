"""Redirection entries as Xen and QEMU print them, in the rebuilt machine."""

import re

import pytest

from tests.places import lab_file
from tests.vsim.findings.booted import Booted
from vsim.domain.acpi import madt_of
from vsim.findings.catalogue import examine
from vsim.findings.rebuild import Rebuilt, rebuild
from vsim.layouts.formats import RTE, RTE_REMAP
from vsim.state.trace import Act, Event, Kind, node

SCOPE = ("(XEN) [VT-D]found ACPI_DMAR_DRHD:\n(XEN) [VT-D]  dmaru->address = fed90000\n"
         "(XEN) [VT-D] IOAPIC: 0000:f0:1f.0\n")
TWO = ("(XEN) IOAPIC[0]: apic_id 8, version 32, address 0xfec00000, GSI 0-23\n"
       "(XEN) IOAPIC[1]: apic_id 9, version 32, address 0xfec01000, GSI 24-47\n")
REMAPPED = """(XEN) iommu 0: nr_pt_levels = 4.
(XEN)   Interrupt Remapping: supported and enabled.
(XEN)   Interrupt remapping table (nr_entry=0x10000. Only dump P=1 entries here):
(XEN) R means remapped format, P means posted format.
(XEN) R:       SVT  SQ   SID  V  AVL FPD      DST DLM TM RH DM P
(XEN) R:  0005:  1   0  f0f8 c0    0   0 00000002   0  0  0  0 1
(XEN) R:  0006:  1   0  f0f8 48    0   0 00000000   0  1  0  0 1
(XEN) R:  0007:  1   0  f0f8 48    0   0 00000000   0  1  0  0 1
"""
KEY_V = """(XEN) Redirection table of IOAPIC 1:
(XEN)   #entry IDX FMT MASK TRIG IRR POL STAT DELI  VECTOR
(XEN)    03:  0006   1    1   1   0   1    0    0     48
"""
FIRST, SECOND = node(Kind.VIOAPIC, 0), node(Kind.VIOAPIC, 24)


def key_z(*rows: str, number: int = 8) -> str:
    """Key z of an I/O APIC with 24 pins: rows "NR DestID Msk Trg IRR Pol Stat DstM DelM Vec"."""
    head = [f"IO APIC #{number}......", ".......     : max redirection entries: 0017",
            " NR  DestID Msk Trg IRR Pol Stat DstM DelM Vec"]
    return "".join(f"(XEN) {row}\n" for row in (*head, *rows))


def built(*texts: str) -> Rebuilt:
    return rebuild(examine([(f"text{number}", text) for number, text in enumerate(texts)]).picture)


def fields(found: Rebuilt, pin: int, layout=RTE) -> tuple[int, ...]:
    names = ("vector", "dest", "mask", "tm", "polarity", "format") if layout is RTE else ("handle", "vector", "mask",
                                                                                          "tm", "polarity", "format")
    return tuple(layout.split(found.run().rte[pin])[name] for name in names)


def test_pins_of_key_z_are_written_as_printed_and_that_nothing_remaps_them_is_assumed():
    found = built(key_z(" 01 00000002 0   0   0   1   0    0    0    C0", " 05 03 1   1   0   0   0    0    0    48"))
    assert [(each.id, each.pins) for each in found.chips] == [(8, 24)]
    assert fields(found, 1) == (0xC0, 2, 0, 0, 1, 0) and fields(found, 5) == (0x48, 3, 1, 1, 0, 0)
    assert found.assumed.of(FIRST)[-1] == "pins 1, 5: that nothing remaps it (Xen prints it as if so)"
    assert tuple(found.machine.apic_id) == (2, 3) and not found.left


def test_a_log_that_says_no_remapping_leaves_nothing_of_a_pin_to_assume():
    off = "(XEN) Intel VT-d Interrupt Remapping not enabled.\n"
    found = built(off + TWO, key_z(" 01 02 0   0   0   0   0    0    0    C0"))
    assert fields(found, 1) == (0xC0, 2, 0, 0, 0, 0) and not any("pin 1" in each for each in found.assumed.of(FIRST))


def test_a_pin_that_was_read_back_asks_for_the_only_entry_that_has_its_vector():
    found = built(SCOPE + TWO.splitlines()[0], REMAPPED, key_z(" 01 00000002 0   0   0   1   0    0    0    C0",
                                                               " 05 00000000 1   1   0   0   0    0    0    48"))
    assert fields(found, 1, RTE_REMAP) == (5, 0xC0, 0, 0, 1, 1)
    assert fields(found, 5) == (0x48, 0, 1, 1, 0, 0)             # entries 6 and 7 both have its vector
    said = found.assumed.of(FIRST)
    assert "pin 1: that it asks for the entry with the vector that Xen prints" in said
    assert "pin 5: that nothing remaps it (Xen prints it as if so)" in said


def test_what_key_v_prints_is_in_the_register_and_not_assumed():
    z = key_z(" 03 00000000 0   1   0   0   0    0    0    48", number=9)
    for texts in ((z, KEY_V), (KEY_V, z)):
        found = built(SCOPE + TWO, REMAPPED, *texts)
        assert fields(found, 24 + 3, RTE_REMAP) == (6, 0x48, 1, 1, 1, 1)
        assert not any("pin 3" in each for each in found.assumed.of(SECOND))


def test_v_and_i_count_the_io_apics_and_z_names_them():
    key_i = "(XEN)     IRQ 28 Vec 72:\n(XEN)       Apic 0x01, Pin  4: vec=48 delivery=Fixed dest=P status=0 " \
            "polarity=1 irr=0 trig=L mask=0 dest_id:00000002\n"
    found = built(TWO, key_i, key_z(" 06 01 0   0   0   0   0    0    0    51", number=9))
    assert fields(found, 24 + 4) == (0x48, 2, 0, 1, 1, 0) and fields(found, 24 + 6)[:2] == (0x51, 1)


def test_the_requester_id_is_that_of_the_entries_that_the_pins_ask_for():
    found = built(REMAPPED, KEY_V.replace("IOAPIC 1", "IOAPIC 0"))
    assert found.chips[0].sid == 0xF0F8 and "its requester id" not in found.assumed.of(FIRST)


@pytest.mark.parametrize("row, why", [
    (" 04 00000102 0   0   0   0   0    0    0    C0",
     "pin 4 of I/O APIC 8: no text shows the entry that it asks for, and without one destinations end at 255"),
    (" 04 02 0   1   1   0   0    0    0    C0", "pin 4 of I/O APIC 8: a write does not set its remote IRR"),
    (" 18 02 0   0   0   0   0    0    0    C0", "pin 24 of I/O APIC 8: I/O APIC 8 has 24 pins")])
def test_what_finds_no_place_is_told_with_its_line(row, why):
    found = built(TWO, key_z(row))
    assert [str(each) for each in found.left] == [f"text1:4:1: left out of the machine: {why}"]


def test_pins_of_qemu_are_what_the_register_holds():
    found = built("ioapic0: ver=0x20 id=0x00 sel=0x22 (redir[9])\n"
                  "  pin 0  0x0000000000010000 dest=0 vec=0   active-hi edge  masked fixed  physical\n"
                  "  pin 1  0x0005000000000031 dest=0 vec=49  active-hi edge         fixed  physical\n")
    assert found.run().rte[1] == 0x0005000000000031 and len(found.assumed.of(FIRST)) == 4


def test_pins_of_linux_are_what_the_register_holds():
    found = built("[    0.5] IOAPIC 0:\n[    0.5]  pin01, enabled , edge , high, V(31), IRR(0), S(0), remapped, "
                  "I(0005),  Z(0)\n")
    assert fields(found, 1, RTE_REMAP) == (5, 0x31, 0, 0, 0, 1) and not any("pin 1" in each for each in found.assumed)


@pytest.fixture(scope="module")
def booted():
    return Booted()


@pytest.mark.parametrize("kinds", [("V", "z"), ("V",), ("info pic",)])
def test_pins_that_this_kit_prints_are_those_of_the_machine_rebuilt_from_them(booted, kinds):
    m = booted.machine
    for madt in ([], [("madt", madt_of(m))]):
        found = rebuild(examine([*((kind, booted.dump(kind)) for kind in kinds), *madt]).picture)
        assert list(found.run().rte) == list(m.rte) and len(found.chips) == 1 and not found.left
    assert any(RTE.split(word)["format"] for word in m.rte)


def test_all_pins_of_a_real_machine_are_as_its_keys_print_them():
    z, v = (lab_file(f"xen-4.17/key-{key}.txt").read_text() for key in "zV")
    rows = re.findall(r"^\(XEN\)    ([0-9a-f]{2}):  ([0-9a-f]{4})   1    (\d)   (\d)   0   (\d)    0    0     (..)", v,
                      re.MULTILINE)
    held = rebuild(examine([("z", z), ("V", v)]).picture)
    assert len(rows) == 24 and not held.left
    for pin, index, mask, tm, polarity, vector in rows:
        assert fields(held, int(pin, 16), RTE_REMAP) == (int(index, 16), int(vector, 16), int(mask), int(tm),
                                                         int(polarity), 1)
    alone = v[:v.index("(XEN) Redirection table of IOAPIC")]
    guessed = rebuild(examine([("z", z), ("V", alone), ("log", SCOPE.replace("f0:1f.0", "ff:00.0"))]).picture)
    asked = [pin for pin in range(24) if RTE.split(guessed.run().rte[pin])["format"]]
    assert asked == [*range(1, 16), 22] and all(guessed.run().rte[pin] == held.run().rte[pin] for pin in asked)


def test_what_is_assumed_of_an_io_apic_is_of_its_pins():
    assumed = built(TWO, key_z(" 01 02 0   0   0   0   0    0    0    C0")).assumed
    assert assumed.of(node(Kind.VIOAPIC, 1)) == assumed.of(FIRST) != assumed.of(SECOND)
    assert assumed.of(node(Kind.VIOAPIC, 47)) == assumed.of(SECOND) and assumed.mark(SECOND + 23) == ", assumed"
    told = assumed.along([Event(1, 1, SECOND + 3, Act.LINE, 27, 1, 0, 0)])
    assert told == ("I/O APIC 9: its requester id",)
