"""A unit's registers as Xen prints them are those that Linux's reader gives."""

from hypothesis import given
from hypothesis import strategies as st

from vsim.readers import regset, xen_regs
from vsim.readers.pieces import lines_of

BLOCK = """(XEN) ---- print_iommu_regs ----
(XEN)  drhd->address = fed90000
(XEN)  VER = 10
(XEN)  CAP = d2008c222f0606
(XEN)  n_fault_reg = 1
(XEN)  ECAP = f00f5a
(XEN)  GSTS = c7000000
(XEN)  FSTS = 0
"""


def read(text):
    return xen_regs.read(lines_of(text, "log")[0])


def test_a_block_is_a_unit():
    first, second = read(BLOCK + BLOCK.replace("fed90000", "fed91000").replace("f00f5a", "ffffffffffffffff").replace(
        "d2008c222f0606", "ffffffffffffffff")).records
    assert isinstance(first, regset.Unit)
    assert (first.base, first["CAP"], first["ECAP"], first.dead) == (0xFED90000, 0xD2008C222F0606, 0xF00F5A, False)
    assert (first.field("GSTS", "ires"), first["IRTA"], first.eime, first.line) == (1, None, None, 1)
    assert (second.base, second.dead, second.registers[1].line) == (0xFED91000, True, 12)


OLD = """(XEN) ---- print_iommu_regs ----
(XEN) print_iommu_regs: drhd->address = feb00000
(XEN) print_iommu_regs: DMAR_VER_REG = 10
(XEN) print_iommu_regs: DMAR_CAP_REG = d2008c222f0606
(XEN) print_iommu_regs: n_fault_reg = 1
(XEN) print_iommu_regs: fault_recording_reg_l = 17000000000000
(XEN) print_iommu_regs: fault_recording_reg_h = 8000002200000318
(XEN) print_iommu_regs: DMAR_ECAP_REG = f00f5a
(XEN) print_iommu_regs: DMAR_GSTS_REG = c7000000
(XEN) print_iommu_regs: DMAR_FSTS_REG = 2
"""


def test_the_older_form_and_its_first_fault():
    unit, fault, other = read(OLD + BLOCK).records
    assert (unit.base, unit["CAP"], unit["ECAP"], unit["GSTS"], unit["FSTS"]) == (
        0xFEB00000, 0xD2008C222F0606, 0xF00F5A, 0xC7000000, 2)
    assert (fault.rid, fault.index, fault.reason, fault.kind, fault.line) == (0x318, 0x17, 0x22, "interrupt", 7)
    assert other.base == 0xFED90000


def test_a_record_that_is_not_in_use_or_nobody_s_is_no_fault():
    for high in ("2200000318", "f" * 16):
        assert len(read(OLD.replace("8000002200000318", high)).records) == 1


def test_registers_without_a_block_are_none():
    assert read(BLOCK.split("\n", 1)[1]).records == ()


@given(st.lists(st.sampled_from((BLOCK + OLD).splitlines()).flatmap(
    lambda row: st.integers(0, len(row)).map(lambda end: row[:end]))).map("\n".join) | st.text())
def test_any_text_is_read(text):
    assert all(record.line >= 1 for record in read(text).records)
