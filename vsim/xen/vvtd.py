"""The register page of the series as it was coded (X 3.1 to 3.5).

`vvtd` is the unit of the specification; this is the unit that Xen's guests would have met. Every defect of X 10 that
lives here is one named condition, so that a profile can correct it singly. `faults` and `queue` hold the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from vsim.devices.faults import Message
from vsim.layouts.bits import get
from vsim.layouts.formats import FRCD
from vsim.layouts.registers import FECTL, FSTS, GCMD, ICS, IRTA, OFFSET, ONE_SHOT
from vsim.state import xen_quirks as q
from vsim.state.arrays import LATCH_WORDS, Latch, Machine
from vsim.state.trace import Act, Drop, Kind, node
from vsim.xen import faults as xen_faults
from vsim.xen import queue as xen_queue
from vsim.xen.models import Model, map_table, maps_for_good, model, pair, set_mode, word_at
from vsim.xen.queue import Refresh

_IP, _F = FECTL.ip.mask, FRCD.f.mask >> 96
_RAW = frozenset(OFFSET[name] for name in ("FEDATA", "FEADDR", "FEUADDR", "IEDATA", "IEADDR", "IEUADDR"))
_IRTA, _IQA, _IQT, _IQH = (OFFSET[name] for name in ("IRTA", "IQA", "IQT", "IQH"))


def _fits(m: Machine, offset: int, width: int) -> bool:
    return width in (4, 8) and not offset % (4 if model(m).dword else width)


def read(m: Machine, unit: int, offset: int, width: int) -> int | None:
    """The stored value; None when the access goes on to the external device model."""
    if not _fits(m, offset, width):
        return None if model(m).passes else 0
    at = word_at(unit, offset)
    return m.regs[at] | m.regs[at + 1] << 32 if width == 8 else m.regs[at]


def hangs(m: Machine, unit: int) -> bool:
    """Whether a read would never give its value, as the queue that it drives does not end (xen.D23, xen.D24)."""
    return bool(m.quirks & q.QI_ON_READ) and xen_queue.loops(m, unit)


def after_read(m: Machine, unit: int) -> Iterator[Message | Refresh]:
    """Version 4 looks at the queue after every read of a register (quirk xen.D23)."""
    if m.quirks & q.QI_ON_READ:
        yield from xen_queue.run_queue(m, unit)


def write(m: Machine, unit: int, offset: int, width: int, new: int) -> Iterator[Message | Refresh]:
    """A write; what is not taken is dropped, or passed on to the external device model."""
    here = node(Kind.VIOMMU, unit)
    face = model(m)
    wide = width == 8 and face.wide is not None and offset not in face.wide
    if not _fits(m, offset, width) or wide or (face.passes and not _takes(face, offset, width)):
        m.emit(here, Act.DROPPED, Drop.UNCLAIMED if face.passes else Drop.WIDTH, offset, new)
        return
    m.emit(here, Act.WRITTEN, offset, new, width)
    if width == 8 and face.passes:
        yield from _write_wide(m, unit, offset, new)
        return
    for part in range(width // 4):
        yield from _write_word(m, unit, offset + 4 * part, new >> 32 * part & 0xFFFFFFFF)


def _takes(face: Model, offset: int, width: int) -> bool:
    """Whether versions 1 and 2 have this register in their write table."""
    names = ("GCMD", "FSTS", "FECTL", "FEDATA", "FEADDR", "FEUADDR", "IQT", "IQA", "ICS", "IECTL", "IEDATA", "IEADDR",
             "IEUADDR", "IRTA")
    known = {OFFSET[name] for name in names} | {_IQA + 4, _IRTA + 4, face.record + 12, face.record + 8}
    return offset in known and not (width == 4 and offset == face.record + 8)


def _write_wide(m: Machine, unit: int, offset: int, new: int) -> Iterator[Message | Refresh]:
    """An 8-byte write as versions 1 to 3 take it: as one."""
    if offset == _IRTA:
        m.regs[word_at(unit, offset)] = new & 0xFFFFFFFF
        m.regs[word_at(unit, offset) + 1] = new >> 32
    elif offset == _IQA:
        xen_queue.write_address(m, unit, new)
    elif offset == _IQT:
        yield from xen_queue.write_tail(m, unit, new)
    elif new >> 32 & _F:
        xen_faults.clear_record(m, unit)


def _write_word(m: Machine, unit: int, offset: int, new: int) -> Iterator[Message | Refresh]:
    """One 32-bit register."""
    if offset == OFFSET["GCMD"]:
        _command(m, unit, new)
    elif offset == OFFSET["FSTS"]:
        yield from _clear_status(m, unit, new)
    elif offset in (OFFSET["FECTL"], OFFSET["IECTL"]):
        yield from xen_faults.write_control(m, unit, offset, new)
    elif offset in _RAW or offset in (_IRTA, _IRTA + 4):
        m.regs[word_at(unit, offset)] = new
    elif offset == OFFSET["ICS"] and new & ICS.iwc.mask:
        m.regs[word_at(unit, offset)] &= ~ICS.iwc.mask
        m.regs[word_at(unit, OFFSET["IECTL"])] &= ~_IP
    elif offset == _IQT:
        yield from xen_queue.write_tail(m, unit, new)
    elif offset in (_IQA, _IQA + 4):
        xen_queue.write_half(m, unit, offset, new)
    elif offset == model(m).record + 12 and new & _F:
        xen_faults.clear_record(m, unit)


def _clear_status(m: Machine, unit: int, new: int) -> Iterator[Message | Refresh]:
    """FSTS; versions 1 to 3 go on with the queue when IQE is clear."""
    xen_faults.clear_status(m, unit, new)
    if not m.regs[word_at(unit, OFFSET["FSTS"])] & FSTS.iqe.mask and not m.quirks & q.QI_ON_READ:
        yield from xen_queue.run_queue(m, unit)


# --- global command (X 3.4, 3.5) ---


def _command(m: Machine, unit: int, new: int) -> None:
    """GCMD: the whole wanted state; several changes act at once, in the version's order."""
    status = m.regs[word_at(unit, OFFSET["GSTS"])] & ~ONE_SHOT
    changed = status ^ new
    for name in model(m).order:
        bit = int(getattr(GCMD, name).mask)
        if changed & bit:
            {"sirtp": _sirtp, "ire": _ire, "qie": _qie}[name](m, unit, bool(new & bit))


