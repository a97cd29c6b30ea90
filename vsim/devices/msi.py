"""What software does to MSI and MSI-X, and which message a function sends (A 8, A 9).

The arrays are those of `pci.Bus.reset`. Every access of a guest ends well: what does not fit is ignored, and
reads as all ones. A write that takes a mask away returns the numbers of the messages that were pending under
it and now go out, once each; the caller sends them by `message`. A function with both MSI and MSI-X enabled,
which the specification forbids, uses MSI-X.
"""

from __future__ import annotations

import struct
from array import array

from vsim.layouts.bits import get, put
from vsim.layouts.registers import MSI_CONTROL, MSIX_CONTROL, MSIX_VECTOR_CONTROL, PCI_COMMAND
from vsim.state.pci import Bus
from vsim.state.pci_function import BAR0, COMMAND, CONFIG_BYTES, MSI_CAP, pba_offset

READY, MASKED, OFF, NO_MASTER = range(4)
"""What becomes of a message: it goes out; it becomes pending; there is none; bus mastering is off."""

ENTRY_BYTES = 16
"""Bytes of an MSI-X table entry: address low, address high, data, vector control (32 bits each)."""

_ADDRESS_LOW = 0xFFFFFFFC       # bits 1:0 of an address are 0
_ENTRY_WRITABLE = {steering: (_ADDRESS_LOW, 0xFFFFFFFF, 0xFFFFFFFF, MSIX_VECTOR_CONTROL.mask.mask
                              | MSIX_VECTOR_CONTROL.st.mask * steering) for steering in (False, True)}
_WORD = struct.Struct("<I")
_MSI_32 = struct.Struct("<IH")
_MSI_64 = struct.Struct("<QH")
_MSI_ENABLE, _MSI_WIDE = MSI_CONTROL.enable.mask, MSI_CONTROL.wide.mask
_MSI_MASKABLE, _MSI_MME = MSI_CONTROL.maskable.mask, MSI_CONTROL.mme.mask
_COUNTS = {MSI_CONTROL.make(mme=mme): 1 << mme for mme in range(8)}     # by the MME bits of message control
_MSIX_ENABLE, _MSIX_MASK = MSIX_CONTROL.enable.mask, MSIX_CONTROL.mask.mask
_MSIX_LAST = MSIX_CONTROL.last.mask
_ENTRY_MASK = MSIX_VECTOR_CONTROL.mask.mask
_MASTER, _MEMORY, _INTX_OFF = PCI_COMMAND.master.mask, PCI_COMMAND.memory.mask, PCI_COMMAND.intx_off.mask


def _control(config: array[int], place: int, cap: int) -> int:
    """Message control of the capability at `cap`; 0, so disabled, without one."""
    if not cap:
        return 0
    at = CONFIG_BYTES * place + cap + 2
    return config[at] | config[at + 1] << 8


def _check(bus: Bus, place: int, number: int) -> None:
    bus.check(place)
    if type(number) is not int or number < 0:
        raise ValueError(f"number is {number!r}; a message has a number from 0")


# --- messages ---


def message(bus: Bus, config: array[int], msix: array[int], place: int, number: int) -> tuple[int, int, int]:
    """Message `number` of a function as it is programmed now: (state, address, data). Changes nothing.

    state: READY; MASKED (the caller sets its pending bit by `pend` and sends nothing); OFF (MSI and MSI-X
    are disabled, or there are not so many messages: address and data are 0); NO_MASTER (bus master enable is
    clear). address: 64 bits. data: MSI-X 32 bits; MSI 16 bits, the low log2(N) of them the number, for N
    messages.
    """
    _check(bus, place, number)
    control = _control(config, place, bus.msix_caps[place])
    if control & _MSIX_ENABLE:
        return _msix_message(bus, config, msix, place, number, control)
    control = _control(config, place, bus.msi_caps[place])
    if control & _MSI_ENABLE:
        return _msi_message(config, place, number, control)
    return OFF, 0, 0


