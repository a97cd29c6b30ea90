"""A machine from a configuration: where its functions sit, what they can do, what is refused."""


import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.places import DATA
from vsim.domain import acpi
from vsim.domain.builder import DMAR_AT, FIRST_SLOT, build
from vsim.guest.kernel import Guest
from vsim.machine import step
from vsim.readers import lspci, xl
from vsim.readers.source import TextError
from vsim.state import commands
from vsim.state.profile import profile

VIOMMU = 'viommu = "type=vtd,intremap=1,x2apic=1"\n'
HOST = """\
00:02.0 PCI bridge: Root port
\tBus: primary=00, secondary=03, subordinate=05, sec-latency=0
\tCapabilities: [90] Express (v2) Root Port (Slot+), MSI 00
03:00.0 Ethernet controller: NIC
\tInterrupt: pin A routed to IRQ 32
\tCapabilities: [50] MSI: Enable- Count=1/8 Maskable+ 64bit-
\tCapabilities: [70] MSI-X: Enable+ Count=64 Masked-
\tCapabilities: [a0] Express (v2) Endpoint, MSI 00
03:00.1 Serial controller: UART
\tInterrupt: pin B routed to IRQ 33
04:00.0 PCI bridge: To PCI
\tBus: primary=04, secondary=05, subordinate=05, sec-latency=0
\tCapabilities: [90] Express (v2) PCI-Express to PCI/PCI-X Bridge, MSI 00
05:01.0 Multimedia controller: Sound
\tInterrupt: pin A routed to IRQ 16
\tCapabilities: [50] MSI: Enable- Count=1/1 Maskable- 64bit+
06:00.0 Bridge: Odd
\tInterrupt: pin ? routed to IRQ 16
"""


def made(text, host=HOST, **named):
    return build(xl.parse(f'type = "hvm"\n{text}', "d.cfg"), lspci.parse(host) if host else None, **named)


def function(domain, bdf):
    return domain.machine.bus.functions[domain.machine.bus.place(bdf)]


# --- passed-through functions ---


def test_what_a_function_can_do_comes_from_the_host():
    nic = function(made('pci = ["03:00.0"]'), 0x0300)
    assert (nic.msix_count, nic.msi_count, nic.msi_maskable, nic.msi_64, nic.pin) == (64, 8, True, False, 1)
    assert nic.passthrough and not nic.conventional and nic.name == "Ethernet controller: NIC"


@pytest.mark.parametrize("entry, bdf, kind, messages", [
    ("03:00.0", 0x0300, "msi-x", 64), ("03:00.1", 0x0301, "pin", 1), ("05:01.0", 0x0508, "msi", 1),
    ("06:00.0", 0x0600, "none", 0), ("03:00.0@07", 0x0038, "msi-x", 64), ("09:00.0", 0x0900, "msi-x", 32),
])
def test_a_device_interrupts_by_the_best_that_it_has(entry, bdf, kind, messages):
    (device,) = made(f'pci = ["{entry}"]').devices
    assert (device.bdf, device.kind, device.messages) == (bdf, kind, messages)


def test_without_a_virtual_slot_a_function_keeps_its_address_and_its_bridges():
    domain = made('pci = ["05:01.0", "03:00.0"]')
    bus = domain.machine.bus
    assert [f.bdf for f in bus.functions] == [0x0010, 0x0300, 0x0400, 0x0508]
    assert bus.requester(0x0508) == 0x0500     # a PCIe-to-PCI bridge stands for what is below it
    assert bus.requester(0x0300) == 0x0300
    assert function(domain, 0x0508).conventional


def test_with_a_virtual_slot_a_function_sits_on_bus_0_without_bridges():
    domain = made('pci = ["05:01.0@09"]')
    assert [f.bdf for f in domain.machine.bus.functions] == [0x0048]
    assert domain.devices[0].label == "00:09.0 (host 05:01.0) Multimedia controller: Sound"


def test_a_function_of_another_pci_domain_gets_a_free_slot():
    domain = made('pci = ["0001:03:00.0", "03:00.0@04"]')
    assert [device.bdf for device in domain.devices] == [0x0020, 0x0028]
    assert "line 2: 0001:03:00.0 is 00:05.0 in the guest" in domain.notes


