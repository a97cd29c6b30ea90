"""A kernel booted in QEMU, and its trace read as it runs: nothing is stored but the recording.

QEMU runs without a way out (its network has no connections), as a process group of its own that is ended whatever
happens. Its trace comes through a named pipe in a private folder, so no disk fills; what is kept of it is bounded.
"""

from __future__ import annotations

import os
import re
import select
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from vsim.readers.source import shown
from vsim.replay.keys import Typist
from vsim.replay.qemu import NoQemu, asked, end, first_line, last_line, started, version
from vsim.replay.recording import MAX_LINES, MOST_DUMPS, UNIT, row_line
from vsim.replay.taps import NoPlugin, compiled
from vsim.replay.trace_rows import EVENTS, READS, TraceRows

DISK_BYTES, DUMPS_AT = 16 << 20, 8 << 20
"""The guest's disk, and where on it the dumps begin."""
MOST_LINE = 1 << 16
"""Characters of a line of the trace that are kept."""
QUIET = 0.2
"""Seconds to wait for the trace before looking whether QEMU still runs."""
DEVICES = ("nvme", "e1000e", "virtio-net", "igb", "edu")
"""What a guest may have; nvme is its disk, edu sends what it is told to."""
_MODELS = {"virtio-net": "virtio-net-pci"}
"""QEMU's names of those that it calls otherwise."""
NOTES = ("affinity-changes", "cmdline")
"""What the guest leaves that is no dump of a tool: what it moved, and its kernel's arguments."""
MAX_CPUS = 288
MOST_ROWS = MAX_LINES * 3 // 4
"""Rows that are kept: a recording has room for as many, for the writes that may be inferred between them, and dumps."""
STAGES = ("firmware", "kernel", "devices", "traffic", "affinity changes", "a CPU off and on", "a suspend and a resume",
          "forbidden messages", "a driver unbound", "dumps", "off")
SHARES = (0.0, 0.04, 0.5, 0.64, 0.68, 0.74, 0.78, 0.87, 0.95, 0.97, 0.99)
"""The stages of a run, and how much of its time has passed when each begins: of boots of Linux 6.12 on 8 CPUs."""
KERNEL_LINES, XEN_LINES = 370, 570
"""Lines of the console until the first program runs, about; and with Xen before the kernel."""
X2APIC = (9, 0)
"""The first QEMU whose emulated CPUs have an x2APIC; before, destinations have 8 bits."""
OFF, ENDED, INTERRUPTED = "powered off", "QEMU ended", "interrupted"
"""How a run ends: by the guest, by itself, by Ctrl-C; or for a limit."""
XEN_ARGUMENTS = "com1=115200,8n1 console=com1 conswitch=a loglvl=all guest_loglvl=all iommu=verbose,intremap"
"""What Xen is told: where its console and its keys are, and that it names what it does with the unit."""
XEN_CODE = 0xFFFF82D
"""Bits 63:36 of the addresses of Xen's own code (xen/arch/x86/include/asm/config.h: 0xffff82d040000000)."""
DOM0_ARGUMENTS = "console=hvc0 panic=-1 rodata=off vsim.keys"
"""What the kernel is told under Xen. With rodata=off it leaves out a walk through all page tables (minutes here)."""
_PANIC = re.compile(r"Kernel panic - .*|Panic on CPU .*")
_STAGE = re.compile(r"vsim: stage (\d+) of \d+: (.*)")


@dataclass(frozen=True, slots=True)
class Machine:
    """What is booted: kernel and file system, processors, memory in MiB, devices, arguments.

    xen: a hypervisor, unpacked, under which the kernel runs as dom0; none without.
    """

    kernel: Path
    initramfs: bytes
    cpus: int = 4
    memory: int = 1024
    devices: tuple[str, ...] = ("nvme", "e1000e", "edu")
    arguments: str = ""
    cpu: str = "qemu64,+x2apic"
    qemu: tuple[str, ...] = ("qemu-system-x86_64",)
    xen: bytes = b""


@dataclass(slots=True)
class Progress:
    """How far a run is: its stage, the part of its time that has passed (0 to 1), seconds since it began, rows.

    panic: what the kernel said when it gave up.
    """

    stage: str = STAGES[0]
    share: float = 0.0
    seconds: float = 0.0
    rows: int = 0
    lines: int = 0
    expected: int = KERNEL_LINES
    panic: str = ""

    @property
    def left(self) -> float | None:
        """Seconds that are left, as far as can be told; None at the beginning."""
        return self.seconds / self.share * (1 - self.share) if self.share > 0.05 else None

    def read(self, text: str) -> None:
        """A line of the console."""
        self.lines += 1
        if not self.panic and (gave_up := _PANIC.search(text)):
            self.panic = gave_up[0][:200]
        found = _STAGE.search(text)
        if found and int(found[1]) + 1 < len(STAGES):
            self.stage = STAGES[int(found[1]) + 1]
            self.share = max(self.share, SHARES[int(found[1]) + 1])
        elif self.stage in STAGES[:2]:
            self.stage = STAGES[1]
            share = SHARES[1] + (SHARES[2] - SHARES[1]) * min(1.0, self.lines / self.expected)
            self.share = max(self.share, share)


