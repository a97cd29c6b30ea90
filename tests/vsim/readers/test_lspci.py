"""What a host's functions can do, from the text of lspci."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import ROOT, real_files
from vsim.layouts.bits import bdf_text
from vsim.readers import lspci
from vsim.readers.lspci import (
    ASSUMED_MSIX,
    ENDPOINT,
    MAX_CHARACTERS,
    PCIE_TO_PCI,
    ROOT_PORT,
    Host,
    HostFunction,
    LspciError,
    load,
    parse,
    read,
    without_text,
)
from vsim.readers.pieces import lines_of

BIG = ROOT / "notebooks" / "data" / "big.lspci"


def one(*details: str, header: str = "03:00.0 Network: NIC") -> HostFunction:
    """The only function of a text: its header, and the lines below it."""
    (function,) = parse("\n".join([header, *("\t" + line for line in details or ["Control: I/O+"])])).functions
    return function


def host(*bridges: str) -> Host:
    """A host of bridges: 'BB:DD.F PRIMARY SECONDARY SUBORDINATE'."""
    form = "{0} PCI bridge: B\n\tBus: primary={1}, secondary={2}, subordinate={3}, sec-latency=0\n"
    return parse("".join(form.format(*bridge.split()) for bridge in bridges))


@pytest.mark.parametrize(
    "header, function",
    [
        ("03:00.0 Ethernet controller: Some NIC (rev 01)", HostFunction(0x0300, 0, "Some NIC (rev 01)",
                                                                       "Ethernet controller")),
        ("00:1f.7 ISA bridge [0601]: Chip [8086:a1c1]", HostFunction(0x00FF, 0, "Chip [8086:a1c1]",
                                                                     "ISA bridge")),
        ("00:1f.0 0601: 8086:a1c1 (rev 09)", HostFunction(0x00F8, 0, "8086:a1c1 (rev 09)", "0601")),
        ("0000:ff:1f.7 SMBus: a: b", HostFunction(0xFFFF, 0, "a: b", "SMBus")),
        ("10000:e0:06.0 PCI bridge: x", HostFunction(0xE030, 0x10000, "x", "PCI bridge")),
        ("00:02.0 Display controller", HostFunction(0x0010, 0, "", "Display controller")),
    ],
)  # fmt: skip
def test_headers_of_every_form(header, function):
    assert one(header=header) == function


def test_the_driver_in_use_is_known_and_says_nothing_of_what_a_function_can_do():
    function = one("Kernel driver in use: e1000e", "Kernel modules: e1000e, other")
    assert (function.driver, function.shown) == ("e1000e", "nothing")
    assert one("Kernel driver in use: <b> x").driver == ""


@pytest.mark.parametrize(
    "line, count, wide, maskable",
    [
        ("Capabilities: [80] MSI: Enable+ Count=1/8 Maskable- 64bit+", 8, True, False),
        ("Capabilities: [ac] MSI: Enable- Count=1/1 Maskable+ 64bit-", 1, False, True),
        ("Capabilities: [50] MSI: Mask- 64bit+ Count=1/16 Enable-", 16, True, False),
        ("Capabilities: [50] MSI: Mask+ 64bit- Count=32/32 Enable+", 32, False, True),
        ("Capabilities: [50] Message Signalled Interrupts: Mask- 64bit+ Queue=0/0 Enable-", 1, True, False),
        ("Capabilities: [50] Message Signalled Interrupts: Mask+ 64bit- Queue=0/5", 32, False, True),
        ("Capabilities: [50] Message Signalled Interrupts: 64bit+ Queue=0/3 Enable-", 8, True, False),
    ],
)
def test_msi_as_the_versions_of_lspci_print_it(line, count, wide, maskable):
    function = one(line)
    assert (function.msi_count, function.msi_64, function.msi_maskable) == (count, wide, maskable)
    assert function.msix_count == 0


@pytest.mark.parametrize(
    "line, count",
    [
        ("Capabilities: [70] MSI-X: Enable+ Count=64 Masked-", 64),
        ("Capabilities: [b0] MSI-X: Enable- Count=2048 Masked-", 2048),
        ("Capabilities: [b0] MSI-X: Enable- Mask- TabSize=3", 3),
    ],
)
def test_msix_as_the_versions_of_lspci_print_it(line, count):
    function = one(line)
    assert (function.msix_count, function.msi_count) == (count, 0)


@pytest.mark.parametrize(
    "line, kind",
    [
        ("Capabilities: [a0] Express (v2) Endpoint, MSI 00", "Endpoint"),
        ("Capabilities: [a0] Express (v2) Endpoint, IntMsgNum 0", "Endpoint"),
        ("Capabilities: [a0] Express Endpoint, MSI 00", "Endpoint"),
        ("Capabilities: [a0] Express Endpoint IRQ 0", "Endpoint"),
        ("Capabilities: [70] Express (v2) Root Complex Integrated Endpoint, MSI 00",
         "Root Complex Integrated Endpoint"),
        ("Capabilities: [40] Express (v2) Root Port (Slot+), MSI 00", "Root Port"),
        ("Capabilities: [40] Express (v2) Root Port (Slot-), IntMsgNum 0, FlitMode-", "Root Port"),
        ("Capabilities: [40] Express Root Port (Slot+) IRQ 0", "Root Port"),
        ("Capabilities: [70] Express (v1) PCI-Express to PCI/PCI-X Bridge, MSI 00", PCIE_TO_PCI),
        ("Capabilities: [70] Express PCI/PCI-X Bridge IRQ 0", PCIE_TO_PCI),
        ("Capabilities: [60] Express (v1) PCI/PCI-X to PCI-Express Bridge (Slot+), MSI 00",
         "PCI/PCI-X to PCI-Express Bridge"),
        ("Capabilities: [a30 v1] Secondary PCI Express", None),
        ("Capabilities: [98] Subsystem: ACME PCI Express x16 Controller", None),
    ],
)  # fmt: skip
def test_the_kind_of_a_pci_express_function(line, kind):
    assert one(line).pcie_type == kind


@pytest.mark.parametrize("letter, pin", [("A", 1), ("B", 2), ("C", 3), ("D", 4), ("?", 0)])
def test_the_pin(letter, pin):
    assert one(f"Interrupt: pin {letter} routed to IRQ 16").pin == pin


def test_what_is_not_known_or_not_below_a_function_is_passed_over():
    function = one("Flags: bus master", "\tMSI-X: Count=5", "Capabilities: [50] Power Management version 3",
                   "Kernel driver in use: MSI-X: Enable+ Count=5 Masked-")  # fmt: skip
    assert function == HostFunction(0x0300, 0, "NIC", "Network")
    text = "# a remark\n\tInterrupt: pin A\n03:00.0 Network: NIC\n\tControl: I/O+\n00: 86 80\nInterrupt: pin A\n"
    assert parse(text).functions == (function,)


def test_lines_may_be_indented_with_spaces_and_end_with_carriage_returns():
    text = "03:00.0 Network: NIC\r\n        Capabilities: [70] MSI-X: Enable+ Count=64 Masked-\r\n"
    assert parse(text).functions == (HostFunction(0x0300, 0, "NIC", "Network", msix_count=64),)


# ---- what is assumed ----


def test_a_function_without_text_has_32_msix_messages_and_pin_a():
    function = without_text(0x0300, 2)
    assert (function.bdf, function.segment, function.assumed) == (0x0300, 2, True)
    assert (function.msix_count, function.pin, function.pcie_type) == (32, 1, ENDPOINT)


def test_capabilities_that_lspci_was_not_allowed_to_read_are_assumed():
    function = one("Interrupt: pin B routed to IRQ 16", "Capabilities: <access denied>")
    assert (function.pin, function.msix_count, function.pcie_type) == (2, ASSUMED_MSIX, ENDPOINT)
    assert function.assumed and not one().assumed


def test_a_bridge_that_lspci_was_not_allowed_to_read_counts_as_a_root_port():
    bridge = one("Bus: primary=00, secondary=05, subordinate=06", "Capabilities: <access denied>")
    assert (bridge.pcie_type, bridge.msix_count, bridge.assumed) == (ROOT_PORT, 0, True)


# ---- bridges ----


@pytest.mark.parametrize(
    "bdf, above",
    [
        (0x0300, 0x0010),
        (0x06F8, 0x0500),
        (0x0500, 0x00E0),
        (0x0010, None),
        (0x0700, 0x0018),  # no bridge of its own: the closest range that holds it
        (0x0A00, None),
    ],
)
def test_the_bridge_above_is_the_one_that_leads_to_the_bus(bdf, above):
    tree = host("00:02.0 00 03 03", "00:1c.0 00 05 06", "05:00.0 05 06 06", "00:03.0 00 04 07")
    found = tree.bridge_above(bdf)
    assert (found and found.bdf) == above


@pytest.mark.parametrize("bridge", ["00:02.0 00 00 00", "05:00.0 00 03 ff", "03:00.0 00 03 03"])
def test_a_bridge_that_leads_nowhere_is_above_nothing(bridge):
    assert host(bridge).bridge_above(0x0300) is None


def test_the_bridge_above_is_of_the_same_segment():
    other = host("0001:00:02.0 00 03 03")
    assert other.bridge_above(0x0300) is None
    assert other.bridge_above(0x0300, 1) == other.functions[0]


bridge = st.tuples(*[st.integers(0, 255)] * 4).map(lambda b: "{:02x}:00.0 {:02x} {:02x} {:02x}".format(*b))


@given(st.lists(bridge, min_size=1, max_size=20, unique_by=lambda text: text[:2]), st.integers(0, 0xFFFF))
def test_climbing_comes_to_an_end_whatever_the_buses(bridges, bdf):
    tree, climbed = host(*bridges), 0
    while (found := tree.bridge_above(bdf)) is not None:
        assert found.bdf >> 8 < bdf >> 8
        bdf, climbed = found.bdf, climbed + 1
    assert climbed <= len(bridges)


def test_find_tells_segments_apart():
    two = parse("03:00.0 Network: a\n0001:03:00.0 Network: b")
    assert [two.find(0x0300).name, two.find(0x0300, 1).name] == ["a", "b"]
    assert two.find(0x0400) is None


# ---- mistakes ----

HEADER = "00:00.0 Host bridge: x\n"


@pytest.mark.parametrize(
    "text, message",
    [
        (HEADER + "03:20.0 Network: x", "2:4: device is '20'; allowed: 0 to 1f: left out"),
        (HEADER + "0000:03:00.8 Network: x", "2:12: function is '8'; allowed: 0 to 7: left out"),
        (HEADER + HEADER.replace("x", "y"), "2:1: found 00:00.0 again, as another device (line 1): another machine "
                                            "begins here"),
        (HEADER + "what?\n\tInterrupt: pin A routed to IRQ 4",
         "3:1: left out: what follows belongs to no function, its head was not understood"),
        (HEADER + "00:1c.0/00.0 Network: x", "2:9: left out: the bus of 00:1c.0/00.0 is not known"),
        (HEADER + "\tCapabilities: [50] MSI: Enable- Count=1/64 Maskable- 64bit+",
         "2:2: MSI has 64 messages; allowed: 1, 2, 4, 8, 16, 32: left out"),
        (HEADER + "  Capabilities: [50] Message Signalled Interrupts: Mask- 64bit+ Queue=0/6",
         "2:3: MSI queue is 6; allowed: 0 to 5: left out"),
        (HEADER + "\tCapabilities: [50] MSI-X: Enable- Count=2049 Masked-",
         "2:2: MSI-X table has 2049 entries; allowed: 1 to 2048: left out"),
        (HEADER + "\tCapabilities: [50] MSI-X: Enable- Count=0 Masked-",
         "2:2: MSI-X table has 0 entries; allowed: 1 to 2048: left out"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_left_out_with_a_remark(text, message):
    read = parse(text, "host")
    assert f"host:{message}" in map(str, read.remarks)
    assert read.functions[0].bdf == 0


@pytest.mark.parametrize("text", ["", "Slot:\t03:00\nClass:\tx", "\tCapabilities: [50] MSI-X: Enable- Count=4"])
def test_a_text_without_a_function_is_refused(text):
    with pytest.raises(LspciError, match=r"^host:1:1: found no PCI function; allowed: the text of lspci -vvv$"):
        parse(text, "host")


def test_a_file_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(LspciError, match=r"host\.txt:1:1: cannot be read: No such file"):
        load(tmp_path / "host.txt")


def test_a_text_above_the_limit_is_refused():
    with pytest.raises(LspciError, match=f"allowed: up to {MAX_CHARACTERS}"):
        parse(" " * (MAX_CHARACTERS + 1))


@pytest.mark.parametrize("most", [256, pytest.param(65536, marks=pytest.mark.soak)])
def test_more_functions_than_buses_can_have_are_left_out(monkeypatch, most):
    assert lspci.MAX_FUNCTIONS == 65536
    monkeypatch.setattr(lspci, "MAX_FUNCTIONS", most)
    buses = (f"{segment:04x}:{bdf >> 8:02x}:{bdf >> 3 & 31:02x}.{bdf & 7} x"
             for segment in (0, 1) for bdf in range(most))  # fmt: skip
    read = parse("\n".join(buses))
    assert len(read.functions) == most
    assert str(read.remarks[0]) == f"<text>:{most + 1}:1: found more than {most} functions: 0001:00:00.0 is left out"


# ---- any text ----

PIECES = ["03:00.0 Network: NIC", "0000:04:1f.7 x", "05:20.0 x", "\n", "\t", " ", "Capabilities: [50] ",
          "MSI: Enable- Count=1/8 Maskable- 64bit+", "MSI-X: Enable- Count=", "64", "0", " Masked-",
          "Express (v2) ", "Endpoint", ", MSI 00", "Interrupt: pin ", "A", "Capabilities: <access denied>",
          "Bus: primary=00, secondary=05, subordinate=06", "00: 86 80\n"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
def test_any_text_gives_a_host_or_a_mistake(text):
    try:
        functions = parse(text, "f").functions
    except LspciError as error:
        assert str(error) == f"f:{error.line}:{error.column}: {error.message}"
        assert "allowed: " in error.message
        return
    assert functions
    for function in functions:
        assert 0 <= function.bdf <= 0xFFFF and 0 <= function.pin <= 4
        assert function.msi_count in (0, 1, 2, 4, 8, 16, 32) and 0 <= function.msix_count <= 2048


@pytest.mark.parametrize("line", [" ", "\t" * 1000, "x" * 1000, "\tCapabilities: [", "\tBus: primary=",
                                  "\tCapabilities: [50] MSI: Count=", "03:00.0"])  # fmt: skip
@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("part", [16, pytest.param(1, marks=pytest.mark.soak)])
def test_a_long_text_of_one_piece_repeated_comes_to_an_end(line, end, part):
    """A sixteenth of the longest; what takes the square of the length would not come to an end there either."""
    text = "03:00.0 Network: NIC\n\t" + (line + end) * (MAX_CHARACTERS // part // (len(line) + 1) - 30)
    assert len(parse(text).functions) == 1


# ---- files ----


def test_the_host_of_the_lessons():
    lessons = load(BIG)
    nic, nvme, card = lessons.find(0x0300), lessons.find(0x0400), lessons.find(0x0608)
    assert (nic.msix_count, nic.pcie_type, nic.pin) == (64, ENDPOINT, 1)
    assert (nvme.msix_count, nvme.pcie_type, nvme.pin) == (128, ENDPOINT, 1)
    assert (card.msi_count, card.msix_count, card.pcie_type, card.pin) == (0, 0, None, 1)
    assert [lessons.bridge_above(each.bdf).pcie_type for each in (nic, nvme, card)] == [
        ROOT_PORT, ROOT_PORT, PCIE_TO_PCI]  # fmt: skip
    assert lessons.bridge_above(lessons.bridge_above(card.bdf).bdf).pcie_type == ROOT_PORT


def dumps(text: str) -> dict[int, bytes]:
    """The configuration space of each function, from the hexadecimal lines of lspci -xxxx."""
    spaces: dict[int, bytes] = {}
    for line in text.splitlines():
        if header := re.match(r"([0-9a-f]{2}):([0-9a-f]{2})\.([0-7]) ", line):
            bus, device, function = (int(part, 16) for part in header.groups())
            bdf = bus << 8 | device << 3 | function
            spaces[bdf] = b""
        elif row := re.fullmatch(r"[0-9a-f]{2,3}:((?: [0-9a-f]{2}){16})", line):
            spaces[bdf] += bytes.fromhex(row[1])
    return spaces


def capabilities(space: bytes) -> dict[int, int]:
    """Capability id -> the 16 bits behind its header (PCI 3.0 6.7)."""
    found, at = {}, space[0x34] & 0xFC
    while at:
        found[space[at]] = int.from_bytes(space[at + 2 : at + 4], "little")
        at = space[at + 1] & 0xFC
    return found


EXPRESS = {0: "Endpoint", 1: "Legacy Endpoint", 4: "Root Port", 9: "Root Complex Integrated Endpoint"}


@pytest.mark.parametrize("path", real_files("lspci/*.txt"))
def test_a_real_host_reads_as_its_hexadecimal_dump_says(path: Path):
    """Two readers of one machine: the text as lspci worded it, the bytes as the hardware has them."""
    spaces = dumps(path.read_text())
    functions = load(path).functions
    assert [function.bdf for function in functions] == list(spaces)
    for function in functions:
        space, has = spaces[function.bdf], capabilities(spaces[function.bdf])
        msi, msix, express = has.get(0x05), has.get(0x11), has.get(0x10)
        if function.pin or not function.bridge:  # older versions print no pin for a bridge
            assert function.pin == space[0x3D]
        assert function.msi_count == (0 if msi is None else 1 << (msi >> 1 & 7))
        assert function.msi_64 == bool((msi or 0) & 0x80)
        assert function.msi_maskable == bool((msi or 0) & 0x100)
        assert function.msix_count == (0 if msix is None else (msix & 0x7FF) + 1)
        assert function.pcie_type == (None if express is None else EXPRESS[express >> 4 & 15])
        assert function.bridge == (tuple(space[0x18:0x1B]) if space[0x0E] & 0x7F == 1 else None)
        assert not function.assumed


# --- where functions are, and no more ---

FOREST = """\
-+-[0000:17]-+-00.0-[18-1a]----00.0
 |           \\-05.0  Example Corp. Device [1234]
 \\-[0000:00]-+-00.0
             +-1c.0-[01]--
             +-1d.0-[02-04]--+-[0000:03]---10.1
             |               \\-[0000:02]-+-00.0
             |                           \\-00.1
             \\-1f.3
