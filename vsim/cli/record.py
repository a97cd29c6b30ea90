"""`vsim record`: boot a real kernel in QEMU and write down what it does to its interrupt hardware."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from vsim.cli import values
from vsim.cli.entry import INTERRUPTED
from vsim.cli.main import Unavailable
from vsim.history import whole
from vsim.layouts.registers import OFFSET
from vsim.replay.boot import DEVICES, MAX_CPUS, OFF, Boot, Machine, Progress
from vsim.replay.boot import INTERRUPTED as STOPPED
from vsim.replay.deviations import older
from vsim.replay.inferred import with_writes
from vsim.replay.initramfs import (
    ROOT,
    Kernel,
    MissingPart,
    Xen,
    find_busybox,
    find_kernel,
    find_xen,
    modules_of,
    pack,
)
from vsim.replay.qemu import NoQemu
from vsim.replay.recording import UNIT, VERSION, compact, dump_line, row_line

BAR = 24
"""Characters of the bar."""
SECONDS, SECONDS_A_CPU = 900, 30
"""Seconds after which a run is ended, when nothing else is said: the first, or so many for each CPU if that is more."""
MANY = 128
"""Processors beyond which the kernel starts with one, and the guest brings up the others: until a kernel has chosen its
clock, the timer of each ticks 250 times a second, more than QEMU plays for hundreds of them."""
PARTS = ("offline", "suspend", "faults")
"""What of a run can be left out: a CPU off and on, a suspend and a resume, forbidden messages."""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `vsim record`."""
    parser.description = (
        "Boot a kernel in QEMU with a small guest that loads drivers, makes traffic, moves every interrupt, takes a "
        "CPU off and on, suspends and resumes, and sends forbidden messages; write what it did to its interrupt "
        "hardware, and what QEMU did at each moment, as one recording for `vsim replay`. Ctrl-C ends it; what there "
        "is by then can be read.")
    parser.epilog = "Exit status: 0 the guest powered off, 1 it was ended before, 2 something is missing, 130 Ctrl-C."
    parser.add_argument("-o", "--output", metavar="FILE", required=True, type=values.place,
                        help="the recording; packed if it ends in .gz")
    parser.add_argument("--kernel", metavar="PATH", type=values.place, default=ROOT,
                        help="a kernel image, or a folder into which Debian's package linux-image-amd64 was unpacked "
                        "(default: the newest /boot/vmlinuz-*)")
    parser.add_argument("--xen", metavar="PATH", nargs="?", type=values.place, const=ROOT,
                        help="boot the kernel as dom0 of Xen, and keep what Xen prints for its debug keys: an image, "
                        "or a folder into which Debian's package xen-hypervisor-4.17-amd64 was unpacked (without PATH: "
                        "the newest /boot/xen-*.gz)")
    parser.add_argument("--busybox", metavar="FILE", type=values.place,
                        help="a busybox without shared libraries (default: on the path)")
    parser.add_argument("--cpus", metavar="N", type=values.count(1, MAX_CPUS), default=4,
                        help=f"processors (default: 4); of more than {MANY} the kernel starts one, and the guest the "
                        "others when their timers rest (--append maxcpus=N says otherwise)")
    parser.add_argument("--memory", metavar="MIB", type=values.count(256, 65536), default=1024,
                        help="memory in MiB (default: 1024)")
    parser.add_argument("--devices", metavar="NAME,...", type=_names("device", DEVICES),
                        default=("nvme", "e1000e", "edu"),
                        help=f"of {', '.join(DEVICES)} (default: nvme,e1000e,edu; nvme is always there)")
    parser.add_argument("--append", metavar="ARGUMENTS", default="", help="kernel arguments")
    parser.add_argument("--moves", metavar="N", type=values.count(0, 100), default=1,
                        help="rounds in which every interrupt moves to another CPU (default: 1)")
    parser.add_argument("--cpu", metavar="MODEL", default="qemu64,+x2apic", help="QEMU's CPU (default: qemu64,+x2apic)")
    parser.add_argument("--qemu", metavar="PROGRAM", type=_words, default=("qemu-system-x86_64",),
                        help="QEMU's program, and arguments before all others (default: qemu-system-x86_64)")
    parser.add_argument("--no-plugin", action="store_true", help="trace alone: writes to memory are inferred")
    parser.add_argument("--small", action="store_true",
                        help="leave out the ticks of timers, and pins that do not change")
    parser.add_argument("--without", metavar="PART,...", type=_names("part", PARTS), default=(),
                        help=f"leave out of {', '.join(PARTS)}: with many processors a suspend takes long")
    parser.add_argument("--seconds", metavar="S", type=values.count(1, 86400),
                        help=f"end it then (default: {SECONDS}, or {SECONDS_A_CPU} for each processor if that is more)")
    parser.add_argument("--megabytes", metavar="N", type=values.count(1, 240), default=200,
                        help="end it when the recording, unpacked, is so large (default: 200)")
    parser.set_defaults(func=_main)


def _words(text: str) -> tuple[str, ...]:
    if not text.split():
        raise argparse.ArgumentTypeError("an empty name; allowed: a program")
    return tuple(text.split())


def _names(what: str, allowed: tuple[str, ...]) -> Any:
    def names(text: str) -> tuple[str, ...]:
        found = tuple(name for name in text.split(",") if name)
        if not set(found) <= set(allowed):
            raise argparse.ArgumentTypeError(f"{what} {text}: allowed are {', '.join(allowed)}")
        return found
    return names


