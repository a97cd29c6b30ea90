"""Real instructions on the machine: what of them it sees, how interrupts come in, and that nothing goes on for ever."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vsim.devices import viommu
from vsim.guest import firmware
from vsim.guest import processor as p
from vsim.guest.processor import NoEmulator, Processor, State
from vsim.guest.program import BASE, Program, assembled, binutils, compiled, shipped
from vsim.layouts.formats import IRTE, Dlm, remap_message
from vsim.layouts.registers import APIC_MSR, GSTS
from vsim.machine import step, unit_register
from vsim.protocol.checker import check
from vsim.state import commands as c
from vsim.state.arrays import Machine
from vsim.state.profile import Capabilities, profile
from vsim.state.trace import Act

pytestmark = pytest.mark.skipif(not p.emulator(), reason="no unicorn")
needs_binutils = pytest.mark.skipif(not binutils(), reason="no binutils for x86-64")
UNIT, TAKEN, CARD, LOW = 0xFED90000, 0x90010, 0x300, (1 << 64) - 1
DRIVER = shipped("driver")
TWO_JUMPS = "jmp start\n.org 8\njmp handler\n"


class Bench:
    """A machine with a unit and a program on one of its vCPUs."""

    def __init__(self, program, *numbers, vcpu=0, vcpus=4, size=64 << 20, ecap=0xF0001A):
        self.m = Machine(profile("spec").with_capabilities(Capabilities(ecap=ecap)), vcpus, size)
        step(self.m, c.Domctl(viommu.create_op(version=self.m.profile.options.interface)))
        self.first, self.log, self.names, self.events = self.m.copy(), [], [], []
        self.cpu = Processor(lambda: self.m, self.do, program, numbers, vcpu)
        self.loaded = len(self.log)

    def do(self, name, commands):
        self.names.append(name)
        self.log += commands
        done = [event for command in commands for event in step(self.m, command)]
        self.events += done
        return done

    @property
    def did(self):
        return self.log[self.loaded:]

    def findings(self):
        return [each.rule.name for each in check(self.log, self.first, every=True)]


def words(index, vector, apic_id=0, second=0):
    """The driver's numbers."""
    entry = IRTE.make(p=1, vector=vector, dst=apic_id, svt=1, sid=CARD)
    return index, entry & LOW, entry >> 64, (IRTE.make(p=1, vector=second, dst=apic_id) & LOW) if second else 0


def message(bench, index):
    return bench.do("the card", [c.Msi(CARD, *remap_message(index))])


def code(source):
    return assembled(source) if binutils() else pytest.skip("no binutils for x86-64")


# --- the driver ---


@pytest.mark.parametrize("vcpu, index, vector", [(0, 9, 0x61), (3, 200, 0xE1)])
def test_the_driver_sets_the_unit_up_and_takes_an_interrupt_and_the_checker_has_nothing_to_say(vcpu, index, vector):
    bench = Bench(DRIVER, *words(index, vector, 2 * vcpu), vcpu=vcpu)     # APIC IDs are even
    assert bench.cpu.go().state == State.WAITS
    status = unit_register(bench.m, "GSTS")
    assert GSTS.text(status) == GSTS.text(GSTS.make(qies=1, irtps=1, ires=1))
    message(bench, index)
    stand = bench.cpu.go()
    assert stand.state == State.WAITS and stand.address == DRIVER.labels["idle"] + 1
    assert bench.m.ram.word(TAKEN) == 1
    assert [event.index for event in bench.events if event.act in (Act.TAKEN, Act.ENDED)] == [vector, vector]
    assert bench.findings() == []


def test_it_moves_the_interrupt_after_the_first():
    bench = Bench(DRIVER, *words(9, 0x61, second=0x71))
    bench.cpu.go()
    for _ in range(2):
        message(bench, 9)
        bench.cpu.go()
    assert [event.index for event in bench.events if event.act == Act.TAKEN] == [0x61, 0x71]
    assert bench.findings() == []


@pytest.mark.parametrize("program, found", [
    (DRIVER.without("wait"), ["wait", "wait", "wait"]), (DRIVER.without("tell"), ["invalidate-after-set"]),
    (DRIVER.without("again"), ["invalidate-after-change"]), (DRIVER.exchanged("latch", "on"), ["sirtp-before-ire"]),
    (DRIVER.exchanged("high", "low"), ["torn-entry", "source-check"])],
    ids=["no wait", "not told", "not told again", "on before latched", "halves"])
