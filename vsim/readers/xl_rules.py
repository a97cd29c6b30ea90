"""What xl refuses or ignores, and this kit would otherwise take without a word: a row for each, with its source.

A row that is a `mistake` stops the reading, at its place: what the option meant cannot be known. The others are notes:
the domain is built as xl would build it, or as it would be if xl took it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from vsim.readers.source import shown
from vsim.readers.xl_keys import KEYS
from vsim.readers.xl_values import Options
from vsim.readers.xlu import Value, carriage_return, numeric_escape, open_comment

PCI_OPTIONS = ("msitranslate", "name", "permissive", "power_mgmt", "rdm_policy", "seize")
"""Options of one entry of `pci` that xl knows (xl-pci-configuration(5)); others are kept with a note."""
RDM_POLICIES = ("strict", "relaxed")
MAX_UNKNOWN = 20
"""Unknown keys that are told one by one."""
Found = Iterable[tuple[int, str]]
"""Offset of what was found, and the sentence."""


class Rule(NamedTuple):
    """name; verdict: what xl does, "refuses", "ignores" or "changes"; mistake: whether it stops the reading too.

    source: where that is to be read. find: the places in a configuration, with a sentence each; kind: of domain.
    """

    name: str
    verdict: str
    mistake: bool
    source: str
    find: Callable[[Options, str], Found]


def notes(options: Options, kind: str) -> tuple[str, ...]:
    """The notes of all rules, in the order of the text. ConfigError for the first mistake."""
    found = []
    for rule in RULES:
        for at, sentence in rule.find(options, kind):
            if rule.mistake:
                raise options.source.error(at, f"{sentence} (xl {rule.verdict} it: {rule.source})")
            found.append((at, f"line {options.source.line(at)}: {sentence} (xl {rule.verdict} it: {rule.source})"))
    return tuple(text for _, text in sorted(found))


# --- the places ---


def _contradiction(options: Options, kind: str) -> Found:
    builder, given = options.given.get("builder"), options.given.get("type")
    if builder and given and builder.value.text != given.value.text:
        yield given.value.at, (f"type is {shown(given.value.text)}, builder is {shown(builder.value.text)}; allowed: "
                               "one of them, or the same")


def _no_name(options: Options, kind: str) -> Found:
    if options.given and "name" not in options.given:
        yield 0, "name is not given"


def _pci(options: Options) -> Iterator[tuple[int, str, str]]:
    """Offset, key and value of every option of every entry of pci; the key "" has the function itself."""
    value = options.given["pci"].value if "pci" in options.given else None
    for item in value.items if value else ():
        for number, (at, part) in enumerate(item.parts()):
            key, equals, text = (side.strip() for side in part.partition("="))
            yield (at, key, text) if equals else (at, "" if number == 0 else key, part)


def _rdm_policy(options: Options, kind: str) -> Found:
    for at, key, text in _pci(options):
        if key == "rdm_policy" and text not in RDM_POLICIES:
            yield at, f"rdm_policy is {shown(text)}; allowed: {', '.join(RDM_POLICIES)}"


def _unknown_pci(options: Options, kind: str) -> Found:
    for at, key, _ in _pci(options):
        if key not in (*PCI_OPTIONS, "", "bdf", "vslot"):
            yield at, f"{shown(key)} is no pci option that xl knows; kept, not used"


def _unknown_key(options: Options, kind: str) -> Found:
    unknown = [each for each in options.given.values() if each.key not in KEYS and each.key != "viommu_info"]
    for each in unknown[:MAX_UNKNOWN]:
        near = get_close_matches(each.key[:40], KEYS, 1, 0.8)
        yield each.at, f"{shown(each.key)} is no option of xl{f'; {near[0]} is one' if near else ''}"
    if len(unknown) > MAX_UNKNOWN:
        yield unknown[MAX_UNKNOWN].at, f"{len(unknown) - MAX_UNKNOWN} more options are none of xl"


def _pci_blank(options: Options, kind: str) -> Found:
    """Old versions take a blank before a number as strtoul does, and miss an option whose name begins with one."""
    value = options.given["pci"].value if "pci" in options.given else None
    for item in value.items if value else ():
        if re.search(r"\s", item.text.partition(",name=")[0]):
            yield item.at, f"a blank in {shown(item.text)}; taken as if it were not there"


def _switches(options: Options, kind: str) -> Found:
    for at, key, text in _pci(options):
        if key in ("msitranslate", "permissive", "power_mgmt", "seize") and not re.fullmatch(r"\s*[01]\s*", text):
            number = re.match(r"\s*[-+]?\d+", text)
            taken = int(number[0][:9]) if number else 0
            yield at, f"{key} is {shown(text)}, which xl takes for {taken}; meant are 0 and 1"


def _slots(options: Options) -> Iterator[tuple[int, int]]:
    for at, key, text in _pci(options):
        slot = text.partition("@")[2] if key == "" else text if key == "vslot" else ""
        if re.fullmatch(r"\s*[0-9a-fA-F]{1,2}\s*", slot):
            yield at, int(slot, 16)


def _board_slot(options: Options, kind: str) -> Found:
    for at, slot in _slots(options):
        if kind == "hvm" and slot == 1:
            yield at, "virtual slot 1 has the PIIX3 of every HVM guest; allowed: 4 to 1f, hexadecimal"


def _used_slot(options: Options, kind: str) -> Found:
    for at, slot in _slots(options):
        if kind == "hvm" and slot in (2, 3):
            card = "graphics card" if slot == 2 else "Xen platform device"
            yield at, f"virtual slot {slot} mostly has the {card} of an HVM guest"


def _slot_0(options: Options, kind: str) -> Found:
    for at, slot in _slots(options):
        if slot == 0:
            yield at, "virtual slot 0 has the host bridge; to xl it is the same as none: it chooses"


def _pvh_pci(options: Options, kind: str) -> Found:
    if kind == "pvh" and "pci" in options.given and options.given["pci"].value.items:
        yield options.given["pci"].at, "a PVH guest cannot have passed-through functions"


def _disks(options: Options, kind: str) -> Found:
    bus = options.given["hdtype"].value.text if "hdtype" in options.given else "ide"
    value = options.given["disk"].value if "disk" in options.given else None
    for item, disk in disks_of(value.items if value else ()) if kind == "hvm" else ():
        if disk.number < 0:
            yield item.at, f"found no virtual device in {shown(item.text)}: no emulated disk"
        elif not disk.emulated(bus):
            most = "first 4" if disk.cdrom or bus != "ahci" else "first 6"
            yield item.at, f"{disk.device} is not emulated, only the {most} are; it is there for PV drivers"


_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


def _uuid(options: Options, kind: str) -> Found:
    given = options.given.get("uuid")
    if given and given.value.kind == "text" and not _UUID.fullmatch(given.value.text):
        yield given.value.at, f"uuid is {shown(given.value.text)}; meant are 32 hexadecimal digits"


def _carriage_return(options: Options, kind: str) -> Found:
    at = carriage_return(options.source)
    if at >= 0:
        yield at, "the line ends with a CR before the line feed"


def _old_key(options: Options, kind: str) -> Found:
    if "viommu_info" in options.given:
        yield options.given["viommu_info"].at, "viommu_info is the option of the first RFC; now it is viommu"


def _numeric_escape(options: Options, kind: str) -> Found:
    at = numeric_escape(options.source)
    if at >= 0:
        yield at, "a text has a character by its number; its character is taken"


def _open_comment(options: Options, kind: str) -> Found:
    at = open_comment(options.source)
    if at >= 0:
        yield at, "the file ends in a comment, without a line end behind it"


_RDM = re.compile(r"(?:strategy=host|policy=(?:strict|relaxed))(?:,(?:strategy=host|policy=(?:strict|relaxed)))*")


def _rdm(options: Options, kind: str) -> Found:
    given = options.given.get("rdm")
    if given and given.value.kind == "text" and not _RDM.fullmatch(given.value.text):
        yield given.value.at, f"rdm is {shown(given.value.text)}; allowed: strategy=host[,policy=strict|relaxed]"


def _rdm_inverted(options: Options, kind: str) -> Found:
    given = options.given.get("rdm")
    if given and given.value.kind == "text" and "policy=" in given.value.text:
        yield given.value.at, "rdm names a policy, which was right up to 4.14"


RULES = (
    Rule("contradiction", "refuses", True, "tools/xl/xl_parse.c since 4.10", _contradiction),
    Rule("rdm-policy", "refuses", True, "libxlu_pci.c, xlu_pci_parse_bdf", _rdm_policy),
    Rule("rdm", "refuses", True, "libxlu_pci.c, xlu_rdm_parse", _rdm),
    Rule("rdm-inverted", "refuses", False, "libxlu_pci.c, xlu_rdm_parse, tried with 4.17: its test is the wrong way "
         "round", _rdm_inverted),
    Rule("board-slot", "refuses", True, "QEMU's pc-i440fx board: the slot is in use", _board_slot),
    Rule("used-slot", "refuses", False, "QEMU's pc-i440fx board, unless the guest has no such device", _used_slot),
    Rule("slot-0", "ignores", False, "libxl_pci.c: vdevfn 0 is none", _slot_0),
    Rule("pvh-pci", "refuses", False, "libxl_x86.c since 4.13, libxl__arch_passthrough_mode_setdefault", _pvh_pci),
    Rule("unknown-pci-option", "refuses", False, "libxlu_pci.c, xlu_pci_parse_spec_string; up to 4.14 it says so and "
         "ignores it", _unknown_pci),
    Rule("pci-blank", "refuses", False, "libxlu_pci.c, xlu_pci_parse_spec_string; up to 4.14 it ignores the option "
         "behind the blank", _pci_blank),
    Rule("pci-switch", "changes", False, "libxlu_pci.c: atoi", _switches),
    Rule("disk", "ignores", False, "libxl_dm.c, libxl__build_device_model_args_new", _disks),
    Rule("no-name", "refuses", False, "tools/xl/xl_parse.c: domain name must be specified", _no_name),
    Rule("uuid", "refuses", False, "tools/xl/xl_parse.c", _uuid),
    Rule("carriage-return", "refuses", False, "libxlu_cfg_l.l: no rule for a CR", _carriage_return),
    Rule("open-comment", "refuses", False, "libxlu_cfg_l.l: a comment has a line end; tried with 4.17", _open_comment),
    Rule("numeric-escape", "changes", False, "libxlu_cfg.c, xlu__cfgl_dequote, tried with 4.17: it refuses a "
         "hexadecimal one and leaves an octal one out", _numeric_escape),
    Rule("unknown-key", "ignores", False, "tools/xl/xl_parse.c, parse_config_data: each key is asked for by name",
         _unknown_key),
    Rule("viommu-info", "ignores", False, "X 6.1", _old_key),
)
"""The rules. The backslash at the end of a line is a mistake of the syntax (`xlu`)."""


# --- disks ---


@dataclass(frozen=True, slots=True)
class Disk:
    """What an entry of `disk` attaches. device: the name in the guest; number: 0 for the first, -1 for no name."""

    device: str
    number: int
    cdrom: bool

    def emulated(self, bus: str) -> bool:
        """Whether the guest sees an emulated device: sd as SCSI, the first four as IDE, the first six on AHCI."""
        if self.number < 0:
            return False
        if self.device.startswith("sd") and not self.cdrom:
            return True
        return self.number < (6 if bus == "ahci" and not self.cdrom else 4)


_VDEV = re.compile(r"(?:/dev/)?(?:(?P<letters>(?:xvd|hd|sd)(?P<unit>[a-z]{1,2}))\d*|d(?P<disk>\d{1,4})(?:p\d+)?)")


def disks_of(values: Iterable[Value]) -> Iterator[tuple[Value, Disk]]:
    """What each entry of `disk` attaches (xl-disk-configuration(5)): TARGET, FORMAT, VDEV, ACCESS, KEY=VALUE."""
    for value in values:
        keys: dict[str, str] = {}
        plain, cdrom = [], False
        for part in value.text.split(","):
            key, equals, text = (side.strip() for side in part.partition("="))
            if equals and key in ("vdev", "devtype", "access", "format", "target", "backendtype", "script"):
                keys[key] = text
            elif key in ("cdrom", "devtype=cdrom"):
                cdrom = True
            else:
                plain.append(key)
        name = keys.get("vdev") or (plain[2] if len(plain) > 2 else "")
        marked, _, suffix = name.partition(":")
        cdrom = cdrom or keys.get("devtype") == "cdrom" or suffix == "cdrom"
        match = _VDEV.fullmatch(marked)
        number = -1 if match is None else int(match["disk"]) if match["disk"] else _letters(match["unit"])
        yield value, Disk(marked, number, cdrom)


def _letters(unit: str) -> int:
    """a is 0, z is 25, aa is 26."""
    number = 0
    for letter in unit:
        number = 26 * number + ord(letter) - ord("a") + 1
    return number - 1