@pytest.mark.parametrize("host, note", [
    (None, "no lspci text: 03:00.0: 32 MSI-X messages assumed"),
    (HOST.replace("03:00.0", "07:00.0"), "the lspci text has no function 03:00.0 (xl would refuse what is not there): "
                                         "32 MSI-X messages assumed"),
    ("03:00.0 NIC: N\n\tCapabilities: <access denied>", "lspci shows no capabilities of 03:00.0 (not run as root): "
                                                        "32 MSI-X messages assumed"),
    ("03:00.0 NIC: N\n", "the lspci text has no details of 03:00.0 (lspci without -v): 32 MSI-X messages assumed"),
    ("03:00.0 NIC: N (rev ff) (prog-if ff)\n\t!!! Unknown header type 7f", "03:00.0 does not answer (all ones): 32 "
                                                                          "MSI-X messages assumed"),
])
def test_a_function_of_which_nothing_is_known_has_32_messages_and_a_note_says_so(host, note):
    domain = made('pci = ["03:00.0"]', host)
    assert note in domain.notes
    assert function(domain, 0x0300).msix_count == 32


def test_names_are_cut_at_a_word_and_cannot_steer_a_terminal():
    long = HOST.replace("Ethernet controller: NIC", "Ethernet controller: \x1b]0;x\x07word " + "word " * 30)
    name = function(made('pci = ["03:00.0"]', long), 0x0300).name
    assert name.startswith("Ethernet controller: ?]0;x?word ") and name.endswith("word") and len(name) <= 64


# --- emulated devices ---


def test_emulated_nics_and_disks_are_functions_of_bus_0_with_pin_a():
    domain = made('vif = ["model=e1000", "type=vif"]\ndisk = ["a,raw,xvda,rw"]')
    assert [(d.bdf, d.name, d.kind) for d in domain.devices] == [
        (FIRST_SLOT << 3, "emulated nic e1000", "pin"), (FIRST_SLOT + 1 << 3, "emulated disk ide", "pin")]


def test_emulated_devices_leave_the_virtual_slots_to_those_that_name_them():
    domain = made('vif = ["model=e1000"]\npci = ["03:00.0@04", "05:01.0@05"]')
    assert [device.bdf for device in domain.devices] == [0x20, 0x28, 0x30]


def test_emulated_devices_take_slots_whose_pin_the_ioapic_has():
    domain = made('vif = ["model=e1000", "model=e1000"]', profile=profile("qemu-10"))
    assert all(domain.machine.bus.gsi(device.bdf) < 24 for device in domain.devices)


def test_a_pvh_guest_has_no_emulated_device():
    config = xl.parse('type = "pvh"\nvif = ["model=e1000"]')
    domain = build(config)
    assert domain.devices == () and domain.machine.profile.options.domain_type == "pvh"


def test_a_full_bus_0_is_said_where_it_is_overrun():
    nics = ", ".join(['"model=e1000"'] * 224)
    assert len(made(f"vif = [{nics}]").devices) == 224
    with pytest.raises(xl.ConfigError, match=r"d.cfg:3:1: bus 0 has no free slot"):
        made(f'vif = [{nics}]\ndisk = ["a,raw,xvda,rw"]')


# --- the machine ---


@pytest.mark.parametrize("prof, step_, ids", [
    ("spec", None, [0, 2, 4, 6]), ("spec", 1, [0, 1, 2, 3]),
    ("qemu-10", None, [0, 1, 2, 3]), ("qemu-10", 2, [0, 2, 4, 6]),
])
def test_apic_ids_are_the_profiles_unless_asked_for(prof, step_, ids):
    assert list(made("vcpus = 4", profile=profile(prof), apic_id_step=step_).machine.apic_id) == ids


def test_memory_is_in_mib_and_costs_nothing_until_it_is_used():
    domain = made("memory = 0x8000")
    assert domain.machine.ram.size == 32 << 30 and len(domain.machine.ram.pages) == 0


def test_vcpus_that_are_offline_are_left_out_with_a_note():
    domain = made("vcpus = 2\nmaxvcpus = 8")
    assert domain.machine.vcpus == 2
    assert "vCPUs 2 to 7 (maxvcpus) are offline: left out of the machine" in domain.notes


# --- the vIOMMU ---


def test_the_toolstack_creates_the_unit_and_hands_the_table_to_the_guest():
    domain = made(VIOMMU)
    create, table = domain.commands
    assert isinstance(create, commands.Domctl) and isinstance(table, commands.RamWrite)
    assert domain.machine.live()
    found = acpi.parse(domain.machine.ram.read(DMAR_AT, 72))
    assert (found.units[0].base, found.flags, found.units[0].ioapic(1)) == (0xFED90000, acpi.INTR_REMAP, 0xFF00)
    assert found.width == 39
    assert domain.platform.dmar == DMAR_AT


def test_without_the_line_there_is_neither_unit_nor_table():
    domain = made("")
    assert domain.commands == () and not domain.machine.live() and domain.platform.dmar == 0


