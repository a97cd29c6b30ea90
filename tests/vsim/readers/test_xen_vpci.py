"""The second part of Xen's key M: every message of an emulated function comes back as it was printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.readers import xen_irqs, xen_vpci
from vsim.readers.pieces import lines_of
from vsim.readers.xen_vpci import Message

BIT = st.booleans()


def read(text):
    return xen_vpci.read(lines_of(text, "log")[0])


def row(vector, lowest, level, logical, hint, dest, pirq, number=None, mask=None):
    """As vpci_msi_arch_print has it, with a number and a mask as vpci_msix_arch_print."""
    front = f"vec={vector:#02x}" if number is None else f"{number:6} vec={vector:02x}"
    return (f"{front}{'lowest' if lowest else 'fixed':>7}{'level' if level else 'edge':>6}{'':3}assert"
            f"{'log' if logical else 'phys':>5}{'lowest' if hint else 'fixed':>7} dest_id={dest}"
            f"{'' if mask is None else f' mask={mask:d}'} pirq: {pirq}")


FIELDS = st.tuples(st.integers(0, 255), BIT, BIT, BIT, BIT, st.integers(0, 0x7FFF), st.integers(-1, 99999))


@given(FIELDS, st.integers(0, 32750), BIT, st.sampled_from([None, 0, 1]), st.integers(0, 5),
       st.sampled_from(["(XEN) ", "(XEN) [    1.204512] ", ""]))
def test_msi(fields, domain, wide, masks, count, mark):
    text = (f"vPCI MSI/MSI-X d{domain}\n0001:02:1f.7 MSI\n  enabled: 1 64-bit: {wide:d}"
            f"{'' if masks is None else f' mask={masks:08x}'} vectors max: 32 enabled: {1 << count}\n{row(*fields)}\n")
    reading = read("".join(f"{mark}{line}\n" for line in text.splitlines()))
    *parts, pirq = fields
    assert reading.records == (Message("log", 4, domain, 1, 0x2FF, "MSI", 0, 32, 1 << count, wide, *parts, masks, False,
                                       pirq),)
    assert reading.remarks == () and reading.records[0].open == (masks != 1 or count > 0)


@given(st.lists(st.tuples(FIELDS, BIT), max_size=4), BIT)
def test_msi_x(entries, all_masked):
    text = f"vPCI MSI/MSI-X d3\n0000:03:00.0 MSI-X\n  entries: 2048 maskall: {all_masked:d} enabled: 1\n" + "\n".join(
        row(*fields, number, mask) for number, (fields, mask) in enumerate(entries))
    assert read(text).remarks == () and read(text).records == tuple(
        Message("log", 4 + number, 3, 0, 0x300, "MSI-X", number, 2048, 1, True, *fields[:-1], int(mask), all_masked,
                fields[-1]) for number, (fields, mask) in enumerate(entries))
    assert [each.open for each in read(text).records] == [not (all_masked or mask) for _, mask in entries]


MSI = "0000:00:1f.2 MSI\n"
ROW = row(0x31, 0, 0, 0, 0, 2, 55)


@pytest.mark.parametrize("text, count, remark", [
    (ROW, 0, "left out: a message of a function that no line before names"),
    (MSI.replace("MSI", "MSI-X") + ROW, 0, "left out: a message of a function that no line before names"),
    (MSI + ROW, 1, None), (MSI + ROW.replace(" dest", "\ndest"), 1, None),
    (MSI + ROW.replace("dest_id=2", "dest_id=x"), 0, "left out: a row that was cut or is of another form"),
    ("unable to print all MSI-X entries: -16", 0, "Xen did not print all: unable to print all MSI-X entries: -16"),
    ("unable to access other devices for the domain", 0, "Xen did not print all: unable to access other devices"),
])
def test_what_is_torn(text, count, remark):
    reading = read(text)
    assert len(reading.records) == count
    assert [each.text.startswith(remark) for each in reading.remarks] == ([True] if remark else [])


def test_a_domain_and_a_head_that_were_cut_away_are_unknown():
    (found,) = read(MSI + ROW).records
    assert (found.domain, found.most, found.count, found.masks, found.open) == (-1, -1, 1, None, True)


def test_the_first_part_of_the_key_is_another_reader_s():
    first = " MSI     26 vec=71 lowest  edge   assert  log lowest dest=00000001 mask=0/1/-1\n"
    lines = lines_of(first + MSI + ROW, "log")[0]
    assert [len(reader.read(lines).records) for reader in (xen_irqs, xen_vpci)] == [1, 1]
