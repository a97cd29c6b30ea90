"""Recordings of the series' own device-model code (versions 1 and 4), run on the machine and compared step by step.

There are no deviations here: the recording is what the faithful machine must do, crashes and endless loops included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from vsim import machine
from vsim.devices import viommu, vlapic
from vsim.layouts.registers import OFFSET
from vsim.readers.source import shown
from vsim.replay.cases import MAX_STEPS, limited, number_of
from vsim.state import commands as c
from vsim.state.arrays import LATCH_WORDS, MAX_VCPUS, MOST_BOUND, PAGE_WORDS, Apic, Latch, Machine
from vsim.state.profile import Profile
from vsim.state.trace import Act, Drop, Event, Kind, node
from vsim.xen import bind as xen_bind
from vsim.xen import models as xen_models
from vsim.xen import paths as xen_paths
from vsim.xen import save as xen_save
from vsim.xen import vvtd as xen_vvtd

BASE = 0xFED90000
MOST_ROWS = 201
"""The recorder kept no more observations of one step."""
_RESET = {"FECTL": 1 << 31, "IECTL": 1 << 31}


class Bench:
    """One case being played: the machine, the last save record, the page kinds and the bound messages."""

    def __init__(self, head: dict[str, Any], chosen: Profile, raw: bool) -> None:
        version = version_of(head)
        self.profile = chosen.with_options(matching="everybody")
        self.ram = number(head.get("ram", 64 << 20))
        self.saved = b""
        self.posting = False
        self.cpus = False
        self.base = BASE
        self.new()
        if not raw:
            self.create(0 if version == "v4" else 1, BASE, 1)

    def new(self) -> None:
        """A fresh domain without vIOMMU."""
        self.m = Machine(self.profile, 1, self.ram)
        vlapic.set_mode(self.m, 0, Apic.XAPIC)
        self.m.svr[0] |= 0x100

    def create(self, type_: int, base: int, caps: int, cmd: int = 0) -> list[Event]:
        """The domctl."""
        self.base = base
        version = self.m.profile.options.interface
        values = {"viommu_type": type_ & 0xFF if version == "v4" else type_, "base_address": base, "capabilities": caps}
        if version == "v1":
            values["length"] = 4096
        body = bytearray(viommu.encode(version, 0, **values))
        body[0:4] = cmd.to_bytes(4, "little")
        return machine.step(self.m, c.Domctl(bytes(body)))


def number(value: Any) -> int:
    """A number: an int, or a hex string."""
    return int(value, 16) if isinstance(value, str) else int(value)


_TOTALS = {"page": (3, 1 << 17), "cpus": (1, 1 << 16), "mr": (2, 1 << 24)}
"""For steps that can be large: which value says how large, and how much all of a case may be."""


# --- reading ---

_LIMITS = {"offset": 4095, "word": (1 << 64) - 1, "data": 0xFFFFFFFF, "small": 1 << 16, "gfn": 1 << 40, "kind": 2,
           "flag": 1, "vcpus": MAX_VCPUS, "cmd": 0xFFFFFFFF}
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    **{f"r{w}": ("offset",) for w in (1, 2, 4, 8)}, **{f"w{w}": ("offset", "word") for w in (1, 2, 4, 8)},
    "m16": ("word", "word", "word"), "mr": ("word", "small"), "msi": ("word", "data"), "rte": ("word",),
    "imsi": ("word", "data"), "irte": ("word",), "gvec": ("word",), "create": ("word", "word", "word", "cmd"),
    "destroy": (), "save": (), "load": (), "loadshort": (), "new": (), "page": ("gfn", "kind", "small"),
    "oom": ("small",), "pv": (), "nomatch": ("flag",), "cpus": ("vcpus", "flag"), "lapic": ("vcpus", "flag"),
    "bind": ("word", "data"), "gmsi": ("small",), "post": ("flag",)}
"""What each step takes, by the limit of its values."""


def version_of(head: dict[str, Any]) -> str:
    """The version that a recording is of, "v1" or "v4". ValueError for any other."""
    words = str(head.get("xen"))[:60].split()
    for version in ("v1", "v4"):
        if version in words:
            return version
    raise ValueError(f"a recording of {' '.join(words)!r}; allowed: series v1 or v4")


def check_case(row: dict[str, Any]) -> None:
    """Check the values of every step, so that a bad file is refused before anything runs. ValueError, KeyError."""
    both = isinstance(row["s"], list) and isinstance(row["o"], list)
    if not both or len(row["s"]) != len(row["o"]) or len(row["s"]) > MAX_STEPS:
        raise ValueError("s and o that are not lists of one length (at most 20000)")
    for step in row["s"]:
        _check_step(step)
    for tag, (place, limit) in _TOTALS.items():
        total = sum(number_of(step[place]) for step in row["s"] if step[0] == tag)
        if total > limit:
            raise ValueError(f"steps {tag!r} of {total} in all; allowed: up to {limit}")
    binds = sum(step[0] == "bind" for step in row["s"])
    if binds > MOST_BOUND:
        raise ValueError(f"{binds} steps 'bind'; allowed: up to {MOST_BOUND}")
    if row["end"] is not None and not isinstance(row["end"], dict):
        raise ValueError(f"end {shown(str(row['end']))}; allowed: an object, or null")


def _check_step(step: Any) -> None:
    if not isinstance(step, list) or not step or not isinstance(step[0], str) or step[0] not in _ARGUMENTS:
        raise ValueError(f"step {str(step)[:60]}; allowed: {', '.join(_ARGUMENTS)}")
    kinds = _ARGUMENTS[step[0]]
    if len(step) != len(kinds) + 1:
        raise ValueError(f"step {str(step)[:60]} with {len(step) - 1} values; allowed: {len(kinds)}")
    for kind, value in zip(kinds, step[1:], strict=True):
        limited(value, _LIMITS[kind])
    if step[0] == "cpus" and not number_of(step[1]):
        raise ValueError("a domain of 0 vCPUs; allowed: 1 to 4096")


# --- steps ---


def _access(width: int, write: bool) -> Callable[[Bench, list[Any]], list[Any]]:
    def step(b: Bench, s: list[Any]) -> list[Any]:
        offset = number(s[1])
        unit = machine.unit_at(b.m, b.base + offset)
        if unit < 0:
            return [["pass"]]
        if offset + width > b.m.latch[LATCH_WORDS * unit + Latch.MMIO_LENGTH]:
            return [["X"]] if write else ["0x0", ["X"]]
        if write:
            events = machine.step(b.m, c.Mmio(b.base + offset, width, number(s[2])))
            passed = any(e.act == Act.DROPPED and e.index == Drop.UNCLAIMED and e.low == offset for e in events)
            return [["pass"]] if passed and xen_models.model(b.m).passes else observe(b, events)
        if xen_vvtd.read(b.m, unit, offset, width) is None:
            return [["pass"]]
        events = machine.step(b.m, c.MmioRead(b.base + offset, width))
        value = [hex(e.low) for e in events if e.act == Act.READ]      # none when the read never comes back
        return [*value, *observe(b, events)]
    return step


def _m16(b: Bench, s: list[Any]) -> list[Any]:
    b.m.ram.write(number(s[1]), number(s[3]).to_bytes(8, "little") + number(s[2]).to_bytes(8, "little"))
    return []


def _mr(b: Bench, s: list[Any]) -> list[Any]:
    return [hex(int.from_bytes(b.m.ram.read(number(s[1]), s[2]) or b"", "little"))]


def _msi(b: Bench, s: list[Any]) -> list[Any]:
    return observe(b, machine.step(b.m, c.Msi(0, number(s[1]), number(s[2]))))


def _collect(b: Bench, do: Callable[[], Any]) -> tuple[Any, list[Event]]:
    b.m.events = []
    result = do()
    events, b.m.events, b.m.unshown = b.m.events, [], 0
    return result, events or []


def _rte(b: Bench, s: list[Any]) -> list[Any]:
    return observe(b, _collect(b, lambda: xen_paths.pin(b.m, node(Kind.VIOAPIC, 5), number(s[1])))[1])


def _decode(b: Bench, address: int, data: int, pin: int | None) -> list[Any]:
    remappable = bool(address & xen_paths.MODE_BIT_FORMAT) and bool(xen_paths.present(b.m))
    if not remappable and xen_models.model(b.m).name != "xen-v1":
        return [["compat"]]
    code, got = xen_paths.query(b.m, address, data, pin)
    if b.m.dead:
        return [["CRASH"]]
    return [["R", code, got.vector, got.destination, got.mode, got.delivery]] if not code and got else [["R", code]]


def _imsi(b: Bench, s: list[Any]) -> list[Any]:
    return _decode(b, number(s[1]), number(s[2]), None)


def _irte(b: Bench, s: list[Any]) -> list[Any]:
    address, entry = xen_paths.pin_address(number(s[1])), number(s[1])
    return _decode(b, address, 0, entry)


def _gvec(b: Bench, s: list[Any]) -> list[Any]:
    result, _ = _collect(b, lambda: xen_paths.pin_vector(b.m, number(s[1])))
    return [["CRASH"]] if b.m.dead else [["R", result]]


def _create(b: Bench, s: list[Any]) -> list[Any]:
    events = b.create(number(s[1]), number(s[2]), number(s[3]), number(s[4]))
    done = next(e for e in events if e.act == Act.DOMCTL)
    head = ["R", -done.index] if done.index else ["R", 0, done.high]
    return [[*head, ["handlers", b.m.handlers], ["state", int(xen_paths.present(b.m) == 1)]]]


def _destroy(b: Bench, s: list[Any]) -> list[Any]:
    return [["R", -viommu.destroy_for_domain(b.m)]]


def _save(b: Bench, s: list[Any]) -> list[Any]:
    b.saved = xen_save.save(b.m)
    return [["R", 0, b.saved.hex()]]


def _load(short: bool) -> Callable[[Bench, list[Any]], list[Any]]:
    def step(b: Bench, s: list[Any]) -> list[Any]:
        code = xen_save.load(b.m, b.saved[:-4] if short else b.saved)
        return [["R", -code]]
    return step


def _new(b: Bench, s: list[Any]) -> list[Any]:
    b.new()
    return []


def _page(b: Bench, s: list[Any]) -> list[Any]:
    for gfn in range(s[1], s[1] + s[3]):
        b.m.pages[gfn] = s[2]
    return []


def _oom(b: Bench, s: list[Any]) -> list[Any]:
    machine.step(b.m, c.OutOfMemory(s[1]))
    return []


def _pv(b: Bench, s: list[Any]) -> list[Any]:
    b.m.profile = b.m.profile.with_options(domain_type="pv")
    return []


def _nomatch(b: Bench, s: list[Any]) -> list[Any]:
    b.m.profile = b.m.profile.with_options(matching="nobody" if s[1] else "everybody")
    return []


def _cpus(b: Bench, s: list[Any]) -> list[Any]:
    old = b.m
    b.cpus = True
    b.profile = replace(b.profile, options=replace(b.profile.options, matching="xen"))
    m = Machine(b.profile, s[1], b.ram)
    for vcpu in range(s[1]):
        m.svr[vcpu] |= 0x100
        vlapic.set_mode(m, vcpu, Apic.X2APIC if s[2] else Apic.XAPIC)
        if not s[2]:
            m.ldr[vcpu] = (1 << vcpu % 8) << 24
    m.changed_apics()
    m.ram, m.pages, m.handlers, m.created = old.ram, old.pages, old.handlers, old.created
    m.regs, m.latch = old.regs, old.latch
    b.m = m
    return []


def _lapic(b: Bench, s: list[Any]) -> list[Any]:
    if s[1] >= b.m.vcpus:
        return [["no vCPU"]]
    if s[2]:
        b.m.svr[s[1]] |= 0x100
    else:
        b.m.svr[s[1]] &= ~0x100
    return []


def _bind(b: Bench, s: list[Any]) -> list[Any]:
    place, events = _collect(b, lambda: xen_bind.bind(b.m, number(s[1]), number(s[2])))
    return [*observe(b, events), _bound(b, place)]


def _gmsi(b: Bench, s: list[Any]) -> list[Any]:
    return [_bound(b, s[1])]


def _bound(b: Bench, place: int) -> list[Any]:
    if place >= len(b.m.bound):
        return ["no binding"]
    found = b.m.bound[place]
    return ["G", found.vcpu, found.vector, found.posted]


def _post(b: Bench, s: list[Any]) -> list[Any]:
    b.m.posting = int(s[1])
    return []


STEPS: dict[str, Callable[[Bench, list[Any]], list[Any]]] = {
    **{f"r{w}": _access(w, False) for w in (1, 2, 4, 8)}, **{f"w{w}": _access(w, True) for w in (1, 2, 4, 8)},
    "m16": _m16, "mr": _mr, "msi": _msi, "rte": _rte, "imsi": _imsi, "irte": _irte, "gvec": _gvec, "create": _create,
    "destroy": _destroy, "save": _save, "load": _load(False), "loadshort": _load(True), "new": _new, "page": _page,
    "oom": _oom, "pv": _pv, "nomatch": _nomatch, "cpus": _cpus, "lapic": _lapic, "bind": _bind, "gmsi": _gmsi,
    "post": _post}
"""The steps of a recording."""


# --- observing ---


def _message(b: Bench, e: Event) -> list[Any] | None:
    address, data = e.low, e.high
    destination = address >> 12 & 0xFF | address >> 32 & 0xFFFFFF00
    mode = data >> 8 & 7
    if b.cpus or mode not in (0, 1, 4):
        return None
    if b.m.profile.options.matching == "nobody":
        return ["M-", destination, address >> 2 & 1]
    tm, vector = (0, 0) if mode == 4 else (data >> 15 & 1, data & 0xFF)
    return ["M", destination, address >> 2 & 1, 0, tm, mode, vector]


def _result(b: Bench, e: Event) -> list[Any]:
    own = xen_models.model(b.m).name == "xen-v1" and not e.index
    return ["H" if own else "R", xen_paths.signed(e.low)]


def _invalidated(b: Bench, e: Event) -> list[Any] | None:
    if xen_models.model(b.m).name == "xen-v1":
        return None
    return ["C", 1, e.index, 1 << e.high] if e.low else ["C", 0, 1]


def _stopped(b: Bench, e: Event) -> list[Any]:
    return {1: ["CRASH"], 2: ["HANG"], 3: ["DC"]}[e.index]


def _accepted(b: Bench, e: Event) -> list[Any] | None:
    return ["A", e.node & 0xFFFFFF, e.index, e.low] if b.cpus else None


_ROWS: dict[int, Callable[[Bench, Event], list[Any] | None]] = {
    Act.REMAPPED: _message, Act.PASSED: _message, Act.NOTIFIED: _message, Act.RETURNED: _result,
    Act.INVALIDATED: _invalidated, Act.STOPPED: _stopped, Act.ACCEPTED: _accepted, Act.MERGED: _accepted,
    Act.SIGNALLED: lambda b, e: ["N", e.node & 0xFFFFFF] if b.cpus else None,
    Act.STATUS_WRITTEN: lambda b, e: None if xen_models.model(b.m).passes else ["W", hex(e.low), hex(e.high)],
    Act.EVENT_CHANNEL: lambda b, e: ["P", e.index],
    Act.MIGRATED: lambda b, e: ["mig", e.index, e.low],
    Act.HOST_ENTRY: lambda b, e: ["pi", e.index, e.low, e.high],
    Act.DROPPED: lambda b, e: (["WX", hex(e.low), hex(e.high)] if e.index == Drop.UNWRITABLE
                               and not xen_models.model(b.m).passes else None),
}


def observe(b: Bench, events: list[Event]) -> list[Any]:
    """What the recorder saw of these events; consecutive global invalidations and neighbours count together."""
    out: list[Any] = []
    for event in events:
        build = _ROWS.get(event.act)
        row = build(b, event) if build else None
        if row is None:
            continue
        if row[0] == "C" and out and out[-1][:2] == row[:2]:
            last = out[-1]
            if row[1] == 0:
                last[2] += 1
                continue
        out.append(row)
    out = out[:MOST_ROWS]
    return next(([[end]] for end in ("CRASH", "HANG") if [end] in out), out)     # nothing else came out of the recorder


def registers(m: Machine) -> list[int]:
    """The stored words of the unit, for the difference after each step."""
    return list(m.regs[:PAGE_WORDS]) if m.units and xen_paths.present(m) == 1 else []


def changed(before: list[int], after: list[int]) -> list[Any]:
    """Words of the register page that changed."""
    if len(before) != len(after):
        return []
    return [["S", 4 * i, hex(b)] for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]


def end_state(m: Machine) -> dict[str, Any]:
    """Registers that differ from reset, and the unit's internal state."""
    if xen_paths.present(m) != 1:
        return {}
    reset = {OFFSET[name] // 4: value for name, value in _RESET.items()}
    caps = m.profile.capabilities
    reset |= {0: 0x10, 2: caps.cap & 0xFFFFFFFF, 3: caps.cap >> 32, 4: caps.ecap & 0xFFFFFFFF, 5: caps.ecap >> 32}
    out: dict[str, Any] = {hex(4 * i): hex(v) for i, v in enumerate(m.regs[:PAGE_WORDS]) if v != reset.get(i, 0)}
    eim, on = m.latch[Latch.MODE] >> 1 & 1, m.latch[Latch.MODE] & 1
    if xen_models.model(m).name == "xen-v1":
        eim = m.latch[Latch.LATCHED_EIME]
    gfn = m.latch[Latch.BASE_PAGE]
    pins = m.latch[Latch.TABLE_PAGES] + m.latch[Latch.QUEUE_PAGES] + m.pinned
    state = {"eim": eim, "on": on, "entries": m.latch[Latch.ENTRIES], "gfn": hex(gfn) if gfn else 0,
             "pins": pins if not xen_models.model(m).passes else 0}
    return out | {name: value for name, value in state.items() if value}


def play(head: dict[str, Any], body: dict[str, Any], chosen: Profile) -> Iterator[tuple[str, Any, Any, Any]]:
    """Run a case step by step: (number, command, recorded, found) of each, the last for the final state."""
    b = Bench(head, chosen, bool(body.get("raw")))
    for place, (step, seen) in enumerate(zip(body["s"], body["o"], strict=True)):
        before = registers(b.m)
        found = STEPS[step[0]](b, [step[0], *map(number, step[1:])])
        fatal = found and found[-1] in (["CRASH"], ["HANG"])
        if not fatal:
            found = found + changed(before, registers(b.m))
        yield str(place), step, seen, found
        if fatal:
            break
    yield "end", "state", body["end"], None if b.m.dead else end_state(b.m)