@pytest.mark.parametrize("line, flags", [
    ("type=vtd,intremap=1,x2apic=1", 1), ("type=vtd,intremap=1,x2apic=0", 3), ("type=vtd,intremap=1", 3),
    ("type=vtd,intremap=0,x2apic=1", 0),
])
def test_the_flags_of_the_table_follow_the_keys(line, flags):
    domain = made(f'viommu = "{line}"')
    assert acpi.parse(domain.machine.ram.read(DMAR_AT, 72)).flags == flags
    assert any("opts out of x2APIC" in note for note in domain.notes) == bool(flags & acpi.X2APIC_OPT_OUT)


@pytest.mark.parametrize("line, options, message", [
    ("type=vtd", {}, r"d.cfg:2:10: the hypervisor refuses this viommu with ERANGE. The length of the register region"),
    ("type=vtd,intremap=1", {"boot_viommu": False}, "with ENODEV. Xen was booted without"),
    ("type=vtd,intremap=1", {"boot_viommu": False, "interface": "v1"}, "with EINVAL. Xen was booted without"),
])
def test_a_refusal_of_the_hypervisor_is_an_error_at_the_line(line, options, message):
    with pytest.raises(xl.ConfigError, match=message):
        made(f'viommu = "{line}"', profile=profile("spec").with_options(**options))


def test_too_little_memory_for_the_table_is_said():
    with pytest.raises(xl.ConfigError, match=r"d.cfg:3:10: memory is 2 MiB; allowed: 3 MiB or more with a viommu"):
        made(f"memory = 2\n{VIOMMU}")
    assert made(f"memory = 3\n{VIOMMU}").machine.live()
    assert made("memory = 1").machine.ram.size == 1 << 20


# --- what does not fit ---


@pytest.mark.parametrize("text, message", [
    ('pci = ["00:02.0"]', "d.cfg:2:1: 00:02.0 is a bridge; allowed: a function that is none"),
    ('pci = ["03:00.0@05", "05:01.0@05"]', "d.cfg:2:1: 00:05.0 is taken by Ethernet controller: NIC; allowed: a free"),
    ('pci = ["09:00.0@02",\n "03:00.0"]', "d.cfg:3:1: 00:02.0, a bridge above 03:00.0, is taken by passed-through"),
    ('pci = ["03:00.0",\n "09:00.0@02"]', "d.cfg:3:1: 00:02.0 is taken by PCI bridge: Root port"),
])
def test_functions_that_share_a_place_are_refused_at_their_line(text, message):
    with pytest.raises(xl.ConfigError, match=message):
        made(text)


def test_bridges_that_cannot_be_are_an_error_of_the_input():
    host = HOST + ("07:00.0 PCI bridge: A\n\tBus: primary=07, secondary=08, subordinate=08, sec-latency=0\n"
                   "07:01.0 PCI bridge: B\n\tBus: primary=07, secondary=08, subordinate=09, sec-latency=0\n"
                   "08:00.0 Ethernet controller: One\n09:00.0 Ethernet controller: Two\n")
    with pytest.raises(xl.ConfigError, match=r"d.cfg:1:1: the passed-through functions make no bus: two bridges"):
        made('pci = ["08:00.0", "09:00.0"]', host)


_PLACES = st.builds(lambda s, b, d, f, slot: f"{s:04x}:{b:02x}:{d:02x}.{f}{slot}", st.integers(0, 1), st.integers(0, 8),
                    st.integers(0, 3), st.integers(0, 1), st.sampled_from(["", "@04", "@05", "@1f"]))
_BRIDGES = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3), st.integers(0, 9), st.integers(0, 9)), max_size=6)


@settings(max_examples=150)
@given(st.lists(_PLACES, max_size=6), _BRIDGES)
def test_any_functions_on_any_host_make_a_domain_or_a_clear_error(entries, bridges):
    host = {f"{bus:02x}:{slot:02x}.0": f"{bus:02x}:{slot:02x}.0 PCI bridge: B\n\tBus: primary={bus:02x}, "
            f"secondary={second:02x}, subordinate={last:02x}, sec-latency=0\n" for bus, slot, second, last in bridges}
    text = "".join(host.values()) or HOST
    try:
        domain = made(f"pci = {entries!r}\nvif = ['model=e1000']".replace("'", '"'), text)
    except TextError as error:
        assert str(error).startswith("d.cfg:")
    else:
        guest = Guest(lambda command: step(domain.machine, command), domain.platform)
        guest.boot()
        assert len(domain.devices) == len(entries) + 1


@pytest.mark.parametrize("name", ["small", "big", "big-noviommu", "thousand"])
def test_the_configurations_of_the_notebooks_are_built(name):
    config = xl.load(DATA / f"{name}.cfg")
    domain = build(config, lspci.load(DATA / "big.lspci"))
    assert domain.machine.vcpus == config.vcpus
    assert domain.machine.live() == (config.viommu is not None)
    assert [device.messages for device in domain.devices][:1] == [64]
