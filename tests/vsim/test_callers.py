"""What a caller gives and nothing can take: a ValueError that names it, what was found and the limits, at once."""

import re

import pytest

from tests.logs import machine
from vsim import IRTE, Guest, History, Machine, create_op, explain_in, profile, step, why
from vsim.layouts.given import whole
from vsim.protocol.checker import check
from vsim.state import commands as c

M = machine()
SPEC = profile("spec")
FEE = 0xFEE00000

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
