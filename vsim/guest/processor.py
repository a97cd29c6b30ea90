"""A vCPU that runs real x86-64 instructions on the machine: the `unicorn` emulator (extra `unicorn`), our devices.

    processor = Processor(look, do, shipped("driver"), (index, low, high))
    print(processor.go())               # until it waits for an interrupt, ends, or has done too much

Memory is the machine's: what the program stores there is a `RamWrite`, what it loads an `MmioRead`; outside memory
(unit, I/O APIC, HPET, MSI-X tables) it is an `Mmio` or an `MmioRead`, at the xAPIC window an `ApicWrite`, WRMSR is an
`Msr`, a move to CR8 a `Cr8`. Each of these is one *step*, named after the address and the text of the instruction. Two
things make no step: the stack, the page below the program, which reaches memory with the next step; and reads of the
vCPU's own local APIC, which no command does.

An interrupt is taken between two instructions when the local APIC or the 8259 offers one and IF is 1 (not right behind
STI: SDM volume 2, STI), an NMI whatever IF is. The processor acknowledges it, pushes SS, RSP, RFLAGS, CS and RIP, and
goes on at the program's second entry (`program.ENTRY`): no interrupt descriptor table is needed. IRETQ goes back. HLT
waits.

There is no paging, no port and no other exception: what the emulator refuses ends the program. So do too many
instructions, steps or pages: a program cannot hang, and reaches nothing but the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from vsim.devices import lint, vlapic, vlapic_regs
from vsim.guest.program import BASE, ENTRY, Program
from vsim.layouts.given import whole
from vsim.layouts.registers import APIC_BASE
from vsim.state import commands as c
from vsim.state.arrays import Apic, Machine
from vsim.state.trace import Act, Event

MISSING = "The package unicorn is not installed (python -m pip install unicorn)."
NUMBERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
"""The registers in which a program gets its numbers, in their order: those of a function's arguments in C."""
MOST_INSTRUCTIONS, MOST_STEPS, MOST_PAGES = 100_000, 2_000, 1_024
"""What a program may do in one go; pages of 4 KiB that it may touch."""
STACK = range(BASE - 0x1000, BASE)
"""The page of the stack, which grows down from where the program begins."""
_PAGE, _ENDLESS = 0x1000, (1 << 64) - 1
_IF, _FLAGS = 1 << 9, 0x247FD7      # what IRETQ takes of RFLAGS here: no IOPL, NT, VM
_FRAME = 40                         # SS, RSP, RFLAGS, CS, RIP (SDM 6.14.2)

Do = Callable[[str, Sequence[c.Command]], list[Event]]
"""Does commands as one step with a name; their events."""


class State(StrEnum):
    """How a program stands when it does not go on."""

    WAITS = "waits for an interrupt"
    ENDED = "has ended"
    FAULT = "was stopped"
    LIMIT = "did too much"


class Stand(NamedTuple):
    """Where a program stands. why: one line; address: of the instruction that is next, or was refused."""

    state: State
    why: str
    address: int
    instructions: int
    steps: int

    def __str__(self) -> str:
        return (f"{self.state}: {self.why}, at {self.address:#x}, after {self.instructions:,} instructions "
                f"and {self.steps:,} steps")


class NoEmulator(RuntimeError):
    """There is no `unicorn` here."""


def emulator() -> bool:
    """Whether the emulator is installed."""
    return find_spec("unicorn") is not None


