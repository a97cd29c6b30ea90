"""APIC IDs out of a text of CPUID leaves, and what is said of a text that has none."""

import random
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_files
from vsim.readers import cpuid
from vsim.readers.cpuid import Cpu, CpuidError, load, parse
from vsim.readers.pieces import lines_of
from vsim.state.arrays import Machine
from vsim.state.profile import profile


def raw(number, apic_id, short=None, levels=((1, 2), (4, 8))):
    """One CPU as `cpuid -r` prints it."""
    lines = [f"CPU {number}:", "   0x00000000 0x00: eax=0x0000001f ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69"]
    if short is not False:
        ebx = ((apic_id if short is None else short) & 0xFF) << 24 | 0x100800
        lines.append(f"   0x00000001 0x00: eax=0x000c06f2 ebx=0x{ebx:08x} ecx=0x7ffefbff edx=0xbfebfbff")
    for level, (shift, count) in enumerate(levels):
        lines.append(f"   0x0000000b 0x{level:02x}: eax=0x{shift:08x} ebx=0x{count:08x} ecx=0x{level:08x} "
                     f"edx=0x{apic_id:08x}")
    return "\n".join(lines) + "\n"


def dumped(number, apic_id):
    """One CPU as instruction-latency dumps have it."""
    return (f"Logical CPU #{number}\n  CPUID 00000001: 00050671-{apic_id & 0xFF:02X}FF0800-7FF8F39F-BFEBFBFF\n"
            f"  CPUID 0000000B: 00000002-00000004-00000100-{apic_id:08X} [SL 00]\n"
            f"  CPUID 0000000B: 00000009-00000100-00000201-{apic_id:08X} [SL 01]\n"
            f"  CPUID 0000001F: 00000009-00000100-00000201-FFFFFFFF [SL 01]\n")


@pytest.mark.parametrize("text, cpus", [
    (raw(0, 8) + raw(1, 300), (Cpu(0, 8, (1, 4)), Cpu(1, 300, (1, 4)))),
    (dumped(0, 8) + dumped(1, 0x127), (Cpu(0, 8, (2, 9)), Cpu(1, 0x127, (2, 9)))),
    (raw(3, 5, levels=()), (Cpu(3, 5),)),                                       # an old processor: leaf 1 alone
    (raw(0, 0x1FE, short=False), (Cpu(0, 0x1FE, (1, 4)),)),
    (raw(0, 6, levels=((1, 2), (4, 8), (0, 0))), (Cpu(0, 6, (1, 4)),)),
    (raw(0, 2, levels=((0, 0),)), (Cpu(0, 2, (0,)),)),                          # one processor, no levels
    ("some words before\r\n\nCPU 0:\r\n\n" + raw(1, 7).partition("\n")[2] + "\tand more\n", (Cpu(0, 7, (1, 4)),)),
    (raw(0, 1) + raw(1, 2) + "CPU 0:\nCPU 1:\n", (Cpu(0, 1, (1, 4)), Cpu(1, 2, (1, 4)))),     # the list goes on
])
def test_the_id_is_that_of_leaf_b_or_of_leaf_1(text, cpus):
    assert parse(text) == cpus


@pytest.mark.parametrize("text, place, words", [
    ("CPU 0:\n", "1:5", "CPU 0 has neither leaf 0xb nor leaf 1"),
    (raw(0, 1) + raw(0, 2), "8:21", "leaf 1 gives the ID 0x2, and 0x1 before"),
    (raw(0, 1) + raw(1, 1), "6:5", "CPU 1 has APIC ID 0x1, as CPU 0 has"),
    ("CPU 0:\n 0x0000000b 0x00: eax=0x1\n", "2:19", "found 'eax=0x1'; expected the four registers of a leaf"),
    ("Logical CPU #0\n  CPUID 0000000B: 0-0-0-0 [SL 00]\n", "2:19", "found '0-0-0-0'; expected the four"),
    (raw(0, 0x105, short=6), "4:21", "leaf 1 gives the ID 0x6, leaf 0xb 0x105; the first is the low 8 bits"),
    (raw(0, 1, short=False) + "\n".join(raw(0, 2, short=False).splitlines()[2:]), "5:21",
     "leaf 0xb gives the ID 0x2, and 0x1 before"),
    ("".join(f"CPU {n}:\n" for n in range(cpuid.MAX_CPUS + 1)), "4097:5", "found more than 4096 CPUs"),
])
def test_what_is_wrong_is_told_with_its_place(text, place, words):
    remarks = cpuid.read(lines_of(text, "x")[0]).remarks
    assert any(str(each).startswith(f"x:{place}: ") and words in str(each) for each in remarks)


@pytest.mark.parametrize("text, place, words", [
    ("", "1:1", "found no CPU"), ("0x00000001 0x00: eax=1\n", "1:1", "found no CPU"),
    ("CPU 0:\n", "1:5", "CPU 0 has neither leaf 0xb nor leaf 1"),
])
def test_a_text_without_an_id_is_refused_at_its_place(text, place, words):
    with pytest.raises(CpuidError, match="x:") as caught:
        parse(text, "x")
    assert str(caught.value).startswith(f"x:{place}: ") and words in str(caught.value)


