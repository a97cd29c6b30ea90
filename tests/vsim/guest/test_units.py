"""A guest whose devices sit behind several remapping units: found, set up and used one by one, all or none."""

import pytest

from vsim.devices import viommu
from vsim.domain import acpi
from vsim.domain.platform import Platform
from vsim.guest.kernel import MEMORY, MIB, Guest
from vsim.layouts.formats import IRTE
from vsim.machine import remapping_on, step, unit_register
from vsim.readers import acpi_dmar
from vsim.readers.acpi_dmar import INTR_REMAP, X2APIC_OPT_OUT
from vsim.state import commands as c
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.pci import Bridge, Bus, Function
from vsim.state.profile import Capabilities, profile
from vsim.state.trace import Act, Kind, node

DMAR, BASE = 0xEA000, 0xFED90000
NIC, DISK, WIRE, BELOW = 0x0020, 0x0028, 0x0030, 0x0300
FUNCTIONS = (Function(NIC, "nic", msix_count=2), Function(DISK, "disk", msi_count=4, msi_maskable=True),
             Function(WIRE, "wire", pin=1), Function(0x00E0, "port", bridge=Bridge("pcie", 3, 3)),
             Function(BELOW, "below", msix_count=2))
SCOPE = {NIC: 0, DISK: 1, BELOW: 2}
PLAIN = Capabilities()


class Setup:
    """A machine with `units` units: NIC behind 0, disk behind 1, BELOW behind 2, everybody else behind the last."""

    def __init__(self, units=3, own=(), table=None, flags=INTR_REMAP, scope=None, **boot):
        base = profile("spec").with_options(max_units=max(1, units)).with_units(*own)
        self.machine = Machine(base, 288, bus=Bus(FUNCTIONS))
        self.machine.scope = scope or {bdf: min(unit, units - 1) for bdf, unit in SCOPE.items()} | {-1: units - 1}
        for unit in range(units):
            step(self.machine, c.Domctl(viommu.create_op(BASE + 4096 * unit, version="v1-corrected")))
        table = table or acpi.dmar_of(self.machine, bool(flags & X2APIC_OPT_OUT))
        step(self.machine, c.RamWrite(DMAR, table))
        self.guest = Guest(self.issue, Platform.of(self.machine, DMAR), **boot)
        self.guest.boot()

    def issue(self, command):
        return step(self.machine, command)

    def send(self, bdf, message=0):
        """Send a function's message; (vCPU, vector, handled by whom) of what was taken, and the units that acted."""
        kind = self.guest.sources[bdf][0].kind
        events = self.issue(c.Intx(bdf, 1) if kind == "pin" else c.Signal(bdf, message))
        units = {e.node & 0xFFFFFF for e in events if e.node >> 24 == Kind.VIOMMU}
        return [(t.vcpu, t.source) for t in self.guest.take(events)], units


@pytest.mark.parametrize("units", [2, 3, 4])
def test_every_unit_is_set_up_and_each_function_uses_its_own(units):
    setup = Setup(units)
    guest = setup.guest
    assert [remapping_on(setup.machine, unit) for unit in range(units)] == [True] * units
    assert len({unit_register(setup.machine, "IRTA", unit) for unit in range(units)}) == units
    for bdf, unit in SCOPE.items():
        for source in guest.sources[bdf]:
            assert source.unit == min(unit, units - 1)
            assert setup.send(bdf, source.number) == ([(source.vcpu, source)], {source.unit})
    (pin,) = guest.sources[WIRE]
    assert setup.send(WIRE) == ([(pin.vcpu, pin)], {units - 1})
    assert guest.faults == [] and guest.strays == []


def test_the_log_names_the_units_as_linux_does():
    log = Setup(2, own=(PLAIN, PLAIN.having(posting=True))).guest.log
    assert log == ["DMAR: dmar0: reg_base_addr fed90000 ver 1:0 cap 22260286 ecap f0001a",
                   "DMAR: dmar1: reg_base_addr fed91000 ver 1:0 cap 800000022260286 ecap f0001a",
                   "DMAR-IR: Enabled IRQ remapping in x2apic mode"]


def test_entries_of_one_index_in_two_tables_are_two_entries():
    setup = Setup(4)
    one, two = setup.guest.sources[NIC][0], setup.guest.sources[BELOW][0]
    assert (one.index, two.index, one.unit, two.unit) == (0, 0, 0, 2)
    for unit, source in ((0, one), (2, two)):
        page = setup.machine.latch[LATCH_WORDS * unit + Latch.BASE_PAGE]
        stored = int.from_bytes(setup.machine.ram.read(page << 12, 16), "little")
        assert stored == source.entry and stored & IRTE.vector.mask


@pytest.mark.parametrize("bdf", [NIC, DISK, BELOW])
def test_a_move_changes_the_entry_of_its_unit_and_empties_its_cache(bdf):
    setup = Setup()
    source = setup.guest.sources[bdf][0]
    setup.send(bdf)
    for vcpu in (287, 130, 3):
        assert setup.guest.affinity(source, vcpu) == ""
        assert setup.send(bdf) == ([(vcpu, source)], {source.unit})


def test_a_forgotten_invalidation_shows_behind_its_unit_only():
    setup = Setup(skip=["invalidate"])
    for bdf in (NIC, BELOW):
        setup.send(bdf)
    old = setup.guest.sources[BELOW][0].vcpu
    setup.guest.affinity(setup.guest.sources[BELOW][0], 200)
    assert setup.send(BELOW) == ([(old, None)], {2})
    assert setup.send(NIC)[0] == [(setup.guest.sources[NIC][0].vcpu, setup.guest.sources[NIC][0])]


