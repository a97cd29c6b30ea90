"""A domain from its configuration."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import ROOT, real_files
from vsim.readers.xl import (
    DEFAULT_MEMORY,
    GRAMMARS,
    MAX_CHARACTERS,
    MAX_DEVICES,
    MAX_VCPUS,
    Config,
    ConfigError,
    Emulated,
    PciAssign,
    ViommuConfig,
    load,
    parse,
)
from vsim.readers.xl_rules import RULES

DATA = ROOT / "notebooks" / "data"
HVM = "name='g';type='hvm';memory=512;"


def mistake(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f.cfg")
    return str(caught.value).removeprefix("f.cfg:")


# ---- the domain ----


def test_a_file_needs_nothing_but_says_what_was_assumed():
    config = parse("")
    assert (config.name, config.type, config.vcpus, config.maxvcpus) == ("unnamed", "hvm", 1, 1)
    assert (config.memory, config.pci, config.emulated, config.viommu) == (DEFAULT_MEMORY, (), (), None)
    assert config.notes == (
        "type is not given: hvm taken (xl makes it pv, which has no vIOMMU)",
        f"memory is not given: {DEFAULT_MEMORY} MiB taken",
    )


def test_a_domain_that_xl_takes_has_no_notes():
    assert parse(HVM).notes == ()


@pytest.mark.parametrize(
    "text, kind", [("type='hvm'", "hvm"), ("type='pvh'", "pvh"), ("builder='hvm'", "hvm"),
                   ("builder='hvm';type='hvm'", "hvm")]
)  # fmt: skip
def test_the_type_is_hvm_or_pvh(text, kind):
    assert parse(text).type == kind


@pytest.mark.parametrize("number, value", [("4", 4), ("0x10", 16), ("010", 8), ("'12'", 12), ("'0X1F'", 31)])
def test_a_number_is_decimal_hexadecimal_or_octal_with_or_without_quotes(number, value):
    assert parse(f"vcpus={number}").vcpus == value


@pytest.mark.parametrize(
    "text, vcpus, most", [("vcpus=4", 4, 4), ("vcpus=4;maxvcpus=8", 4, 8), ("maxvcpus=8", 1, 8)]
)
def test_maxvcpus_is_vcpus_unless_given(text, vcpus, most):
    config = parse(text)
    assert (config.vcpus, config.maxvcpus) == (vcpus, most)


@pytest.mark.parametrize("vcpus, notes", [(128, ()), (129, ("129 vCPUs: Xen itself stops at 128",))])
def test_more_vcpus_than_xen_has_are_a_note(vcpus, notes):
    assert parse(HVM + f"vcpus={vcpus}").notes == notes


def test_the_machine_takes_its_most_vcpus():
    assert parse(f"vcpus={MAX_VCPUS}").maxvcpus == MAX_VCPUS


def test_options_without_a_part_in_interrupts_are_listed_with_their_lines():
    config = parse("name='x'\nuuid='y'\n\nsdl=1; vnc=0\nserial=['pty']")
    assert config.unknown == (("uuid", 2), ("sdl", 4), ("vnc", 4), ("serial", 5))


def test_a_key_that_is_set_again_is_a_note():
    config = parse(HVM + "vcpus=2\nvcpus=3\nvcpus=4")
    assert config.vcpus == 4
    assert config.notes == ("vcpus is set 3 times; line 3 counts",)


# ---- pci ----


@pytest.mark.parametrize(
    "spec, entry",
    [
        ("03:00.0", PciAssign(0x0300)),
        ("0:1f.7", PciAssign(0x00FF)),
        ("FF:1f.7", PciAssign(0xFFFF)),
        ("0000:03:00.0", PciAssign(0x0300)),
        ("1:03:00.0", PciAssign(0x0300, 1)),
        ("03:00.0@5", PciAssign(0x0300, 0, 5)),
        ("03:00.0@1f,seize=1", PciAssign(0x0300, 0, 31, (("seize", "1"),))),
        ("03:00.0,vslot=5", PciAssign(0x0300, 0, 5)),
        ("bdf=03:00.0,vslot=0", PciAssign(0x0300, 0, None)),
        ("seize=1, bdf=03:00.0", PciAssign(0x0300, 0, None, (("seize", "1"),))),
        ("03:00.0,seize=1,rdm_policy=strict,", PciAssign(0x0300, 0, None, (("seize", "1"),
                                                                          ("rdm_policy", "strict")))),
    ],
)  # fmt: skip
def test_pci_functions(spec, entry):
    (found,) = parse(HVM + f"pci=['{spec}']").pci
    assert found == PciAssign(entry.bdf, entry.segment, entry.virtual_slot, entry.options, line=1)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.none() | st.integers(2, 31))
def test_every_pci_function_reads_back(bdf, segment, slot):
    written = f"{segment:04x}:{bdf >> 8:02x}:{bdf >> 3 & 31:02x}.{bdf & 7}"
    written += "" if slot is None else f"@{slot:02x}"
    assert parse(f"pci=['{written}']").pci == (PciAssign(bdf, segment, slot, (), 1),)


def test_an_option_that_xl_does_not_know_is_kept_with_a_note():
    config = parse(HVM + "\npci=['03:00.0,color=red']")
    assert config.pci[0].options == (("color", "red"),)
    assert config.notes == ("line 2: 'color' is no pci option that xl knows; kept, not used (xl refuses it: "
                            "libxlu_pci.c, xlu_pci_parse_spec_string; up to 4.14 it says so and ignores it)",)


def test_many_unknown_options_are_counted():
    notes = parse(HVM + "".join(f"\nx{number}=1" for number in range(30))).notes
    assert len(notes) == 21 and notes[-1].startswith("line 22: 10 more options are none of xl")
    assert parse(HVM + "vif.x=1;" + "a" * 100_000 + "=1").notes[0].startswith("line 1: 'vif.x' is no option of xl")


def test_a_policy_may_stand_before_the_strategy():
    assert len(parse(HVM + "rdm='policy=relaxed,strategy=host'").notes) == 1


# ---- emulated devices ----


@pytest.mark.parametrize(
    "text, vifs, models",
    [
        ("vif=['']", 1, ["rtl8139"]),
        ("vif=['model=e1000,bridge=xenbr0', 'mac=00:16:3e:00:00:01']", 2, ["e1000", "rtl8139"]),
        ("vif=['type=ioemu, model=e1000']", 1, ["e1000"]),
        ("vif=['type=vif']", 1, []),
        ("vif=['model=e1000,type=vif', '']", 2, ["rtl8139"]),
        ("type='pvh';vif=['model=e1000']", 1, []),
    ],
)
def test_a_vif_is_an_emulated_nic_for_an_hvm_guest_unless_it_says_not(text, vifs, models):
    config = parse(text)
    assert config.vifs == vifs
    assert [device.model for device in config.emulated] == models


def test_disks_come_after_the_nics_with_what_they_are_attached_to():
    config = parse("disk=['/dev/a,raw,xvda,rw','/dev/b,raw,hdb,rw']\nvif=['']\nhdtype='ahci'")
    assert config.disks == 2
    assert config.emulated == (
        Emulated("nic", "rtl8139", "", 2),
        Emulated("disk", "ahci", "/dev/a,raw,xvda,rw", 1),
        Emulated("disk", "ahci", "/dev/b,raw,hdb,rw", 1),
    )


# ---- viommu, X 6.1, row "RFC v2, v1" ----


@pytest.mark.parametrize(
    "text, intremap, x2apic, base, length",
    [
        ("type=vtd,intremap=1,x2apic=1", True, True, 0xFED90000, 0x1000),
        ("x2apic=1,intremap=1,type=vtd", True, True, 0xFED90000, 0x1000),
        ("type=vtd, intremap=1", True, False, 0xFED90000, 0x1000),
        ("type=vtd,intremap=0,x2apic=0", False, False, 0xFED90000, 0x1000),
        ("type=vtd,x2apic=1", False, True, None, None),
        ("type=vtd", False, False, None, None),
    ],
)
def test_viommu_takes_its_keys_in_any_order(text, intremap, x2apic, base, length):
    config = parse(HVM + f"viommu='{text}'")
    assert config.viommu == ViommuConfig("vtd", intremap, x2apic, base, length, 1, 39)
    assert bool(config.notes) == (base is None)


def test_the_grammar_of_viommu_is_that_of_a_known_version():
    assert set(GRAMMARS) == {"rfc-v1", "rfc-v2", "v1", "v1-corrected", "v2", "v3", "v4"}
    with pytest.raises(ValueError, match="grammar is 'v9'; known are rfc-v1, rfc-v2"):
        parse("", grammar="v9")


@pytest.mark.parametrize("grammar, text, intremap, x2apic, notes", [
    ("v2", "'type=intel_vtd,intremap=1,x2apic=1'", True, True, []),
    ("v2", "'type=intel_vtd'", True, False, []),
    ("v2", "'type=intel_vtd,x2apic=1'", True, False, ["line 1: xl of version 2 swallows 'x2apic': its second key is "
                                                      "looked at for intremap only"]),
    ("v3", "['type=intel_vtd,intremap=1']", True, True, []),
    ("v4", "['type=intel_vtd']", True, True, []),
    ("v4", "'type=vtd,intremap=1,x2apic=1'", True, True, [
        'line 1: viommu is written as in version 1; the xl of version 4 refuses it, and takes viommu = '
        '[ "type=intel_vtd,intremap=1" ]']),
    ("v1", "['type=intel_vtd']", True, True, [
        'line 1: viommu is written as in version 3 and 4; the xl of version 1 refuses it, and takes viommu = '
        '"type=vtd,intremap=1"']),
    ("v1-corrected", "['type=intel_vtd']", True, True, []),
    ("v4", "['type=intel_vtd,intremap=0x2']", True, True, [
        "line 1: intremap is '0x2', which xl takes for 1; meant are 0 and 1 (xl changes it: tools/xl/xl_parse.c, "
        "parse_viommu_config)"]),
    ("v4", "['type=intel_vtd,intremap=1,intremap=1']", True, True, []),
    ("v4", "['type=intel_vtd, intremap=1']", True, True, [
        "line 1: a blank in viommu is taken as if it were not there (xl refuses it: tools/xl/xl_parse.c, "
        "parse_viommu_config)"]),
])
def test_viommu_in_the_grammar_of_each_version(grammar, text, intremap, x2apic, notes):
    config = parse(HVM + f"viommu={text}", grammar=grammar)
    assert (config.viommu.intremap, config.viommu.x2apic) == (intremap, x2apic)
    assert (config.viommu.base, config.viommu.length) == (0xFED90000, 0x1000)
    assert list(config.notes) == notes


@pytest.mark.parametrize("text, message", [
    ("viommu=['type=intel_vtd','type=intel_vtd']", '1:26: found a second viommu; allowed: one (libxl: more are "under'
                                                   ' implementation")'),
    ("viommu=['intremap=1,type=intel_vtd']", "1:10: found 'intremap' first; allowed: type first, then intremap"),
    ("viommu=['type=intel_vtd,x2apic=1']", "1:25: viommu key is 'x2apic'; allowed: type, intremap"),
    ("viommu=['type=intel_vtd,intremap=0']", "1:25: intremap is 0; allowed: 1 (libxl refuses a vIOMMU without "
                                             "interrupt remapping)"),
    ("viommu=['type=intel_vtd,intremap=on']", "1:25: intremap is 0; allowed: 1 (libxl refuses a vIOMMU without "
                                              "interrupt remapping)"),
    ("viommu=['type=INTEL_VTD']", "1:10: viommu type is 'INTEL_VTD'; allowed: intel_vtd"),
    ("viommu=[4]", "1:9: found a number in viommu; allowed: texts in quotes"),
    ("viommu='type=intel_vtd,intremap=1,eim=1'", "1:35: viommu key is 'eim'; allowed: x2apic"),
    ("viommu='intremap=1,type=intel_vtd'", "1:9: found 'intremap' first; allowed: type first, then intremap, x2apic"),
])
def test_what_the_xl_of_the_later_versions_refuses(text, message):
    assert mistake(text) == message


# ---- what xl refuses or ignores: a text for every rule ----

RULED = {
    "contradiction": ("builder='hvm';type='pvh'", "1:20: type is 'pvh', builder is 'hvm'; allowed: one of them"),
    "rdm-policy": ("pci=['03:00.0,rdm_policy=none']", "1:15: rdm_policy is 'none'; allowed: strict, relaxed"),
    "rdm": ("rdm='strategy=none'", "1:5: rdm is 'strategy=none'; allowed: strategy=host"),
    "board-slot": (HVM + "pci=['03:00.0@1']", "virtual slot 1 has the PIIX3 of every HVM guest; allowed: 4 to 1f"),
    "used-slot": (HVM + "pci=['03:00.0@3']", "virtual slot 3 mostly has the Xen platform device"),
    "slot-0": (HVM + "pci=['03:00.0@0']", "virtual slot 0 has the host bridge; to xl it is the same as none"),
    "pvh-pci": ("type='pvh';pci=['03:00.0']", "a PVH guest cannot have passed-through functions (xl refuses"),
    "unknown-pci-option": ("pci=['03:00.0,color=red']", "'color' is no pci option that xl knows"),
    "pci-switch": ("pci=['03:00.0,seize=yes']", "seize is 'yes', which xl takes for 0; meant are 0 and 1"),
    "disk": (HVM + "disk=['/a,raw,xvde,rw']", "xvde is not emulated, only the first 4 are; it is there for PV drivers"),
    "no-name": ("vcpus=4", "name is not given (xl refuses it: tools/xl/xl_parse.c"),
    "uuid": ("uuid='x'", "uuid is 'x'; meant are 32 hexadecimal digits"),
    "carriage-return": ("name='g'\r\n", "line 1: the line ends with a CR before the line feed (xl refuses"),
    "rdm-inverted": ("rdm='strategy=host,policy=strict'", "rdm names a policy, which was right up to 4.14 (xl refuses"),
    "pci-blank": (HVM + "pci=['03:00.0, seize=1']", "a blank in '03:00.0, seize=1'; taken as if it were not there"),
    "open-comment": (HVM + "\n# the end", "line 2: the file ends in a comment, without a line end behind it (xl"),
    "numeric-escape": (HVM + "bootloader='\\101'", "a text has a character by its number; its character is taken"),
    "unknown-key": (HVM + "vcpu=4", "'vcpu' is no option of xl; vcpus is one (xl ignores it: tools/xl/xl_parse.c"),
    "viommu-info": ("viommu_info='intremap=1'", "viommu_info is the option of the first RFC"),
}


def test_every_rule_has_a_text():
    assert set(RULED) == {rule.name for rule in RULES}
    assert all(rule.verdict in ("refuses", "ignores", "changes") and rule.source for rule in RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_xl_refuses_or_ignores_is_told(rule):
    text, message = RULED[rule.name]
    if rule.mistake:
        assert message in mistake(text)
    else:
        assert any(message in note for note in parse(text).notes)
    assert parse(HVM + "pci=['03:00.0@5,seize=1'];disk=['/a,raw,xvda,rw']").notes == ()


@pytest.mark.parametrize("bus, entries, emulated", [
    ("ide", ["/a,raw,xvda,rw", "/b,raw,xvde,rw", "/c,raw,xvdh,rw", "/d.iso,,hdc,cdrom"], [0, 3]),
    ("ahci", ["/a,raw,xvde,rw", "/b,raw,hdf,rw", "/c,raw,xvdg,rw", "/d.iso,,xvde,cdrom"], [0, 1]),
    ("ide", ["format=raw, vdev=hdd, access=rw, target=/a", "vdev=d4,target=/b", "/c,,sdz,w", "/e,raw,xvdaa"], [0, 2]),
    ("ide", ["phy:/dev/a,hda", "/dev/b,raw,hda1,ro", "/c,raw,/dev/hdb,rw", "/i,raw,hdb:cdrom,r"], [1, 2, 3]),
])
def test_which_disks_are_emulated(bus, entries, emulated):
    config = parse(HVM + f"hdtype='{bus}';disk={entries}")
    assert [device.text for device in config.emulated] == [entries[number] for number in emulated]
    assert config.disks == len(entries) and len(config.notes) == len(entries) - len(emulated)


# ---- mistakes ----


@pytest.mark.parametrize(
    "text, message",
    [
        ("type='pv'", "1:6: type is 'pv'; allowed: hvm, pvh"),
        ("builder='generic'", "1:9: builder is 'generic'; allowed: hvm"),
        ("type=1", "1:6: type is a number; allowed: a text"),
        ("name=['x']", "1:6: name is a list; allowed: a text"),
        ("name='\\x1b[2J'", "1:6: found '\\x1b[2J'; allowed: printable characters"),
        ("vcpus=0", "1:7: vcpus is '0'; allowed: a number from 1 to 4096 (decimal, 0x.. or 0..)"),
        ("vcpus=4097", "1:7: vcpus is '4097'; allowed: a number from 1 to 4096 (decimal, 0x.. or 0..)"),
        ("vcpus=08", "1:7: vcpus is '08'; allowed: a number from 1 to 4096 (decimal, 0x.. or 0..)"),
        ("vcpus='four'", "1:7: vcpus is 'four'; allowed: a number from 1 to 4096 (decimal, 0x.. or 0..)"),
        ("vcpus=[4]", "1:7: vcpus is a list; allowed: a number or a text"),
        ("vcpus=9\n maxvcpus=8", "2:11: maxvcpus is 8; allowed: from 9 on, the number of vcpus"),
        ("memory=0", "1:8: memory is '0'; allowed: a number from 1 to 16777216 (decimal, 0x.. or 0..)"),
        ("pci='03:00.0'", "1:5: pci is a text; allowed: a list"),
        ("pci=['03:00.0',\n 4]", "2:2: found a number in pci; allowed: texts in quotes"),
        ("pci=['03:00.*']", "1:7: found '03:00.*'; allowed: each function as an entry of its own"),
        ("pci=['03:20.0']", "1:7: found '03:20.0' as a PCI function;"
                            " allowed: [DDDD:]BB:DD.F in hexadecimal, DD up to 1f, F up to 7"),
        ("pci=['']", "1:6: found '' as a PCI function;"
                     " allowed: [DDDD:]BB:DD.F in hexadecimal, DD up to 1f, F up to 7"),
        ("pci=['seize=1,bdf=3']", "1:15: found '3' as a PCI function;"
                                  " allowed: [DDDD:]BB:DD.F in hexadecimal, DD up to 1f, F up to 7"),
        ("pci=['03:00.0@20']", "1:7: virtual slot is '20'; allowed: 0 to 1f, hexadecimal"),
        ("pci=['03:00.0,seize']", "1:15: found 'seize'; allowed: KEY=VALUE after the function"),
        ("pci=['03:00.0',\n'0:3:0.0']", "2:1: found '0:3:0.0' again; allowed: once (line 1 has it)"),
        ("vif=['type=pv']", "1:7: vif type is 'pv'; allowed: ioemu, vif"),
        ("disk=['a\\n']", "1:7: found 'a\\n'; allowed: printable characters"),
        ("hdtype='scsi'", "1:8: hdtype is 'scsi'; allowed: ide, ahci"),
        ("viommu=['type=vtd']", "1:10: viommu type is 'vtd'; allowed: intel_vtd"),
        ("viommu=''", "1:8: found no type in viommu; allowed: type=vtd"),
        ("viommu='type=amd'", "1:9: viommu type is 'amd'; allowed: vtd"),
        ("viommu='type=vtd,eim=1'", "1:18: viommu key is 'eim'; allowed: type, intremap, x2apic"),
        ("viommu='type=vtd,intremap'", "1:18: intremap is '';"
                                       " allowed: a number from 0 to 1 (decimal, 0x.. or 0..)"),
        ("viommu='type=vtd,x2apic=2'", "1:18: x2apic is '2';"
                                       " allowed: a number from 0 to 1 (decimal, 0x.. or 0..)"),
        ("viommu='type=vtd,x2apic=1,x2apic=1'", "1:27: found x2apic again; allowed: each viommu key once"),
        ("viommu='type=vtd,type=vtd'", "1:18: found type again; allowed: each viommu key once"),
    ],
)  # fmt: skip
def test_a_mistake_says_where_it_is_what_was_found_and_what_is_allowed(text, message):
    assert mistake(text) == message


def test_a_list_of_devices_has_a_limit():
    assert parse(f"vif={[''] * MAX_DEVICES}").vifs == MAX_DEVICES
    assert mistake(f"vif={[''] * (MAX_DEVICES + 1)}").endswith("vif has 257 entries; allowed: up to 256")


def test_a_number_of_a_million_digits_is_refused_at_once():
    assert "vcpus is '9999999999999999999999999999999999999..." in mistake("vcpus=" + "9" * 1_000_000)


def test_a_text_above_the_limit_is_refused():
    assert mistake("#" * (MAX_CHARACTERS + 1)).startswith("1:1: found 1048577 characters; allowed")


# ---- any text ----

PIECES = ["name", "type", "vcpus", "memory", "pci", "vif", "disk", "viommu", "=", "+=", "'hvm'", "4", "0x",
          "'03:00.0'", "'type=vtd,intremap=1'", "[", "]", ",", ";", "\n", "#", "\\", "'", '"', " ", "\\x"]


def config_or_mistake(text: str) -> None:
    try:
        assert isinstance(parse(text, "f"), Config)
    except ConfigError as error:
        assert str(error) == f"f:{error.line}:{error.column}: {error.message}"
        lines = text.split("\n")
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
        assert error.message.isascii() and "allowed: " in error.message


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_pieces_of_a_configuration_give_a_domain_or_a_mistake(text):
    config_or_mistake(text)


@given(st.text())
def test_any_text_gives_a_domain_or_a_mistake(text):
    config_or_mistake(text)


@given(st.sampled_from(["name", "type", "vcpus", "pci", "vif", "viommu", "other"]), st.text(), st.booleans())
def test_any_text_as_the_value_of_an_option_gives_a_domain_or_a_mistake(key, value, listed):
    quoted = "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
    config_or_mistake(f"{key}=[{quoted}]" if listed else f"{key}={quoted}")


@given(st.binary(max_size=200))
def test_any_bytes_as_a_file_give_a_domain_or_a_mistake(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cfg") / "any.cfg"
    path.write_bytes(data)
    try:
        assert load(path).file == str(path)
    except ConfigError as error:
        assert error.file == str(path)


# ---- files ----


@pytest.mark.parametrize(
    "name, vcpus, functions, viommu",
    [
        ("big", 288, [0x0300, 0x0400], True),
        ("big-noviommu", 288, [0x0300, 0x0400], False),
        ("thousand", 1024, [0x0300, 0x0400], True),
        ("small", 8, [0x0300], True),
    ],
)
def test_the_configurations_of_the_lessons(name, vcpus, functions, viommu):
    config = load(DATA / f"{name}.cfg")
    assert (config.name, config.type, config.vcpus, config.maxvcpus) == (name, "hvm", vcpus, vcpus)
    assert [entry.bdf for entry in config.pci] == functions
    assert [device.model for device in config.emulated if device.kind == "nic"] == ["e1000"]
    assert bool(config.viommu) == viommu
    assert not viommu or (config.viommu.intremap and config.viommu.x2apic)


def test_big_and_its_twin_differ_in_name_mac_and_viommu_alone():
    def options(name):
        lines = (DATA / f"{name}.cfg").read_text().splitlines()
        return {line for line in lines if line.strip() and not line.startswith(("#", "name", "vif"))}

    only_big, only_twin = options("big") - options("big-noviommu"), options("big-noviommu") - options("big")
    assert (only_big, only_twin) == ({'viommu = "type=vtd,intremap=1,x2apic=1"'}, set())


@pytest.mark.parametrize("path", real_files("xl-cfg/*.cfg"))
def test_a_real_configuration_is_read(path: Path):
    config = load(path)
    assert (config.name, config.type, config.vcpus, config.memory) == ("example.hvm", "hvm", 2, 128)
    assert (config.vifs, config.disks, config.unknown) == (1, 1, (("sdl", 46),))