def test_one_cpu_that_is_wrong_does_not_hide_the_others():
    text = raw(0, 1) + "CPU 1:\n" + raw(2, 1) + raw(3, 7)
    assert [(cpu.number, cpu.apic_id, cpu.line) for cpu in parse(text)] == [(0, 1, 1), (3, 7, 12)]


def test_leaf_1f_counts_where_there_is_no_leaf_b_and_words_where_there_are_no_leaves():
    assert parse(raw(0, 300).replace("0x0000000b", "0x0000001f")) == (Cpu(0, 300, (1, 4)),)
    words = "CPU 4:\n      process local APIC physical ID = 0x2c (44)\n      extended APIC ID                 = 300\n"
    assert parse(words) == (Cpu(4, 300),)


def test_an_old_processor_answers_leaf_b_with_zeros():
    assert parse(raw(5, 9, levels=()) + "   0x0000000b 0x00: eax=0x00000000 ebx=0x00000000 ecx=0x00000000 "
                 "edx=0x00000000\n") == (Cpu(5, 9),)


def test_a_text_has_a_largest_size(monkeypatch):
    monkeypatch.setattr(cpuid, "MAX_CHARACTERS", 10)
    with pytest.raises(CpuidError, match="found 15 characters; allowed: up to 10"):
        parse("CPU 0:" + " " * 9)


def test_a_file_that_is_not_there_is_a_mistake_with_its_name(tmp_path):
    with pytest.raises(CpuidError, match=r"none.txt:1:1: cannot be read"):
        load(tmp_path / "none.txt")


@given(st.text(alphabet=st.sampled_from("CPULogical #0123:x=eabdBF-[]\n \t\r"), max_size=300) | st.text(max_size=100))
def test_any_text_gives_cpus_or_a_clear_error(text):
    try:
        assert parse(text, "x")
    except CpuidError as error:
        assert str(error).startswith("x:")


@given(st.dictionaries(st.integers(0, 500), st.integers(0, 0xFFFFFFFE), min_size=1, max_size=20), st.booleans())
def test_what_is_written_is_read(ids, as_dump):
    if len(set(ids.values())) < len(ids):
        return
    text = "".join(dumped(n, i) if as_dump else raw(n, i) for n, i in ids.items())
    assert {cpu.number: cpu.apic_id for cpu in parse(text)} == ids


def test_damage_is_an_error_or_changes_what_is_read_never_more():
    whole = "".join(dumped(n, 2 * n + 1) for n in range(4))
    chance = random.Random(1)
    for _ in range(500):
        at = chance.randrange(len(whole))
        text = whole[:at] + chance.choice("0-#:C\n ") + whole[at + chance.randrange(2):]
        with suppress(CpuidError):
            assert 1 <= len(parse(text)) <= 5


# --- real machines ---


@pytest.mark.parametrize("path", real_files("cpuid/*.txt"))
def test_apic_ids_of_real_machines_are_no_cpu_numbers(path):
    cpus = load(path)
    ids = tuple(cpu.apic_id for cpu in cpus)
    assert [cpu.number for cpu in cpus] == list(range(len(cpus)))
    assert max(ids) > len(cpus) - 1 and ids != tuple(range(len(cpus)))
    machine = Machine(profile("spec").with_options(apic_ids=ids), len(ids))
    assert tuple(machine.apic_id) == ids


REAL = {"knightslanding.txt": (256, 8, 0x127, 0, 33, (2, 9)), "emeraldrapids.txt": (112, 0, 183, 56, 0, (1, 7))}


@pytest.mark.parametrize("name", REAL)
def test_how_many_ids_of_a_real_machine_are_beyond_8_bits(name, real_data):
    """CPUs, least and largest ID, how many CPUs have their number as ID, how many are above 254, bits per level."""
    cpus = load(real_data / "cpuid" / name)
    ids = [cpu.apic_id for cpu in cpus]
    same = sum(cpu.number == cpu.apic_id for cpu in cpus)
    beyond = sum(apic_id > 254 for apic_id in ids)
    assert (len(cpus), min(ids), max(ids), same, beyond, cpus[0].shifts) == REAL[name]


def test_one_cpu_without_a_number_is_told_and_none_of_the_others():
    text = "CPU 0:\n   0x0000000b 0x00: eax=0x00000001 ebx=0x00000002 ecx=0x00000100 edx=0x00000006\nCPU:\n" \
           "   0x0000000b 0x00: eax=0x00000001 ebx=0x00000002 ecx=0x00000100 edx=0x00000004\n"
    found = cpuid.read(lines_of(text, "cpuid")[0])
    assert [(each.number, each.apic_id) for each in found.records] == [(0, 6)]
    assert [str(each) for each in found.remarks] == [
        "cpuid:3:1: left out: one CPU, and not which (cpuid -1); cpuid -r prints all"]