def _status(m: Machine, unit: int, bit: int, on: bool) -> None:
    at = word_at(unit, OFFSET["GSTS"])
    m.regs[at] = m.regs[at] | bit if on else m.regs[at] & ~bit


def _sirtp(m: Machine, unit: int, on: bool) -> None:
    """Latch the table. Version 4 maps it for good, and does nothing when neither page nor size changed (D6)."""
    irta = pair(m, unit, _IRTA)
    gfn, entries, at = irta >> 12, 2 << get(irta, IRTA.s), LATCH_WORDS * unit
    same = m.latch[at + Latch.BASE_PAGE] == gfn and m.latch[at + Latch.ENTRIES] == entries
    _status(m, unit, GCMD.sirtp.mask, True)
    if same and m.quirks & q.SIRTP_EIME_IGNORED:
        return
    m.latch[at + Latch.BASE_PAGE], m.latch[at + Latch.ENTRIES] = gfn, entries
    set_mode(m, unit, "eime", bool(get(irta, IRTA.eime)))
    m.latch[at + Latch.LATCHED_EIME] = get(irta, IRTA.eime)
    m.emit(node(Kind.VIOMMU, unit), Act.LATCHED, entries, irta, get(irta, IRTA.eime))
    if maps_for_good(m):
        map_table(m, unit)


def _ire(m: Machine, unit: int, on: bool) -> None:
    """Remapping on or off; versions 1 and 2 never really switch it off (D5)."""
    _status(m, unit, GCMD.ire.mask, on)
    if on or not m.quirks & q.IRE_STICKY:
        set_mode(m, unit, "ires", on)


def _qie(m: Machine, unit: int, on: bool) -> None:
    _status(m, unit, GCMD.qie.mask, on)
    if on == model(m).head_at_enable:
        m.regs[word_at(unit, _IQH)] = 0
