"""What a caller gives and nothing can take: a ValueError that names it, what was found and the limits, at once."""

import math
import re
from dataclasses import replace

import pytest

from tests.logs import machine
from tests.strange import LONG, NoIndex, endless
from vsim import IRTE, Guest, History, Machine, build, create_op, explain_in, lspci, profile, step, sweep, why, xl
from vsim.domain.posting import Host
from vsim.findings.paste import gather
from vsim.history import link, session
from vsim.layouts.given import whole
from vsim.protocol.checker import check
from vsim.scale.run import Here
from vsim.state import commands as c

M = machine()
SPEC = profile("spec")
FEE = 0xFEE00000
TEXT = 'name = "h0"; vcpus = 4; type = "hvm"; pci = ["03:00.0"]; vif = ["model=e1000"]'
CONFIG = xl.parse(TEXT)


def changed(**fields):
    return build(replace(CONFIG, **fields))


# what is called with it, the values, what the message names
MISTAKES = {
    "profile": (profile, ["nope", None, [], 7], r"no profile .*; there are spec, "),
    "Machine.profile": (Machine, ["spec", None], r"profile is ('spec'|None); expected a Profile"),
    "Machine.vcpus": (lambda given: Machine(SPEC, given), [0, 4097, 1.5, "8", None, True],
                      r"vcpus is .*; the limit is 1 to 4096"),
    "Machine.ram_size": (lambda given: Machine(SPEC, 1, given), [0, -1, 1.5, "x", None], r"RAM size (is )?.*"),
    "Machine.bus": (lambda given: Machine(SPEC, 1, 4096, given), ["x", [], 5], r"bus is .*; expected a Bus"),
    "having": (lambda given: SPEC.capabilities.having(fault_records=given), [0, 257, 1.5, "x"],
               r"fault_records is .*; the limit is 1 to 256"),
    "make": (lambda given: IRTE.make(vector=given), [256, -1, None, 1.5, "x"], r"IRTE.*vector.* limit.* 0xff"),
    "create_op": (create_op, [None, 1.5, "x", -1, 1 << 64],
                  r"base_address is .*; the limit is 0x0 to 0xffffffffffffffff"),
    "step": (lambda given: step(M, given), [None, "tick", c.Tick], r" is no command; there are domctl, mmio"),
    "why.unit": (lambda given: why(M, given, 0, FEE, 0), [-1, 1, None, "x"], r"unit is .*; the limit is 0 to 0"),
    "why.requester": (lambda given: why(M, 0, given, FEE, 0), [-2, 1 << 16, None], r"requester is .* -1 to 65535"),
    "why.address": (lambda given: why(M, 0, 0, given, 0), [-1, 1 << 64, 1.5], r"address is .* 0xffffffffffffffff"),
    "why.data": (lambda given: why(M, 0, 0, FEE, given), [-1, 1 << 32, "x"], r"data is .* to 0xffffffff"),
    "check.log": (check, [None, 5], r"commands is .*; expected"),
    "check.machine": (lambda given: check([c.Tick(1)], given), ["x", 5], r"machine is .*; expected a Machine"),
    "History": (History, [None, "x"], r"machine is .*; expected a Machine"),
    "explain_in": (lambda given: explain_in(History(M), given), [0, -1, None, "x"], r"interrupt .*: there are "),
    "xl.parse.text": (xl.parse, [None, 1.5, True, b"x", [], endless(), NoIndex()], r"text is .*; expected a str"),
    "xl.parse.grammar": (lambda given: xl.parse(TEXT, "x", given), [None, {}, [], endless(), 10**30, LONG],
                         r"grammar is .*; known are rfc-v1"),
    "xl.load": (xl.load, [None, 1.5, 7, [], endless()], r"path is .*; expected the path of a file"),
    "lspci.parse": (lspci.parse, [None, 1.5, True, b"x", [], endless(), NoIndex()], r"text is .*; expected a str"),
    "build.config": (build, [None, TEXT, {}, endless()], r"config is .*; expected a Config"),
    "build.host": (lambda given: build(CONFIG, given), ["x", b"x", [], 7, endless()], r"host is .*; expected a Host"),
    "build.profile": (lambda given: build(CONFIG, None, given), ["spec", 1.5, {}],
                      r"profile is .*; expected a Profile"),
    "build.apic_id_step": (lambda given: build(CONFIG, None, None, given), [0, 3, True, 1.0, "1", [], NoIndex()],
                           r"apic_id_step is .*; the limit is 1 to 2"),
    "build.link": (lambda given: build(CONFIG, link=given), ["x", 1.5, [1]], r"link is .*; expected a Link"),
    "build.numbers": (lambda given: [changed(**{name: value}) for name, value in given.items()],
                      [{"vcpus": None}, {"maxvcpus": "8"}, {"memory": "64"}, {"memory": 0.5}, {"maxvcpus": NoIndex()}],
                      r"(vcpus|maxvcpus|memory) is .*; expected a int"),
    "build.rows": (lambda given: [changed(**{name: value}) for name, value in given.items()],
                   [{"pci": None}, {"pci": "03:00.0"}, {"emulated": []}, {"notes": 7}],
                   r"(pci|emulated|notes) is .*; expected a tuple"),
    "build.row": (lambda given: [changed(**{name: value}) for name, value in given.items()],
                  [{"pci": ("03:00.0",)}, {"emulated": (None,)}, {"notes": (1,)}],
                  r"(pci|emulated|notes)\[0\] is .*; expected a (PciAssign|Emulated|str)"),
    "build.viommu": (lambda given: changed(viommu=given), ["intel", 1, {}], r"viommu is .*; expected a ViommuConfig"),
    "sweep.grid": (lambda given: sweep(dict, given, Here()), [None, 7, "x", [1], endless()],
                   r"grid is .*; expected a Mapping"),
    "sweep.axis": (lambda given: sweep(dict, given, Here()), [{1: [2]}, {None: []}],
                   r"an axis of grid is .*; expected a str"),
    "sweep.values": (lambda given: sweep(dict, {"rate": given}, Here()), [None, 1, {2}, iter([])],
                     r"rate is .*; expected a Sequence"),
    "sweep.cells": (lambda given: sweep(dict, given, Here()),
                    [{"a": range(10**30)}, {"a": range(1001), "b": range(1000)}],
                    r"the grid has .* cells or more; the limit is 1000000"),
    "sweep.executor": (lambda given: sweep(math.sqrt, {"a": [1]}, given), [7, "x", []],
                       r"executor is .*; expected an Executor"),
    "sweep.function": (lambda given: sweep(given, {"a": [1]}, Here()), [None, 7, LONG, lambda: 0],
                       r" is no function of a module"),
    "Host.cpus": (Host, [0, 65, None, 1.5, "4", endless()], r"cpus is .*; the limit is 1 to 64"),
    "Host.vcpus": (lambda given: Host(1, given), [0, 65, None, 1.5, True], r"vcpus is .*; the limit is 1 to 64"),
    "gather": (lambda given: list(gather(given)), [[None], [1], [10**30], [endless()], [NoIndex()]],
               r"source 1 is .*; expected a file, a folder, a text or a pair"),
    "gather.pair": (lambda given: list(gather(given)), [[()], [("x",)], [("x", None)], [(None, "x")], [("x", [])]],
                    r"source 1 is .*; a pair is of a name and a text or bytes"),
    "link.parse": (link.parse, [None, b"vsim1.", 7, [], endless()], r"text is .*; expected a str"),
    "session.load": (session.load, [None, 1.5, [], endless()], r"place is .*; expected the path .* to read"),
    "session.save": (lambda given: session.save(None, given), [None, 1.5, [], 7], r"place is .*; expected .* to write"),
    "goto": (History(M).goto, [None, 1.5, True, -1, 1, 10**30, LONG, endless(), NoIndex()],
             r"position is .*; the limit is 0 to 0"),
    "profile.long": (profile, [LONG], r"no profile 'x+; there are"),
    "Guest": (lambda given: Guest(lambda command: [], given), [None, "x"], r"platform is .*; expected a Platform"),
}


@pytest.mark.parametrize("given, value, named", [
    pytest.param(given, value, named, id=f"{name}-{value!r:.20}")
    for name, (given, values, named) in MISTAKES.items() for value in values])
def test_a_caller_s_mistake_is_named_and_nothing_has_changed(given, value, named):
    before = M.copy()
    with pytest.raises(ValueError, match=named) as told:
        given(value)
    assert before == M and M.tick == before.tick
    assert len(str(told.value)) < 400 and not re.search("unsupported|object is not|attribute", str(told.value))


def test_a_number_is_taken_up_to_its_limits():
    assert [whole("n", value, 9, -1) for value in (-1, 0, 9)] == [-1, 0, 9]
    assert whole("n", 1 << 63, 1 << 63) == 1 << 63
