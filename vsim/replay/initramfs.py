"""The guest of a recording: a kernel, and a file system in memory that holds busybox, its modules and one script."""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

DRIVERS = ("nvme", "e1000e", "virtio_net", "igb")
"""Modules that the guest loads where the kernel does not have them built in; what they need is loaded first."""
MOST_MODULE = 32 << 20
"""Bytes of a module that is unpacked."""
MOST_XEN = 64 << 20
"""Bytes of a hypervisor that is unpacked."""
MULTIBOOT = b"\x02\xb0\xad\x1b"
"""How the header begins by which a boot loader knows such an image; within its first 8 KiB."""
_XENS = ("boot/xen-*.gz", "xen-*.gz", "boot/xen-*[0-9]", "boot/xen")
ROOT = Path("/")
"""Where the installed system's /boot and /lib/modules are."""
_KERNELS = ("boot/vmlinuz-*", "vmlinuz-*", "boot/vmlinuz")


class MissingPart(ValueError):
    """Something that a guest is made of is not there; the text says what, and how to get it."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel image, its version where its name tells, and the folder of its modules, if there is one."""

    image: Path
    version: str
    modules: Path | None


def find_kernel(place: Path = ROOT) -> Kernel:
    """The kernel at a place: an image, or the newest one in a folder with an unpacked package. MissingPart for none."""
    if place.is_dir():
        images = [image for pattern in _KERNELS for image in place.glob(pattern) if image.is_file()]
        if not images:
            raise MissingPart(f"no kernel image in {place} ({', '.join(_KERNELS)}); name one with --kernel, for "
                              "example a folder into which Debian's package linux-image-amd64 was unpacked")
        image, root = max(images, key=_newer), place
    elif place.is_file():
        image, root = place, place.resolve().parent.parent
    else:
        raise MissingPart(f"{place}: no such kernel")
    version = image.name.partition("-")[2]
    modules = root / "lib" / "modules" / version
    return Kernel(image, version, modules if version and modules.is_dir() else None)


class Xen(NamedTuple):
    """A hypervisor: its version where its name tells, and its image, unpacked."""

    version: str
    image: bytes


def find_xen(place: Path = ROOT) -> Xen:
    """The hypervisor at a place: an image, or the newest one in a folder with an unpacked package.

    MissingPart when there is none, or it is not what a boot loader starts.
    """
    if place.is_dir():
        images = [image for pattern in _XENS for image in place.glob(pattern) if image.is_file()]
        if not images:
            raise MissingPart(f"no Xen in {place} ({', '.join(_XENS)}); name one with --xen PATH, for example a folder "
                              "into which Debian's package xen-hypervisor-4.17-amd64 was unpacked")
        place = max(images, key=_newer)
    elif not place.is_file():
        raise MissingPart(f"{place}: no such Xen")
    with open(place, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(place) if packed else open(place, "rb") as stream:
            code = stream.read(MOST_XEN)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise MissingPart(f"{place}: cannot be unpacked: {error}") from None
    if MULTIBOOT not in code[:8192]:
        raise MissingPart(f"{place}: no Xen that a boot loader starts (no multiboot header); the .efi file is not one")
    return Xen(place.name.removesuffix(".gz").partition("-")[2], code)


def _newer(image: Path) -> list[tuple[int, int, str]]:
    """A key by which a later version is greater."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", image.name)]


def find_busybox(named: Path | None) -> Path:
    """A busybox that needs no libraries: the one that was named, else the path's. MissingPart when there is none."""
    found = named or Path(shutil.which("busybox") or "busybox")
    if not found.is_file():
        raise MissingPart("no busybox: install Debian's package busybox-static, or name one with --busybox")
    if b"/ld-linux" in found.read_bytes():
        raise MissingPart(f"{found}: needs shared libraries; the guest has none: install busybox-static")
    return found


def modules_of(folder: Path | None, wanted: Iterable[str] = DRIVERS) -> dict[str, bytes]:
    """Modules by name, each behind what it needs; what a kernel has built in, or has not, is not there."""
    if folder is None:
        return {}
    places = {_name(path): path for path in folder.rglob("*.ko*")}
    out: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in places and name not in out:
            code = _unpacked(places[name])
            for other in _needs(code):
                add(other)
            out[name] = code

    for name in wanted:
        add(name.replace("-", "_"))
    return out


def _name(path: Path) -> str:
    return path.name.split(".ko")[0].replace("-", "_")


def _unpacked(path: Path) -> bytes:
    if path.suffix == ".xz":
        with lzma.open(path) as packed:
            return packed.read(MOST_MODULE)
    if path.suffix == ".gz":
        with gzip.open(path) as packed:
            return packed.read(MOST_MODULE)
    if path.suffix != ".ko":
        raise MissingPart(f"{path}: packed in a way that is not read; allowed: .ko, .ko.xz, .ko.gz")
    return path.read_bytes()


def _needs(code: bytes) -> list[str]:
    """What a module's own description says that it depends on."""
    found = re.search(rb"\0depends=([\w,-]*)\0", code)
    return [name.replace("-", "_") for name in found[1].decode().split(",") if name] if found else []


def pack(busybox: Path, modules: dict[str, bytes]) -> bytes:
    """The file system as the kernel takes it: a cpio archive, packed."""
    script = (files("vsim.replay") / "share" / "init.sh").read_bytes()
    entries = [("bin", 0o40755, b""), ("mod", 0o40755, b""), ("bin/busybox", 0o100755, busybox.read_bytes()),
               ("init", 0o100755, script),
               ("modules", 0o100644, "".join(f"{name}.ko\n" for name in modules).encode()),
               *((f"mod/{name}.ko", 0o100644, code) for name, code in modules.items())]
    members = b"".join(_member(number, *entry) for number, entry in enumerate(entries, 1))
    return gzip.compress(members + _member(0, "TRAILER!!!", 0, b""), 1, mtime=0)


def _member(number: int, name: str, mode: int, content: bytes) -> bytes:
    """One file of a "newc" archive: thirteen numbers of eight digits, its name, its content, each filled up to 4."""
    values = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % value for value in values) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