def _msix_message(bus: Bus, config: array[int], msix: array[int], place: int, number: int,
                  control: int) -> tuple[int, int, int]:
    if number > control & _MSIX_LAST:
        return OFF, 0, 0
    at = 4 * (bus.msix_starts[place] + number)
    masked = control & _MSIX_MASK or msix[at + 3] & _ENTRY_MASK
    return _state(config, place, masked), msix[at] | msix[at + 1] << 32, msix[at + 2]


def _msi_message(config: array[int], place: int, number: int, control: int) -> tuple[int, int, int]:
    count = _COUNTS[control & _MSI_MME]
    if number >= count:
        return OFF, 0, 0
    at = CONFIG_BYTES * place + MSI_CAP + 4
    address, data = (_MSI_64 if control & _MSI_WIDE else _MSI_32).unpack_from(config, at)
    masked = control & _MSI_MASKABLE and config[_masks_at(place, control) + number // 8] & 1 << number % 8
    return _state(config, place, masked), address, data & -count | number


def _state(config: array[int], place: int, masked: int) -> int:
    if masked:
        return MASKED
    return READY if config[CONFIG_BYTES * place + COMMAND] & _MASTER else NO_MASTER


def intx_allowed(bus: Bus, config: array[int], place: int) -> bool:
    """Whether the function may assert its pin: command bit 10 clear, neither MSI nor MSI-X enabled."""
    bus.check(place)
    at = CONFIG_BYTES * place + COMMAND
    return not ((config[at] | config[at + 1] << 8) & _INTX_OFF
                or _control(config, place, bus.msix_caps[place]) & _MSIX_ENABLE
                or _control(config, place, bus.msi_caps[place]) & _MSI_ENABLE)


# --- pending bits ---


def pend(bus: Bus, config: array[int], pba: array[int], place: int, number: int) -> None:
    """Set the pending bit of a message: in the PBA while MSI-X is enabled, else in the MSI capability.

    A message that does not exist, or of an MSI capability without pending bits, leaves none.
    """
    _check(bus, place, number)
    control = _control(config, place, bus.msix_caps[place])
    if control & _MSIX_ENABLE:
        if number <= control & _MSIX_LAST:
            pba[bus.pba_starts[place] + number // 64] |= 1 << number % 64
        return
    control = _control(config, place, bus.msi_caps[place])
    if control & _MSI_MASKABLE and number < _COUNTS[control & _MSI_MME]:
        _set_msi_pending(config, place, control, _msi_masks(config, place, control)[1] | 1 << number)


def pending(bus: Bus, config: array[int], pba: array[int], place: int, number: int) -> bool:
    """Whether the pending bit of a message is set, where `pend` would set it."""
    _check(bus, place, number)
    control = _control(config, place, bus.msix_caps[place])
    if control & _MSIX_ENABLE:
        there = number <= control & _MSIX_LAST
        return there and bool(pba[bus.pba_starts[place] + number // 64] >> number % 64 & 1)
    control = _control(config, place, bus.msi_caps[place])
    return bool(control & _MSI_MASKABLE) and bool(_msi_masks(config, place, control)[1] >> number & 1)


def mask_bit(bus: Bus, config: array[int], msix: array[int], place: int, number: int) -> int:
    """The mask bit of one message as its device has it; -1 where it has none, or its table does not answer.

    For MSI-X that of the entry: the mask of the whole function is another bit.
    """
    _check(bus, place, number)
    function = bus.functions[place]
    if function.msix_count:
        if number >= function.msix_count or not decodes(bus, config, place):
            return -1
        return int(msix[4 * (bus.msix_starts[place] + number) + 3] & _ENTRY_MASK)
    control = _control(config, place, MSI_CAP if function.msi_count else 0)
    return _msi_masks(config, place, control)[0] >> number & 1 if control & _MSI_MASKABLE else -1


def _masks_at(place: int, control: int) -> int:
    """Where the mask bits are in `config`; the pending bits follow."""
    return CONFIG_BYTES * place + MSI_CAP + (16 if control & _MSI_WIDE else 12)


def _msi_masks(config: array[int], place: int, control: int) -> tuple[int, int]:
    """Mask bits and pending bits of an MSI capability that has them."""
    at = _masks_at(place, control)
    return _WORD.unpack_from(config, at)[0], _WORD.unpack_from(config, at + 4)[0]


def _set_msi_pending(config: array[int], place: int, control: int, bits: int) -> None:
    _WORD.pack_into(config, _masks_at(place, control) + 4, bits)


# --- configuration space ---


def _fits(offset: int, width: int, limit: int, widths: tuple[int, ...]) -> bool:
    """Whether an access is aligned, of a width in `widths`, and within `limit` bytes."""
    return width in widths and 0 <= offset <= limit - width and not offset % width


def _ones(width: int) -> int:
    """What a read returns that nobody answers: all bits 1, 8 bytes at most."""
    return (1 << 8 * min(max(width, 0), 8)) - 1


def config_read(config: array[int], place: int, offset: int, width: int) -> int:
    """Read 1, 2 or 4 aligned bytes of configuration space; all ones where that is not possible."""
    if not 0 <= place < len(config) // CONFIG_BYTES:
        raise ValueError(f"place is {place}; there are {len(config) // CONFIG_BYTES} functions")
    if not _fits(offset, width, CONFIG_BYTES, (1, 2, 4)):
        return _ones(width)
    at = CONFIG_BYTES * place + offset
    return int.from_bytes(config[at:at + width].tobytes(), "little")


def config_write(bus: Bus, config: array[int], pba: array[int], msix: array[int], place: int, offset: int,
                 width: int, value: int) -> list[int]:
    """Write 1, 2 or 4 aligned bytes of configuration space; returns the messages that go out now.

    Read-only bits keep their value; more messages than the function has become as many as it has (MME at most
    MMC). MSI pending bits of messages beyond 2^MME are lost (A 8).
    """
    bus.check(place)
    if not _fits(offset, width, CONFIG_BYTES, (1, 2, 4)):
        return []
    at = CONFIG_BYTES * place + offset
    for byte in range(at, at + width):
        mask = bus.writable[byte]
        config[byte] = config[byte] & ~mask | value & mask
        value >>= 8
    return _capability_written(bus, config, pba, msix, place) if offset >= MSI_CAP else []


def _capability_written(bus: Bus, config: array[int], pba: array[int], msix: array[int],
                        place: int) -> list[int]:
    if bus.msi_caps[place]:
        _clamp(config, place)
    if _control(config, place, bus.msix_caps[place]) & _MSIX_ENABLE:
        return _release_msix(bus, config, pba, msix, place)
    control = _control(config, place, bus.msi_caps[place])
    if control & _MSI_ENABLE and control & _MSI_MASKABLE:
        return _release_msi(config, place, control)
    return []


def _clamp(config: array[int], place: int) -> None:
    """Limit MME to MMC."""
    control = _control(config, place, MSI_CAP)
    most = get(control, MSI_CONTROL.mmc)
    if get(control, MSI_CONTROL.mme) > most:
        control = put(control, MSI_CONTROL.mme, most)
        at = CONFIG_BYTES * place + MSI_CAP + 2
        config[at], config[at + 1] = control.to_bytes(2, "little")


def _release_msi(config: array[int], place: int, control: int) -> list[int]:
    """Clear and return the pending messages that are not masked; drop those beyond the enabled count."""
    masks, waiting = _msi_masks(config, place, control)
    waiting &= (1 << _COUNTS[control & _MSI_MME]) - 1
    _set_msi_pending(config, place, control, waiting & masks)
    return _numbers(waiting & ~masks)


def _release_msix(bus: Bus, config: array[int], pba: array[int], msix: array[int], place: int) -> list[int]:
    """Clear and return the pending messages that neither the function nor their entry masks."""
    if _control(config, place, bus.msix_caps[place]) & _MSIX_MASK:
        return []
    first, out = bus.msix_starts[place], []
    for word in range(bus.pba_starts[place], bus.pba_starts[place + 1]):
        for bit in _numbers(pba[word]):
            number = 64 * (word - bus.pba_starts[place]) + bit
            if not msix[4 * (first + number) + 3] & _ENTRY_MASK:
                pba[word] &= ~(1 << bit)
                out.append(number)
    return out


def _numbers(bits: int) -> list[int]:
    """The places of the bits that are set, ascending."""
    return [number for number in range(bits.bit_length()) if bits >> number & 1]


# --- the MSI-X table and its pending bits in memory ---


def decodes(bus: Bus, config: array[int], place: int) -> bool:
    """Whether the function answers at its BAR: memory decoding is on and the BAR is where it was assigned.

    A BAR that software moved answers nowhere until it is put back, as after sizing it.
    """
    bus.check(place)
    at, base = CONFIG_BYTES * place, bus.bars[place]
    return base > 0 and config[at + COMMAND] & _MEMORY > 0 and _WORD.unpack_from(config, at + BAR0)[0] == base


def table_read(bus: Bus, config: array[int], pba: array[int], msix: array[int], place: int, offset: int,
               width: int) -> int:
    """Read 4 or 8 aligned bytes at a byte offset in the function's BAR; changes nothing.

    The table is at 0, the pending bits follow on their own page; what lies between and after them reads as 0.
    All ones if nobody answers.
    """
    if not decodes(bus, config, place) or not _fits(offset, width, 1 << 32, (4, 8)):
        return _ones(width)
    count = bus.functions[place].msix_count
    if offset >= pba_offset(count):
        return _pba_read(bus, pba, place, offset - pba_offset(count)) >> 8 * (offset % 8) & _ones(width)
    if offset >= ENTRY_BYTES * count:
        return 0
    at = 4 * bus.msix_starts[place] + offset // 4
    return msix[at] | msix[at + 1] << 32 if width == 8 else msix[at]


def _pba_read(bus: Bus, pba: array[int], place: int, offset: int) -> int:
    """The 64 pending bits that hold byte `offset` of the PBA."""
    word = bus.pba_starts[place] + offset // 8
    return pba[word] if word < bus.pba_starts[place + 1] else 0


def table_write(bus: Bus, config: array[int], pba: array[int], msix: array[int], place: int, offset: int,
                width: int, value: int) -> list[int]:
    """Write 4 or 8 aligned bytes at a byte offset in the function's BAR; returns the messages that go out.

    8 bytes are two words, the lower first. Bits 31:16 of vector control are the steering tag of a function that keeps
    its tags there (PCIe 7.9.13, TPH), else 0. An entry takes a new address and data at once, masked or not.
    Nothing behind the table can be written, so no pending bit either.
    """
    limit = ENTRY_BYTES * bus.functions[place].msix_count if decodes(bus, config, place) else 0
    if not _fits(offset, width, limit, (4, 8)):
        return []
    first, writable = 4 * bus.msix_starts[place] + offset // 4, _ENTRY_WRITABLE[bus.functions[place].steering]
    for at in range(first, first + width // 4):
        msix[at] = value & writable[at % 4]
        value >>= 32
    return _entry_written(bus, config, pba, msix, place, offset // ENTRY_BYTES)


def _entry_written(bus: Bus, config: array[int], pba: array[int], msix: array[int], place: int,
                   number: int) -> list[int]:
    control = _control(config, place, bus.msix_caps[place])
    masked = control & _MSIX_MASK or msix[4 * (bus.msix_starts[place] + number) + 3] & _ENTRY_MASK
    word, bit = bus.pba_starts[place] + number // 64, 1 << number % 64
    if masked or not control & _MSIX_ENABLE or not pba[word] & bit:
        return []
    pba[word] &= ~bit
    return [number]