def test_each_twin_is_found_by_the_checker(program, found):
    bench = Bench(program, *words(9, 0x61, second=0x71))
    bench.cpu.go()
    for _ in range(2):
        message(bench, 9)
        bench.cpu.go()
    assert bench.findings() == found


def test_what_a_step_is_named_after_and_where_the_stack_goes():
    bench = Bench(DRIVER, *words(9, 0x61))
    bench.cpu.go()
    assert bench.names[:3] == ["the program is loaded", "0x1001b mov ECAP(%rbx), %rax", "0x10023 movq $0, IQT(%rbx)"]
    assert bench.did[0] == c.MmioRead(UNIT + 0x10, 8)
    assert bench.did[3:5] == [c.RamWrite(0xFFF8, (DRIVER.labels["gcmd"] - 0x5A).to_bytes(8, "little")),
                              c.MmioRead(UNIT + 0x1C, 4)]


def test_a_unit_that_cannot_remap_is_left_alone():
    bench = Bench(DRIVER, *words(9, 0x61), ecap=0xF00002)
    assert bench.cpu.go().state == State.ENDED and bench.did == [c.MmioRead(UNIT + 0x10, 8)]


# --- accesses ---


@needs_binutils
@pytest.mark.parametrize("source, commands", [
    ("movb $7, 0x5000", [c.RamWrite(0x5000, b"\7")]),
    ("movdqu %xmm0, 0x5000", [c.RamWrite(0x5000, bytes(16))]),
    ("movdqu %xmm0, 0x5008", [c.RamWrite(0x5008, bytes(8)), c.RamWrite(0x5010, bytes(8))]),
    ("mov $0xfed90000, %ebx\nmov 8(%rbx), %rax", [c.MmioRead(UNIT + 8, 8)]),
    ("mov $0xfed90000, %ebx\nmov 0x34(%rbx), %ax", [c.MmioRead(UNIT + 0x34, 2)]),
    ("mov $0xfec00000, %ebx\nmovl $1, (%rbx)", [c.Mmio(0xFEC00000, 4, 1)]),
    ("mov $0xfee00000, %ebx\nmovl $0x1ff, 0xf0(%rbx)\nmov 0xf0(%rbx), %eax\nmov %eax, 0x5000",
     [c.ApicWrite(0, 0xF0, 0x1FF), c.RamWrite(0x5000, b"\xff\1\0\0")]),
    ("mov $0x1b, %ecx\nrdmsr\nor $0x400, %eax\nwrmsr", [c.Msr(0, 0x1B, 0xFEE00D00)]),
    ("mov $5, %eax\nmov %rax, %cr8\nmov %cr8, %rdx\nmov %edx, 0x5000",
     [c.Cr8(0, 5), c.RamWrite(0x5000, b"\5\0\0\0")]),
    ("push $5\npop %rax\nmov %eax, 0x5000", [c.RamWrite(0xFFF8, b"\5" + bytes(7)), c.RamWrite(0x5000, b"\5\0\0\0")]),
    ("incl 0x5000", [c.MmioRead(0x5000, 4), c.RamWrite(0x5000, b"\1\0\0\0")]),
    ("mov $3, %ecx\nmov $0x5000, %edi\nrep stosw", [c.RamWrite(0x5000 + 2 * n, b"\0\0") for n in range(3)]),
    ("mov $-1, %rbx\nmov (%rbx), %al", [c.MmioRead(LOW, 1)])])
def test_an_access_is_a_command(source, commands):
    bench = Bench(assembled(f"{source}\ncli\nhlt"))
    assert bench.cpu.go().state == State.ENDED
    assert bench.did == commands


@needs_binutils
def test_a_program_reads_what_the_machine_wrote_and_its_own_stores():
    bench = Bench(assembled("movl $7, 0x5000\n1: hlt\nmov 0x5000, %eax\nmov %eax, 0x5004\nhlt"))
    bench.cpu.go()
    bench.do("somebody else", [c.RamWrite(0x5000, b"\x09\0\0\0")])
    bench.cpu.stand = None      # HLT with IF 0 is the end; the second half is run all the same
    bench.cpu.go()
    assert bench.m.ram.word(0x5004) == 9


# --- interrupts ---