0000:00:1e.0-[05]----0d.0
"""


def test_a_tree_tells_where_functions_are_and_which_buses_are_behind_bridges():
    host = parse(FOREST, "tree.txt")
    assert [f"{f.segment:x}:{bdf_text(f.bdf)}" for f in host.functions] == [
        "0:17:00.0", "0:18:00.0", "0:17:05.0", "0:00:00.0", "0:00:1c.0", "0:00:1d.0", "0:03:10.1", "0:02:00.0",
        "0:02:00.1", "0:00:1f.3", "0:00:1e.0", "0:05:0d.0"]
    assert {bdf_text(f.bdf): f.bridge for f in host.functions if f.bridge} == {
        "17:00.0": (0x17, 0x18, 0x1A), "00:1c.0": (0, 1, 1), "00:1d.0": (0, 2, 4), "00:1e.0": (0, 5, 5)}
    assert host.find(0x1728).name == "Example Corp. Device [1234]"
    assert all(f.assumed and f.shown == "nothing" for f in host.functions)
    assert str(host.remarks[0]) == ("tree.txt:1:1: 12 functions as lspci -t shows them: where they are; their "
                                    "capabilities are not known")


@pytest.mark.parametrize("text, bdf, class_name, name, driver", [
    ('03:00.0 "Ethernet controller" "Example" "NIC \\"B\\"" -r01 "Example" "Card"', 0x300, "Ethernet controller",
     'Example NIC "B"', ""),
    ('03:00.0 "Ethernet controller [0200]" "Example [1234]" "NIC [5678]" "" ""', 0x300, "Ethernet controller",
     "Example [1234] NIC [5678]", ""),
    ('0000:03:00.0 "0604" "1234" "5678" "" ""', 0x300, "0604", "1234 5678", ""),
    ("Slot:\t03:00.0\nClass:\tPCI bridge\nVendor:\tExample\nDevice:\tPort\nDriver:\tpcieport", 0x300, "PCI bridge",
     "Example Port", "pcieport"),
    ("Device:\t03:00.0\nClass:\tRAID\nVendor:\tExample\nDevice:\tDisks", 0x300, "RAID", "Example Disks", ""),
])
def test_forms_for_machines(text, bdf, class_name, name, driver):
    (function,) = parse(text + "\n").functions
    assert (function.bdf, function.class_name, function.name, function.driver) == (bdf, class_name, name, driver)
    assert function.is_bridge == (class_name in ("PCI bridge", "0604")) and function.assumed


def test_of_two_texts_of_a_function_the_one_that_shows_more_counts():
    details = "01:00.0 Network: NIC\n\tCapabilities: [70] MSI-X: Enable+ Count=64 Masked-\n\n"
    tree = "-[0000:00]---1c.0-[01]----00.0\n\n"
    for text in (details + tree, tree + details):
        host = parse(text)
        assert host.find(0x100).msix_count == 64 and host.find(0x100).shown == "all"
        assert host.bridge_above(0x100).bdf == 0xE0 and len(host.functions) == 2


@pytest.mark.parametrize("text", ["-[0000:00]-", "-[00]-" * 500, "-[0000:00]-+-3f.0", " \\-00.0\n-[00]",
                                  "Slot:\t00:3f.0", "-[0000:00]---00.0\nno tree\n  \\-01.0"])
def test_torn_trees_are_read_as_far_as_they_go(text):
    assert len(read(lines_of(text)[0]).records) <= 1


DETAILED = """03:00.0 Network controller: NIC
\tSubsystem: ACME Device 1
\tControl: I/O+ Mem+ BusMaster+
\tInterrupt: pin B routed to IRQ 16
\tRegion 0: Memory at f0000000 (64-bit)
\tCapabilities: [50] MSI: Enable- Count=1/8 Maskable- 64bit+
\t\tAddress: 0000000000000000  Data: 0000
\tCapabilities: [70] MSI-X: Enable+ Count=64 Masked-
\tKernel driver in use: nic
\tKernel modules: nic