@dataclass(slots=True)
class Boot:
    """A run of a machine; `rows` gives what happened as rows of a recording.

    seconds, bytes: after so much time, or so much of the recording, it is ended. plugin: whether to use one; `without`
    then says why there is none. ended: how the run ended. devices: those of the machine's that this QEMU has.
    """

    machine: Machine
    seconds: float = 900.0
    most_bytes: int = 200 << 20
    plugin: bool = True
    small: bool = False
    tell: Callable[[Progress], None] = lambda progress: None
    version: tuple[int, ...] = ()
    version_text: str = ""
    without: str = ""
    ended: str = ""
    said: str = ""
    progress: Progress = field(default_factory=Progress)
    dumps: dict[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    typist: Typist = field(default_factory=Typist)

    def rows(self) -> Iterator[list[Any]]:
        """What happens, while it happens; QEMU is ended with the iterator. NoQemu when it does not start."""
        self._look()
        self.progress.expected = XEN_LINES if self.machine.xen else KERNEL_LINES
        with tempfile.TemporaryDirectory(prefix="vsim-") as name:
            folder = Path(name)
            for pipe in ("trace", "keys.in"):
                os.mkfifo(folder / pipe, stat.S_IRUSR | stat.S_IWUSR)
            (folder / "keys.out").symlink_to(os.devnull)        # the trace has it
            with started(self._command(folder)) as (process, said):
                try:
                    yield from self._read(folder, process)
                finally:
                    end(process)
                    self.said = said()
            self.dumps = dict(islice((self.typist.dumps | dumps_of(folder / "disk")).items(), MOST_DUMPS))
        if not self.progress.rows and self.ended == ENDED:
            raise NoQemu(f"{self.machine.qemu[0]} ended at once: {last_line(self.said)}")
        if self.ended == ENDED:
            why = self.progress.panic or (last_line(self.said) if self.said.strip() else "it did not say why")
            self.ended += f" amid the stage {self.progress.stage!r}: {why.encode('ascii', 'backslashreplace').decode()}"

    # --- before ---

    def _look(self) -> None:
        self.version, self.version_text = version(self.machine.qemu)
        if not self.plugin:
            self.without = "it was not wanted"

    def _plugin(self) -> Path | None:
        if not self.plugin:
            return None
        try:
            return compiled(self.version)
        except NoPlugin as missing:
            self.plugin, self.without = False, str(missing)
            return None

    def _command(self, folder: Path) -> list[str]:
        machine = self.machine
        (folder / "initramfs").write_bytes(machine.initramfs)
        with open(folder / "disk", "wb") as disk:
            disk.truncate(DISK_BYTES)
        plugin = self._plugin()
        watched = f"unit={UNIT:#x}" + f",code={XEN_CODE:#x}" * bool(machine.xen)
        cpu, eim = machine.cpu, "on"
        if self.version < X2APIC:
            cpu, eim = cpu.replace(",+x2apic", ""), "off"
        (folder / "events").write_text("".join(f"{event}\n" for event in (*EVENTS, *(() if plugin else (READS,)))))
        return [*machine.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35",
                "-accel", "tcg,thread=multi", "-cpu", cpu, "-m", f"{machine.memory}M", "-smp",
                str(machine.cpus), "-device", f"intel-iommu,intremap=on,eim={eim}", *self._devices(folder),
                *self._software(folder), "-chardev", f"pipe,id=keys,path={folder / 'keys'}", "-serial", "chardev:keys",
                "-no-reboot",
                "-D", str(folder / "trace"), "-msg", "timestamp=on", "-trace", f"events={folder / 'events'}",
                *(("-d", "plugin", "-plugin", f"{plugin},{watched}") if plugin else ())]

    def _software(self, folder: Path) -> list[str]:
        """The kernel, or Xen with the kernel as its first module: a module's words are its file and its arguments."""
        machine, initramfs = self.machine, folder / "initramfs"
        if not machine.xen:
            arguments = f"console=ttyS0,115200 panic=-1 no_timer_check {machine.arguments}"
            return ["-kernel", str(machine.kernel), "-initrd", str(initramfs), "-append", arguments.strip()]
        (folder / "xen").write_bytes(machine.xen)
        (folder / "kernel").symlink_to(machine.kernel.resolve())
        arguments = f"{DOM0_ARGUMENTS} {machine.arguments}".replace(",", ",,")
        return ["-kernel", str(folder / "xen"), "-append", XEN_ARGUMENTS, "-initrd",
                f"{folder / 'kernel'} {arguments},{initramfs}"]

    def _devices(self, folder: Path) -> list[str]:
        told = asked(self.machine.qemu, "-device", "help")
        has = {name for name in DEVICES if f'"{_MODELS.get(name, name)}"' in told}
        if "nvme" not in has:
            raise NoQemu(f"{self.machine.qemu[0]} -device help: found no nvme, which is the guest's disk, in "
                         f"{shown(first_line(told))}; an unpacked QEMU finds its own parts by QEMU_MODULE_DIR")
        wanted = [name for name in DEVICES if name in (*self.machine.devices, "nvme") and name in has]
        self.devices = tuple(wanted)
        out: list[str] = []
        for number, name in enumerate(wanted):
            model = _MODELS.get(name, name)
            slot = f"bus=pcie.0,addr={DEVICES.index(name) + 3}.0"
            if name == "nvme":
                out += ["-drive", f"if=none,id=disk,file={folder / 'disk'},format=raw,cache=unsafe", "-device",
                        f"nvme,serial=vsim,drive=disk,max_ioqpairs={min(64, self.machine.cpus)},{slot}"]
                continue
            if name == "edu":
                out += ["-device", f"edu,{slot}"]
                continue
            more = "iommu_platform=on,disable-legacy=on," if name == "virtio-net" else ""
            if name == "igb":
                out += ["-device", f"pcie-root-port,id=root,chassis=1,slot=1,{slot}"]
                slot = "bus=root,addr=0.0"
            out += ["-netdev", f"user,id=net{number},restrict=on", "-device",
                    f"{model},netdev=net{number},romfile=,mac=52:54:00:00:00:{number:02x},{more}{slot}"]
        return out

    # --- during ---

    def _read(self, folder: Path, process: subprocess.Popen[bytes]) -> Iterator[list[Any]]:
        trace = TraceRows(UNIT, self.small)
        begun, rest, kept = time.monotonic(), b"", 0
        source = os.open(folder / "trace", os.O_RDONLY | os.O_NONBLOCK)
        keys = os.open(folder / "keys.in", os.O_RDWR | os.O_NONBLOCK)
        try:
            while not self.ended:
                try:
                    *lines, rest = (rest + self._chunk(source, process)).split(b"\n")
                    rest = rest if len(rest) <= MOST_LINE else b""
                    for line in lines:
                        trace.feed(line[:MOST_LINE].decode(errors="replace"))
                    for text in trace.console:
                        self.progress.read(text)
                        self.typist.read(text)
                    trace.console.clear()
                    self.progress.seconds = time.monotonic() - begun
                    os.write(keys, self.typist.typed(self.progress.seconds))
                    self.tell(self.progress)
                except KeyboardInterrupt:
                    self.ended = INTERRUPTED
                for row in trace.ready():
                    if size := self._size(row):
                        kept += size
                        yield row
                if not self.ended and self.progress.seconds > self.seconds:
                    self.ended = f"ended after {self.seconds:.0f} s"
                elif not self.ended and kept > self.most_bytes:
                    self.ended = f"ended after {self.most_bytes >> 20} MiB of recording"
                elif not self.ended and self.progress.rows >= MOST_ROWS:
                    self.ended = f"ended after {MOST_ROWS:,} moments"
            for row in trace.ready(all_of_them=True):
                if self._size(row):
                    yield row
            for text in trace.console:
                self.progress.read(text)
            if self.ended == ENDED and self.progress.stage == STAGES[-1]:
                self.ended = OFF
        finally:
            os.close(source)
            os.close(keys)

    def _chunk(self, source: int, process: subprocess.Popen[bytes]) -> bytes:
        """What has come of the trace; nothing when QEMU has ended, which then is noted."""
        ready = select.select([source], [], [], QUIET)[0]
        chunk = os.read(source, 1 << 18) if ready else b""
        if not chunk:
            if process.poll() is not None:
                self.ended = ENDED
            elif ready:
                time.sleep(QUIET)           # nobody writes yet
        return chunk

    def _size(self, row: list[Any]) -> int:
        """Note a row; how many bytes its line has. 0 for one that no recording can hold: it is left out."""
        line = row_line(row, self.machine.cpus)
        self.progress.rows += bool(line)
        return len(line) + 1 if line else 0


# --- after ---


def dumps_of(disk: Path) -> dict[str, str]:
    """The texts that a guest left on its disk, by name; none from a run that was ended before."""
    try:
        with open(disk, "rb") as stream:
            stream.seek(DUMPS_AT)
            text = stream.read(DISK_BYTES - DUMPS_AT).rstrip(b"\0").decode(errors="replace")
    except OSError:
        return {}
    parts = re.split(r"^=== (.*)\n", text, flags=re.MULTILINE)
    return {name[:100]: body for name, body in zip(parts[1::2], parts[2::2], strict=True) if name != "end" and body}