@needs_binutils
def test_sti_delays_by_one_instruction_and_the_registers_come_back():
    bench = Bench(assembled(TWO_JUMPS + """
start:  mov $0xfee00000, %ebx
        movl $0x1ff, 0xf0(%rbx)
        movl $0x40041, 0x300(%rbx)      # to itself
        mov $5, %eax
        sti
        hlt                             # waits no more: it is pending, and is taken behind it
        mov %eax, 0x5000
        cli
        hlt
handler: push %rax
        mov 16(%rsp), %rax              # flags and RIP that were pushed
        mov 8(%rsp), %rax
        mov %rax, 0x5008
        movl $0, 0xb0(%rbx)
        pop %rax
        iretq
"""))
    stand = bench.cpu.go()
    assert stand.state == State.ENDED
    assert bench.m.ram.word(0x5000) == 5
    after_hlt = next(row.address for row in bench.cpu.program.rows if row.text.strip() == "mov %eax, 0x5000")
    assert bench.m.ram.word(0x5008) == after_hlt


@needs_binutils
def test_without_if_an_interrupt_waits_and_an_nmi_does_not():
    bench = Bench(assembled(TWO_JUMPS + """
start:  mov $0xfee00000, %ebx
        movl $0x1ff, 0xf0(%rbx)
        movl $0x40041, 0x300(%rbx)
        nop
        movl $0x1, 0x5000
        hlt
        hlt
handler: incl 0x5004
        iretq
"""))
    assert bench.cpu.go().state == State.ENDED
    assert not [event for event in bench.events if event.act == Act.TAKEN]
    bench.cpu.stand = None
    bench.do("NMI", [c.Msi(CARD, 0xFEE00000, 0x400)])
    bench.cpu.go()
    assert bench.m.ram.word(0x5004) == 1 and not bench.m.in_nmi[0] and c.Iret(0) in bench.log


@needs_binutils
def test_an_x2apic_is_ended_by_wrmsr():
    bench = Bench(assembled(TWO_JUMPS + f"""
start:  mov $0x1b, %ecx
        rdmsr
        or $0x400, %eax
        wrmsr
        mov ${APIC_MSR['SVR']}, %ecx
        mov $0x1ff, %eax
        xor %edx, %edx
        wrmsr
        sti
1:      hlt
        jmp 1b
handler: mov ${APIC_MSR['EOI']}, %ecx
        xor %eax, %eax
        wrmsr
        iretq
"""))
    bench.cpu.go()
    bench.do("a message", [c.Msi(CARD, 0xFEE00000, 0x61)])
    assert bench.cpu.go().state == State.WAITS
    assert [event.act for event in bench.events if event.act in (Act.TAKEN, Act.ENDED)] == [Act.TAKEN, Act.ENDED]


@needs_binutils
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_driver_in_c():
    bench = Bench(compiled("""
static volatile unsigned status;
static volatile unsigned *unit(unsigned at) { return (unsigned *)(0xfed90000ul + at); }
static volatile unsigned *apic(unsigned at) { return (unsigned *)(0xfee00000ul + at); }
void handler(void) { ++*(volatile unsigned *)0x90010; *apic(0xb0) = 0; }
static void gcmd(unsigned bit) {
    *unit(0x18) = (*unit(0x1c) & 0x96ffffff) | bit;
    while (!(*unit(0x1c) & bit)) ;
}
static void flush(unsigned long slot) {
    volatile unsigned long *queue = (unsigned long *)0x80000 + 2 * slot;
    queue[0] = 4; queue[1] = 0;
    status = 0;
    queue[2] = 1ul << 32 | 0x25; queue[3] = (unsigned long)&status;
    *(volatile unsigned long *)unit(0x88) = 16 * (slot + 2);
    while (status != 1) ;
}
void start(unsigned long index, unsigned long low, unsigned long high) {
    volatile unsigned long *entry = (unsigned long *)0x100000 + 2 * index;
    *(volatile unsigned long *)unit(0x88) = 0;
    *(volatile unsigned long *)unit(0x90) = 0x80000;
    gcmd(1 << 26);
    *(volatile unsigned long *)unit(0xb8) = 0x100000 | 1 << 11 | 7;
    gcmd(1 << 24);
    flush(0);
    gcmd(1 << 25);
    entry[1] = high; entry[0] = low;
    flush(2);
    *apic(0xf0) = 0x1ff;
    for (;;) __asm__ volatile("sti; hlt");
}
"""), *words(9, 0x61)[:3])
    assert bench.cpu.go().state == State.WAITS
    message(bench, 9)
    assert bench.cpu.go().state == State.WAITS
    assert bench.m.ram.word(TAKEN) == 1 and bench.findings() == []


# --- nothing goes on for ever, nothing raises ---