class Processor:
    """A vCPU with a program in memory. `stand`: where it stands, None before the first `go`."""

    def __init__(self, look: Callable[[], Machine], do: Do, program: Program, numbers: Sequence[int] = (),
                 vcpu: int = 0) -> None:
        """look: the machine as it is now, only to look at; do: how it is changed. The first step loads the program.

        NoEmulator without `unicorn`. ValueError for more than six numbers, for one of more than 64 bits, for a vCPU
        that is not there, and for a machine with too little memory.
        """
        if not emulator():
            raise NoEmulator(MISSING)
        m = look()
        whole("vcpu", vcpu, m.vcpus - 1)
        if len(numbers) > len(NUMBERS):
            raise ValueError(f"{len(numbers)} numbers; a program gets at most {len(NUMBERS)}")
        for name, value in zip(NUMBERS, numbers, strict=False):
            whole(name, value, _ENDLESS)
        if not m.ram.holds(STACK.start, _PAGE + len(program.code)):
            raise ValueError(f"memory is {m.ram.size:#x} bytes; the program needs {BASE + len(program.code):#x}")
        self.program, self.vcpu = program, vcpu
        self.stand: Stand | None = None
        self._look, self._do = look, do
        self._shadow = False        # STI was the last instruction
        self._uc: Any = None
        self._kept: Any = None
        self._first = dict(zip(NUMBERS, numbers, strict=False))
        self._do("the program is loaded", [c.RamWrite(BASE, program.code)])

    def go(self, instructions: int = MOST_INSTRUCTIONS, steps: int = MOST_STEPS) -> Stand:
        """Run until the program waits, ends, is stopped, or has done that much; where it stands."""
        whole("instructions", instructions, _ENDLESS, 1)
        whole("steps", steps, _ENDLESS, 1)
        if self.stand is not None and self.stand.state in (State.ENDED, State.FAULT):
            return self.stand
        self._open()
        self._instructions = self._steps = 0
        self._most = instructions, steps
        self._over: list[tuple[State, str]] = []
        self._offered()
        while not self._over:
            self._next()
        self._flush()
        self.stand = Stand(*self._over[0], self._get("rip"), self._instructions, self._steps)
        self._kept, self._uc = self._uc.context_save(), None
        return self.stand

    # --- the emulator ---

    def _open(self) -> None:
        """An emulator with the vCPU's registers, and no memory yet: a page comes from the machine when it is used."""
        self._x86 = import_module("unicorn.x86_const")
        u = self._u = import_module("unicorn")
        self._uc = u.Uc(u.UC_ARCH_X86, u.UC_MODE_64)
        self._uc.ctl_set_tlb_mode(u.UC_TLB_VIRTUAL)
        if self._kept is not None:
            self._uc.context_restore(self._kept)
        else:
            for name, value in {**self._first, "rip": BASE, "rsp": BASE}.items():
                self._set(name, value)
        self._pages = set[int]()
        self._writes, self._dirty = list[tuple[int, bytes]](), range(0)
        self._kinds: dict[int, str] = {}
        for kind, hook in ((u.UC_HOOK_CODE, self._before), (u.UC_HOOK_MEM_READ, self._loads),
                           (u.UC_HOOK_MEM_WRITE, self._stores), (u.UC_HOOK_MEM_UNMAPPED, self._unmapped)):
            self._uc.hook_add(kind, hook)

    def _get(self, name: str) -> int:
        return int(self._uc.reg_read(getattr(self._x86, f"UC_X86_REG_{name.upper()}")))

    def _set(self, name: str, value: int) -> None:
        self._uc.reg_write(getattr(self._x86, f"UC_X86_REG_{name.upper()}"), value)

    def _map(self, address: int) -> bool:
        """Give the emulator the page of an address; what is no memory cannot be run. False for too many pages."""
        page = address & -_PAGE
        if page in self._pages:
            return True
        if len(self._pages) >= MOST_PAGES:
            self._stop(State.LIMIT, f"it touches more than {MOST_PAGES} pages")
            return False
        ram = self._look().ram
        holds = ram.holds(page, _PAGE)
        try:
            self._uc.mem_map(page, _PAGE, self._u.UC_PROT_ALL if holds else
                             self._u.UC_PROT_READ | self._u.UC_PROT_WRITE)
            if holds:
                self._uc.mem_write(page, ram.read(page, _PAGE))
        except self._u.UcError:
            return False
        self._pages.add(page)
        return True

    def _unmapped(self, uc: Any, access: int, address: int, size: int, value: int, data: Any) -> bool:
        if access == self._u.UC_MEM_FETCH_UNMAPPED and not self._look().ram.holds(address):
            return False
        return self._map(address) and self._map(address + size - 1 & _ENDLESS)

    # --- one instruction after the other ---

    def _next(self) -> None:
        """Take an interrupt, do an instruction that the emulator must not do, or let it run until there is one."""
        if self._takes():
            self._take()
            return
        address, before = self._get("rip"), self._instructions
        kind = self._kind(address)
        if kind in _SPECIAL:
            self._count(address)
            if not self._over:
                self._shadow = False
                _SPECIAL[kind](self, address)
            return
        try:
            self._uc.emu_start(address, _ENDLESS)
        except self._u.UcError as error:
            self._written()
            self._stop(State.FAULT, str(error).partition(" (")[0].lower() or "refused")
        if not self._over and before == self._instructions and address == self._get("rip"):
            self._stop(State.FAULT, "it cannot go on")

    def _before(self, uc: Any, address: int, size: int, data: Any) -> None:
        """Before each instruction: what the one before stored is done; whether this one is the emulator's to do."""
        self._written()
        kind = self._kind(address)
        if self._over or kind in _SPECIAL or self._takes():
            uc.emu_stop()
            return
        self._count(address)
        if self._over:
            uc.emu_stop()
        else:
            self._shadow = kind == "sti"

    def _count(self, address: int) -> None:
        self._at = address
        if self._instructions >= self._most[0]:
            self._stop(State.LIMIT, f"{self._most[0]:,} instructions")
        else:
            self._instructions += 1

    def _kind(self, address: int) -> str:
        """What is special about the instruction at an address; "" for most."""
        kind = self._kinds.get(address)
        if kind is None:
            kind = self._kinds[address] = _kind_of(self._peek(address, 4))
        return kind

    def _peek(self, address: int, length: int) -> bytes:
        """Bytes as the program would load them, up to the end of memory."""
        if not self._look().ram.holds(address) or not self._map(address):
            return b""
        within = min(length, _PAGE - address % _PAGE)
        found = bytes(self._uc.mem_read(address, within))
        return found + self._peek(address + within, length - within) if within < length else found

    def _stop(self, state: State, why: str) -> None:
        if not self._over:
            self._over.append((state, why))

    # --- what reaches the machine ---

    def _step(self, name: str, *commands: c.Command) -> list[Event]:
        """One step: what the stack has become, and these commands."""
        self._steps += 1
        events = self._do(name, [*self._stack(), *commands])
        self._offered()
        if self._look().dead:
            self._stop(State.FAULT, "the machine is dead")
        elif self._steps >= self._most[1]:
            self._stop(State.LIMIT, f"{self._most[1]:,} steps")
        return events

    def _name(self, otherwise: str) -> str:
        return f"{self._at:#x} {self.program.text_at(self._at) or otherwise}"

    def _stack(self) -> list[c.Command]:
        """What was stored to the stack since the last step, as one command."""
        dirty, self._dirty = self._dirty, range(0)
        return [c.RamWrite(dirty.start, bytes(self._uc.mem_read(dirty.start, len(dirty))))] if dirty else []

    def _flush(self) -> None:
        """At the end of a go everything is in memory."""
        self._written()
        if stack := self._stack():
            self._do(f"the stack at {stack[0].address:#x}", stack)  # type: ignore[attr-defined]

    def _loads(self, uc: Any, access: int, address: int, size: int, value: int, data: Any) -> None:
        """Before a load: its value is asked of the machine."""
        self._written()
        if address in STACK:
            return
        if self._own(address):
            m = self._look()
            found = vlapic_regs.window_read(m, self.vcpu, address & 0xFFC) >> 8 * (address & 3)
        else:
            events = self._step(self._name(f"load {address:#x}"), c.MmioRead(address, size))
            found = next((event.low for event in events if event.act == Act.READ), 0)
        self._put(address, (found & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def _put(self, address: int, data: bytes) -> None:
        """Let the emulator see this; a part behind the last page of the address space is lost."""
        for at, byte in ((address, data),) if address % _PAGE + len(data) <= _PAGE else (
                (address + n & _ENDLESS, data[n:n + 1]) for n in range(len(data))):
            if self._map(at):
                self._uc.mem_write(at, byte)

    def _stores(self, uc: Any, access: int, address: int, size: int, value: int, data: Any) -> None:
        """Before a store: two halves of 16 bytes are one; it reaches the machine before anything else happens."""
        self._kinds.clear()
        stored = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        if self._writes and self._writes[-1][0] + 8 == address and address % 16 == 8 and size == 8:
            stored = self._writes.pop()[1] + stored
            address -= 8
        else:
            self._written()
        self._writes.append((address, stored))

    def _written(self) -> None:
        """Do the last instruction's stores."""
        while self._writes:
            self._store(*self._writes.pop(0))

    def _store(self, address: int, data: bytes) -> None:
        m = self._look()
        if address in STACK and address + len(data) <= STACK.stop:
            ends = (*self._dirty, address, address + len(data) - 1)
            self._dirty = range(min(ends), max(ends) + 1)
        elif self._own(address):
            self._step(self._name(f"store {address:#x}"),
                       c.ApicWrite(self.vcpu, address & 0xFFF, int.from_bytes(data[:4], "little")))
        elif m.ram.holds(address, len(data)):
            self._step(self._name(f"store {address:#x}"), c.RamWrite(address, data))
        else:
            self._step(self._name(f"store {address:#x}"), *(
                c.Mmio(address + at, min(8, len(data) - at), int.from_bytes(data[at:at + 8], "little"))
                for at in range(0, len(data), 8) if address + at <= _ENDLESS))

    def _own(self, address: int) -> bool:
        """Whether an address is in the vCPU's xAPIC window."""
        m = self._look()
        window = m.apic_base[self.vcpu] & APIC_BASE.base.mask
        return m.apic_mode[self.vcpu] == Apic.XAPIC and window <= address < window + _PAGE

    # --- interrupts ---

    def _offered(self) -> None:
        """Look whether there is something to take: NMI, vector, or nothing."""
        m, vcpu = self._look(), self.vcpu
        self._nmi = bool(m.nmi[vcpu] and not m.in_nmi[vcpu])
        own = m.apic_mode[vcpu] != Apic.DISABLED and vlapic.pending(m, vcpu) >= 0
        self._vector = own or lint.asked(m, vcpu)

    def _takes(self) -> bool:
        """Whether one is taken before the next instruction."""
        if not (self._nmi or self._vector) or self._shadow:
            return False
        return self._nmi or bool(self._get("eflags") & _IF)

    def _take(self) -> None:
        """Acknowledge, push the frame, go on at the second entry."""
        rip, rsp, flags = (self._get(name) for name in ("rip", "rsp", "eflags"))
        self._at = rip
        events = self._step(f"{rip:#x} an interrupt comes in", c.Acknowledge(self.vcpu))
        if not any(event.act == Act.TAKEN for event in events):
            self._stop(State.FAULT, "an interrupt came and went")
            return
        place = (rsp & ~15) - _FRAME & _ENDLESS
        if not self._look().ram.holds(place, _FRAME):
            self._stop(State.FAULT, f"no memory at {place:#x} to push where the interrupt came in")
            return
        frame = b"".join(value.to_bytes(8, "little") for value in (rip, self._get("cs"), flags, rsp, self._get("ss")))
        self._put(place, frame)
        self._store(place, frame)
        self._set("eflags", flags & ~_IF)
        self._set("rsp", place)
        self._set("rip", BASE + ENTRY)

    # --- the instructions that are done here ---

    def _iretq(self, address: int) -> None:
        rsp = self._get("rsp")
        if not self._look().ram.holds(rsp, _FRAME):
            self._stop(State.FAULT, f"IRETQ with no memory at {rsp:#x}")
            return
        frame = self._peek(rsp, _FRAME) if rsp in STACK else self._look().ram.read(rsp, _FRAME) or bytes(_FRAME)
        rip, _, flags, rsp, _ = (int.from_bytes(frame[at:at + 8], "little") for at in range(0, _FRAME, 8))
        self._set("rsp", rsp)
        self._set("eflags", flags & _FLAGS | 2)
        self._set("rip", rip)
        if self._look().in_nmi[self.vcpu]:
            self._step(self._name("iretq"), c.Iret(self.vcpu))

    def _hlt(self, address: int) -> None:
        self._set("rip", address + 1)
        if self._nmi or (self._vector and self._get("eflags") & _IF):
            return
        if self._get("eflags") & _IF:
            self._stop(State.WAITS, "HLT with interrupts on")
        else:
            self._stop(State.ENDED, "HLT with interrupts off")

    def _refused(self, events: list[Event], what: str) -> None:
        if any(event.act == Act.REFUSED for event in events):
            self._stop(State.FAULT, f"{what} is refused: #GP")

    def _wrmsr(self, address: int) -> None:
        self._set("rip", address + 2)
        index, value = self._get("ecx"), self._get("edx") << 32 | self._get("eax")
        self._refused(self._step(self._name("wrmsr"), c.Msr(self.vcpu, index, value)), f"MSR {index:#x}")

    def _rdmsr(self, address: int) -> None:
        found = vlapic_regs.read_msr(self._look(), self.vcpu, self._get("ecx"))
        if found is None:
            self._stop(State.FAULT, f"MSR {self._get('ecx'):#x} is refused: #GP")
            return
        self._set("rip", address + 2)
        self._set("rax", found & 0xFFFFFFFF)
        self._set("rdx", found >> 32)

    def _to_cr8(self, address: int) -> None:
        self._set("rip", address + 4)
        value = self._get(_CR8_REGISTERS[self._peek(address, 4)[3] & 7])
        self._refused(self._step(self._name("mov to cr8"), c.Cr8(self.vcpu, value)), "CR8")

    def _of_cr8(self, address: int) -> None:
        self._set("rip", address + 4)
        self._set(_CR8_REGISTERS[self._peek(address, 4)[3] & 7], vlapic_regs.read_cr8(self._look(), self.vcpu))


_CR8_REGISTERS = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")
_SPECIAL: dict[str, Callable[[Processor, int], None]] = {
    "hlt": Processor._hlt, "iretq": Processor._iretq, "wrmsr": Processor._wrmsr, "rdmsr": Processor._rdmsr,
    "to cr8": Processor._to_cr8, "of cr8": Processor._of_cr8}
"""Instructions that the emulator must not do: they wait, return, or reach the local APIC."""
_BYTES = {b"\xf4": "hlt", b"\xfb": "sti", b"\x48\xcf": "iretq", b"\x0f\x30": "wrmsr", b"\x0f\x32": "rdmsr"}


def _kind_of(code: bytes) -> str:
    """What is special about an instruction; "sti" only delays what comes behind it."""
    if code[:3] in (b"\x44\x0f\x22", b"\x44\x0f\x20") and code[3:] and code[3] >= 0xC0 and not code[3] & 0x38:
        return "to cr8" if code[2] == 0x22 else "of cr8"
    return _BYTES.get(code[:1]) or _BYTES.get(code[:2]) or ""
