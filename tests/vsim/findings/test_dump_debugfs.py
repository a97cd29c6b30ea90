"""Linux's debugfs irq files on the small kernel: every chain comes back, in the real form."""

import re

import pytest

from tests.vsim.findings.booted import lab_file, lived, read_back
from vsim.findings import dump_debugfs as dumps
from vsim.findings.dump_linux import interrupts, runs
from vsim.readers import debugfs_irq, ranges


@pytest.mark.parametrize("eim", [1, 0, None])
def test_every_chain_comes_back(eim):
    booted = lived(eim=eim)
    found = {each.irq: each for each in read_back(debugfs_irq, booted.dump("debugfs irq"))}
    wanted = {each.number: each for each in interrupts(booted.subject, booted.guest)}
    assert found.keys() == wanted.keys() and len(found) > 5
    for irq, each in found.items():
        source = wanted[irq].source
        if source is None:
            assert each.levels[0].domain == "DMAR-MSI" and (each.entry, each.cpu) == (None, 0)
            continue
        assert (each.vector, each.cpu, each.effective) == (source.vector, source.vcpu, ranges.of([source.vcpu]))
        assert (each.unit, each.entry) == ((0, source.index) if source.index >= 0 else (None, None))
        assert each.pin == ((0, source.number) if source.kind == "pin" else None)
        assert each.rid == (None if source.kind == "pin" else (0, source.bdf))
        assert each.affinity == ranges.of(range(4)) and ("IRQD_LEVEL" in each.flags) == (source.kind == "pin")


UNNAMED = 0xF
"""Bits of dstate without a name of their own here: the trigger."""


def files(text):
    return [part.splitlines() for part in re.split(r"(?m)^(?=--- irq )", text) if part.startswith("--- irq ")]


@pytest.mark.parametrize("moment", ["boot", "moved", "replugged", "end"])
def test_files_of_our_own_run_are_written_as_they_were_read(moment):
    path = lab_file(f"linux-6.12-8cpu/debugfs-irq-{moment}.txt")
    if path is None:
        pytest.skip("no dumps of our own runs beside the real ones")
    text = path.read_text()
    real = {each.irq: each for each in read_back(debugfs_irq, text)}
    same = 0
    for lines in files(text):
        each = real[int(lines[0].split()[-1])]
        cpus = [runs([cpu for low, high in found for cpu in range(low, high + 1)])
                for found in (each.affinity, each.effective)]
        states = [flag for flag in each.flags if flag in dumps.STATES]
        again = list(dumps.head(each.handler, each.device or "(null)", each.status, states, *cpus))
        start = next(at for at, line in enumerate(lines) if line.startswith("domain:"))
        unlike = re.compile("istate|dstate|pending| +(?:_IRQ_|IRQS_)")      # what a file tells beyond what we keep
        assert [line for line in again if not unlike.match(line)] == [
            line for line in lines[1:start] if not unlike.match(line)]
        assert each.dstate & ~UNNAMED == sum(1 << dumps.STATES[state] for state in states)
        same += 1
        flags = {"IO-APIC": dumps._FLAGS["IO-APIC"], "IR-": dumps._FLAGS["PCI"], "DMAR": dumps._FLAGS["DMAR"]}
        levels = [(level.domain, level.hwirq, level.chip, *next(
            (value for name, value in flags.items() if level.domain.startswith(name)), (0, ())))
            for level in each.levels]
        chain = list(dumps.chain(levels))
        assert lines[start:start + len(chain)] == chain
        if each.vector is None:
            continue
        rest = [line.strip() for line in lines[start + len(chain):]]
        ours = list(dumps.placed(each.vector, each.cpu))
        assert rest[:2] == ours[:2] and [line[:18] for line in rest[2:7]] == [line[:18] for line in ours[2:]]
    assert same > 40