@pytest.mark.parametrize("data, state, why", [
    (b"\xeb\xfe", State.LIMIT, "1,000 instructions"), (b"\xf3\xaa" * 2, State.LIMIT, "100 steps"),
    (b"\xf4", State.ENDED, "interrupts off"), (b"\xfb\xf4", State.WAITS, "interrupts on"),
    (b"\x0f\x0b", State.FAULT, "invalid instruction"), (b"\xcc", State.FAULT, "exception"),
    (b"\xff\xe0", State.LIMIT, "100 steps"), (b"\xff\xe7", State.FAULT, "it cannot go on"),
    (b"\x0f\x32", State.FAULT, "MSR 0x0 is refused: #GP"), (b"\xbb\0\0\xd9\xfe\xff\xe3", State.FAULT, "fetch"),
    (b"\x48\x89\xfc\x48\xcf", State.FAULT, "IRETQ with no memory"), (b"\x48\x89\xfc\x50", State.LIMIT, "100 steps")])
def test_it_ends_and_says_why(data, state, why):
    first = (LOW,) if data[:1] != b"\xf3" else (0x5000, 0, 0, LOW)
    stand = Bench(Program(data), *first).cpu.go(1_000, 100)
    assert stand.state == state and why in stand.why and f"{stand.address:#x}" in str(stand)


def test_what_has_ended_does_not_go_on():
    bench = Bench(Program(b"\xf4\xf4"))
    assert bench.cpu.go() == bench.cpu.go() and bench.cpu.go().address == BASE + 1


def test_many_pages_are_too_many():
    source = "mov $0x5000, %ebx\n1: movb (%rbx), %al\nadd $0x1000, %rbx\njmp 1b"
    stand = Bench(code(source)).cpu.go(100_000, 10_000)
    assert stand.state == State.LIMIT and stand.why == f"it touches more than {p.MOST_PAGES} pages"


def test_a_dead_machine_runs_nothing():
    bench = Bench(DRIVER, *words(9, 0x61))
    bench.m.dead = 1
    assert bench.cpu.go().why == "the machine is dead"


@pytest.mark.parametrize("given_, said", [
    ({"numbers": (1,) * 7}, "7 numbers"), ({"numbers": (-1,)}, "rdi is -0x1"), ({"numbers": (0, 1 << 64)}, "rsi is"),
    ({"vcpu": 4}, "vcpu is 4; the limit is 0 to 3"), ({"size": 1 << 16}, "memory is 0x10000 bytes; the program")])
def test_a_callers_mistake_is_told_before_anything_happens(given_, said):
    with pytest.raises(ValueError, match=said):
        Bench(DRIVER, *given_.pop("numbers", ()), **given_)


def test_without_the_emulator_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(p, "find_spec", lambda name: None)
    with pytest.raises(NoEmulator, match=r"pip install unicorn"):
        Bench(DRIVER)


INTERESTING = st.sampled_from([
    b"\xfb\xf4", b"\x48\xcf", b"\x0f\x30", b"\x0f\x32", b"\xcf", b"\xcb", b"\xcd\x80", b"\x0f\x05", b"\xf3\x48\xab",
    b"\xf3\xa4", b"\x0f\x22\xd8", b"\x0f\x22\xc0", b"\x0f\x01\x18", b"\x44\x0f\x22\xc0", b"\x48\x0f\xc7\x08",
    b"\x0f\xaa", b"\x48\x89\xc4", b"\x48\x89\xc7", b"\x48\x89\xc1", b"\xff\xe0", b"\x50", b"\xc3",
    b"\x48\x89\x00", b"\x48\x8b\x00"])
ADDRESS = st.sampled_from([UNIT, 0xFEE00000, 0xFEC00000, 0xFFF8, BASE, 0x4000000 - 4, LOW, 1 << 52]).map(
    lambda at: b"\x48\xb8" + at.to_bytes(8, "little"))