def _main(args: argparse.Namespace) -> int:
    whole.try_out(args.output)
    try:
        kernel = find_kernel(args.kernel)
        xen = None if args.xen is None else find_xen(args.xen)
        initramfs = pack(find_busybox(args.busybox), modules_of(kernel.modules))
    except MissingPart as missing:
        raise Unavailable(f"record: {missing}") from None
    left_out = {*args.without, *(("suspend",) if xen else ())}  # dom0 would put itself to sleep, and not the unit
    parts = " ".join(f"vsim.{part}" for part in PARTS if part not in left_out)
    alone = "maxcpus=1" if args.cpus > MANY and not xen and "maxcpus=" not in args.append else ""
    arguments = " ".join(filter(None, (args.append, alone, f"vsim.moves={args.moves}", parts)))
    machine = Machine(kernel.image, initramfs, args.cpus, args.memory, args.devices, arguments, args.cpu,
                      qemu=args.qemu, xen=xen.image if xen else b"")
    seconds = args.seconds or max(SECONDS, SECONDS_A_CPU * args.cpus)
    boot = Boot(machine, seconds, args.megabytes << 20, not args.no_plugin, args.small, _teller())
    with tempfile.TemporaryFile("w+", prefix="vsim-") as spool:
        try:
            _spool(boot, spool)
        except NoQemu as missing:
            raise Unavailable(f"record: {missing}") from None
        except KeyboardInterrupt:
            boot.ended = STOPPED
        _clear()
        size = _write(args.output, boot, kernel, xen, spool)
    print(f"{args.output}: {boot.progress.rows:,} moments, {size:,} bytes; {boot.ended}"
          + (f"; no plugin: {boot.without}" if boot.without else ""))
    absent = [name for name in machine.devices if name not in boot.devices]
    if absent:
        print(f"left out, as this QEMU has none: {', '.join(absent)}")
    return INTERRUPTED if boot.ended == STOPPED else int(boot.ended != OFF)


def _spool(boot: Boot, spool: IO[str]) -> None:
    """Keep the rows on disk while the guest runs; without the plugin in memory, until its writes can be inferred."""
    rows = boot.rows()
    kept: list[list[Any]] = []
    try:
        for row in rows:
            if boot.plugin:
                spool.write(compact(row) + "\n")
            else:
                kept.append(row)
    finally:
        rows.close()  # type: ignore[attr-defined]
        lines = (row_line(row, boot.machine.cpus) for row in with_writes(kept, UNIT))
        spool.writelines(f"{line}\n" for line in lines if line)


def _write(path: Path, boot: Boot, kernel: Kernel, xen: Xen | None, spool: IO[str]) -> int:
    """Put the recording together, whole or not at all; its bytes."""
    spool.seek(0)
    head = {"vsim-recording": VERSION, "vcpus": boot.machine.cpus, "ram": _ram(boot.machine.memory), "unit": UNIT,
            "profile": "qemu-10", "quirks": older(boot.version), **_capabilities(spool),
            "made": _made(boot, kernel, xen)}
    with whole.beside(path) as made, open(made, "wb") as raw:
        packed = gzip.GzipFile("", "wb", 9, raw, 0) if path.suffix == ".gz" else raw
        packed.write(f"{compact(head)}\n".encode())
        spool.seek(0)
        for line in spool:
            packed.write(line.encode())
        for name, text in boot.dumps.items():
            packed.write(f"{dump_line(name, text)}\n".encode())
        if packed is not raw:
            packed.close()
    return path.stat().st_size


def _ram(megabytes: int) -> int:
    """Bytes up to the last address of memory: what is over 2 GiB lies above 4 GiB."""
    size = megabytes << 20
    return size if size <= 2 << 30 else size + (2 << 30)


def _made(boot: Boot, kernel: Kernel, xen: Xen | None) -> dict[str, str]:
    machine = boot.machine
    made = {"kernel": kernel.version or kernel.image.name, "qemu": boot.version_text, "cpu": machine.cpu,
            "devices": ", ".join(boot.devices), "arguments": machine.arguments, "ended": boot.ended,
            "memory writes": f"inferred from what the unit read: {boot.without}" if boot.without else "seen"}
    if xen:
        made["xen"] = xen.version or "of a file whose name tells no version"
    if boot.small:
        made["left out"] = "ticks of timers, pins that do not change"
    return made


def _capabilities(lines: Iterable[str]) -> dict[str, str]:
    """CAP and ECAP, as the guest read them first."""
    found: dict[str, str] = {}
    places = {UNIT + OFFSET["CAP"]: "cap", UNIT + OFFSET["ECAP"]: "ecap"}
    for line in lines:
        if line.startswith('[["read"'):
            command, did = json.loads(line)[:2]
            if command[1] in places and command[2] == 8 and did:
                found.setdefault(places[command[1]], hex(did[0][1]))
                if len(found) == 2:
                    return found
    return {}


# --- what is told meanwhile ---


def _teller() -> Any:
    """Shows progress: a bar on a terminal, elsewhere a line for each stage."""
    terminal = sys.stderr.isatty()
    last: list[Any] = ["", -1.0]

    def tell(now: Progress) -> None:
        if terminal and now.seconds - last[1] >= 0.2:
            last[1] = now.seconds
            print("\r" + line_of(now) + "\x1b[K", end="", file=sys.stderr, flush=True)
        elif not terminal and now.stage != last[0]:
            print(line_of(now), file=sys.stderr, flush=True)
        last[0] = now.stage
    return tell


def line_of(now: Progress) -> str:
    """Progress in a line: bar, stage, time and time left, rows."""
    full = round(BAR * now.share)
    left = f", {now.left:.0f} s left" if now.left is not None else ""
    return (f"[{'#' * full}{'.' * (BAR - full)}] {now.share:4.0%}  {now.stage}: {now.seconds:.0f} s{left}, "
            f"{now.rows:,} moments")


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