@pytest.mark.parametrize("bdf, unit", SCOPE.items())
def test_a_fault_reaches_the_handler_of_its_unit_and_shows_in_its_record_only(bdf, unit):
    setup = Setup()
    guest, source = setup.guest, setup.guest.sources[bdf][0]
    guest.driver(source).change(source.index, 0)
    events = setup.issue(c.Signal(bdf, 0))
    assert {e.node for e in events if e.act == Act.RECORDED} == {node(Kind.VIOMMU, unit)}
    assert [unit_register(setup.machine, "FSTS", n) & 2 for n in range(3)] == [2 * (n == unit) for n in range(3)]
    (taken,) = guest.take(events)
    assert guest.fault_vectors[taken.vector] == unit
    (fault,) = guest.faults
    assert (fault.reason, fault.index, fault.source, fault.unit) == (0x22, source.index, bdf, unit)
    assert str(fault).startswith(f"dmar{unit}: " if unit else "request of")
    assert [unit_register(setup.machine, "FSTS", n) for n in range(3)] == [0, 0, 0]


def test_a_message_through_the_unit_of_another_finds_a_foreign_entry_or_none():
    """What if the table names the wrong unit: entries are written where the hardware does not look."""
    right = Setup(2)
    ioapic = acpi_dmar.scope_of(acpi_dmar.SCOPE_IOAPIC, 0xFF00, acpi_dmar.IOAPIC_ID)
    table = acpi_dmar.table([acpi_dmar.unit(BASE), acpi_dmar.unit(BASE + 4096, [ioapic], everything=True)])
    wrong = Setup(2, table=bytes(table))
    assert right.guest.sources[NIC][0].unit == 0 and wrong.guest.sources[NIC][0].unit == 1
    taken, units = wrong.send(NIC)
    assert units == {0}
    assert [(vcpu, source) for vcpu, source in taken] == [(0, None)]     # the fault event of dmar0, nothing else
    assert [(f.reason, f.unit) for f in wrong.guest.faults] == [(0x22, 0)]


# --- all or none ---


def test_one_unit_without_32_bit_destinations_narrows_all():
    guest = Setup(3, own=(PLAIN, PLAIN.having(eim=False), PLAIN)).guest
    assert "DMAR: dmar1 without ECAP.EIM: 8-bit destinations behind every unit" in guest.log
    assert guest.log[-1] == "DMAR-IR: Enabled IRQ remapping in xapic mode"
    for bdf in SCOPE:
        assert guest.affinity(guest.sources[bdf][0], 127) == ""
        assert "beyond the 8-bit destination" in guest.affinity(guest.sources[bdf][0], 128)


def test_the_opt_out_narrows_all_units_without_naming_one():
    guest = Setup(2, flags=INTR_REMAP | X2APIC_OPT_OUT).guest
    assert any("opted out of" in line for line in guest.log) and not guest.units.eim
    assert not any("without ECAP.EIM" in line for line in guest.log)


def test_one_unit_that_cannot_remap_leaves_all_of_them_off():
    weak = Capabilities(PLAIN.cap, PLAIN.ecap & ~8)
    setup = Setup(3, own=(PLAIN, PLAIN, weak))
    assert "DMAR: dmar2: the unit cannot remap interrupts: it lacks ECAP.IR or ECAP.QI" in setup.guest.log
    assert not any(remapping_on(setup.machine, unit) for unit in range(3)) and not setup.guest.ways.remapping
    assert setup.send(NIC)[0][0][1] is setup.guest.sources[NIC][0]      # as a compatibility message


def test_a_unit_that_does_not_answer_turns_the_others_off_again():
    setup = Setup(2)
    step(setup.machine, c.Domctl(viommu.encode("v1-corrected", 1, viommu_id=1)))
    again = Guest(setup.issue, Platform.of(setup.machine, DMAR))
    again.boot()
    assert not again.ways.remapping and not remapping_on(setup.machine, 0)


def test_without_memory_for_all_tables_none_is_used():
    setup = Setup(3)
    small = Platform(setup.machine.bus, (0, 2), MIB + 2 * MEMORY, DMAR)
    guest = Guest(setup.issue, small)
    guest.boot()
    assert guest.log[0] == "DMAR: no memory for the tables of 3 units" and not guest.ways.remapping


def test_a_function_that_no_unit_covers_gets_no_interrupt_and_a_line_of_the_log():
    table = acpi_dmar.table([acpi_dmar.unit(BASE, [acpi_dmar.scope_of(3, 0xFF00, 1), acpi_dmar.scope_of(1, NIC)])])
    guest = Setup(1, table=bytes(table)).guest
    assert guest.sources[DISK] == [] and len(guest.sources[NIC]) == 2 and len(guest.sources[WIRE]) == 1
    assert "00:05.0: firmware bug: no unit covers it" in guest.log


def test_a_second_kernel_takes_over_all_units():
    setup = Setup(3)
    again = Guest(setup.issue, Platform.of(setup.machine, DMAR))
    again.boot()
    assert again.ways.remapping and len(again.units.drivers) == 3
    setup.guest = again
    for bdf in SCOPE:
        source = again.sources[bdf][0]
        assert setup.send(bdf) == ([(source.vcpu, source)], {source.unit})