BYTES = st.lists(st.one_of(st.binary(max_size=8), INTERESTING, ADDRESS), min_size=1, max_size=24).map(b"".join)
SPOILT = st.lists(st.tuples(st.integers(0, len(DRIVER.code) - 1), st.integers(0, 255)), min_size=1, max_size=5).map(
    lambda rows: bytes(dict(rows).get(at, byte) for at, byte in enumerate(DRIVER.code)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(BYTES.filter(bool), SPOILT), st.integers(0, LOW))
def test_no_bytes_raise_hang_or_reach_anything_but_the_machine(data, number):
    bench = Bench(Program(data), *words(9, 0x61)[:3], number)
    for sent in (c.Msi(CARD, 0xFEE00000, 0x61), c.Msi(CARD, 0xFEE00000, 0x400), c.Tick(1)):
        stand = bench.cpu.go(2_000, 200)
        assert stand.instructions <= 2_000 and stand.steps <= 300      # an instruction is done whole
        bench.do("outside", [sent])
    assert all(type(each) in (c.RamWrite, c.Mmio, c.MmioRead, c.ApicWrite, c.Msr, c.Cr8, c.Acknowledge, c.Iret, c.Msi,
                              c.Tick) for each in bench.log)


# --- in small portions ---


def resume(bench, **bounds):
    """Go on until it is not for the bounds that it stops."""
    assert any(bench.cpu.go(**bounds).state != State.LIMIT for _ in range(200))


@pytest.mark.parametrize("portion", [{"instructions": 1}, {"steps": 1}, {"instructions": 7, "steps": 3}])
def test_in_portions_it_does_the_same(portion):
    def run(**bounds):
        bench = Bench(DRIVER, *words(9, 0x61, second=0x71))
        for _ in range(3):
            resume(bench, **bounds)
            message(bench, 9)
        return [each for each in bench.did if not (isinstance(each, c.RamWrite) and each.address in p.STACK)]
    assert run(**portion) == run()


@needs_binutils
@pytest.mark.parametrize("source, commands", [
    ("movdqu %xmm0, 0x5008\nmovl $1, 0x5000",
     [c.RamWrite(0x5008, bytes(8)), c.RamWrite(0x5010, bytes(8)), c.RamWrite(0x5000, b"\1\0\0\0")]),
    ("movl $7, 0x5010\nmovdqu 0x5008, %xmm0\nmovdqu %xmm0, 0x6000",
     [c.RamWrite(0x5010, b"\7\0\0\0"), c.MmioRead(0x5008, 8), c.MmioRead(0x5010, 8),
      c.RamWrite(0x6000, bytes(8) + b"\7" + bytes(7))])])
def test_an_instruction_with_two_accesses_is_done_whole(source, commands):
    bench = Bench(assembled(f"{source}\nhlt"))
    resume(bench, steps=1)
    assert bench.did == commands


@needs_binutils
def test_sti_delays_over_the_end_of_a_portion():
    bench = Bench(assembled(TWO_JUMPS + """
start:  mov $0xfee00000, %ebx
        movl $0x1ff, 0xf0(%rbx)
        movl $0x40041, 0x300(%rbx)
        sti
        movl $1, 0x5000
        hlt
handler: hlt
"""))
    resume(bench, instructions=1)
    assert [type(each) for each in bench.did][2:4] == [c.RamWrite, c.Acknowledge]


@needs_binutils
def test_what_was_stored_before_a_refused_instruction_is_in_memory():
    bench = Bench(assembled("movl $7, 0x5000\nud2"))
    assert bench.cpu.go().state == State.FAULT and bench.m.ram.word(0x5000) == 7


@needs_binutils
def test_iretq_takes_its_frame_from_the_machines_memory():
    bench = Bench(assembled("mov $0x6000, %esp\nmovl $1, 0x5000\nhlt\niretq\nback: movl $2, 0x5000\nhlt"))
    bench.cpu.go()
    frame = [bench.cpu.program.labels["back"], 8, 2, 0x7000, 0x10]
    bench.do("somebody else", [c.RamWrite(0x6000, b"".join(each.to_bytes(8, "little") for each in frame))])
    bench.cpu.stand = None
    bench.cpu.go()
    assert bench.m.ram.word(0x5000) == 2


HALTS = Program(bytes.fromhex("eb08 909090909090 eb04 fb f4 ebfd f4"))
"""start: sti; hlt, for ever. handler: hlt with interrupts off, so it ends."""


@pytest.mark.parametrize("irqs, state", [((1,), State.ENDED), ((), State.WAITS)])
def test_an_interrupt_from_the_8259_wakes_it_where_its_line_is_open(irqs, state):
    bench = Bench(HALTS)
    bench.do("firmware", [*firmware.virtual_wire(bench.m, irqs)])
    assert bench.cpu.go().state == State.WAITS
    bench.do("a key", [c.Isa(1, 1)])
    assert bench.cpu.go().state == state
    taken = [(event.index, event.low) for event in bench.events if event.act == Act.TAKEN]
    assert taken == ([(0x09, Dlm.EXTINT)] if irqs else [])