03:00.1 Network controller: NIC
\tCapabilities: <access denied>
"""


def test_details_that_a_page_has_moved_to_the_left_are_details():
    flat = "".join(f"{line.strip()}\n" for line in DETAILED.splitlines())
    first, second = parse(flat).functions
    assert (first, second) == parse(DETAILED).functions
    assert (first.shown, first.driver, first.msix_count, second.shown) == ("all", "nic", 64, "denied")


def test_words_at_the_left_below_a_function_are_none_of_it():
    function = parse("03:00.0 Network controller: NIC\nStatus: Confirmed\nRegion: Europe\n  MSI-X\n").functions[0]
    assert (function.shown, function.name) == ("nothing", "NIC")
    function = parse("03:00.0 Network: NIC\nKernel modules: nic\nsome words\n  more words\n").functions[0]
    assert function.shown == "nothing"


@pytest.mark.parametrize("text", [DETAILED, DETAILED.replace("\t", "        ")])
@pytest.mark.parametrize("end", ["\n\n", "\r\r\n", "\r\n\r\n"])
def test_a_blank_line_after_each_line_parts_nothing(text, end):
    assert [(each.shown, each.msix_count) for each in parse(text.replace("\n", end)).functions] == [
        (each.shown, each.msix_count) for each in parse(text).functions]
    assert parse(text.replace("\n", end)).functions[1].line == 23


TREE_OF_A_HOST = """-+-[0000:40]-+-00.0
 |           +-1c.0-[41-42]--+-00.0
 |           |               \\-00.1
 |           \\-1f.0
 \\-[0000:00]-+-00.0
             +-01.0-[01]----00.0  NVIDIA + more
             \\-1f.3
"""


@pytest.mark.parametrize("change", [str.lstrip, lambda row: "   " + row, lambda row: row])
def test_a_tree_that_was_moved_is_the_same_tree(change):
    rows = TREE_OF_A_HOST.splitlines()
    moved = "\n".join([rows[0], *map(change, rows[1:])])
    assert parse(moved).functions == parse(TREE_OF_A_HOST).functions
    assert [f"{each.bdf:04x}" for each in parse(moved).functions] == [
        "4000", "40e0", "4100", "4101", "40f8", "0000", "0008", "0100", "00fb"]


def test_a_tree_without_its_blanks_has_only_what_is_sure():
    host = parse(re.sub(" +", " ", TREE_OF_A_HOST))
    sure = {each.bdf for each in parse(TREE_OF_A_HOST).functions}
    assert {each.bdf for each in host.functions} <= sure
    assert "has lost its blanks" in host.remarks[-1].text
