"""A short recorded run, written by hand: one unit, one entry, an interrupt that is taken, one that is refused."""

import json

UNIT, TABLE, QUEUE = 0xFED90000, 0x100000, 0x200000
HIGH, LOW = (1 << 18) | 0x18, (1 << 32) | (0x41 << 16) | 1      # SVT 1, from 00:03.0; vector 0x41 to APIC ID 1
ENTRY = (HIGH << 64 | LOW).to_bytes(16, "little").hex()
WAIT = 0x300000 << 64 | 2 << 32 | 0x25
HANDLE_5 = 0xFEE00000 | 5 << 5 | 1 << 4

ROWS = (
    [["lapic", 1, 0x0F, 0x1FF], [], 1, 0],
    [["apic", 1, 0xF0, 0x1FF], [], 1, 1],                          # the same write, seen at its window
    [["msr", 1, 0x1B, 0xFEE00C00], [], 1, 2],
    [["mmio", UNIT + 0xB8, 8, TABLE | 1 << 11 | 7], [], 0, 10],
    [["mmio", UNIT + 0x18, 4, 1 << 24], [], 0, 11],
    [["read", UNIT + 0x1C, 4], [["V", 1 << 24]], 0, 12],
    [["mmio", UNIT + 0x90, 8, QUEUE], [], 0, 13],
    [["mmio", UNIT + 0x18, 4, 1 << 26], [], 0, 14],
    [["mmio", UNIT + 0x18, 4, 1 << 26 | 1 << 25], [], 0, 15],
    [["ram", TABLE + 16 * 5, ENTRY], [], 0, 20],
    [["ram", QUEUE, (4).to_bytes(16, "little").hex()], [], 0, 21],
    [["ram", QUEUE + 16, WAIT.to_bytes(16, "little").hex()], [], 0, 22],
    [["mmio", UNIT + 0x88, 4, 32], [["D", "iec", "0x0", "0x4"], ["C", 0, 0, 0],
                                    ["D", "wait", hex(WAIT >> 64), hex(WAIT & (1 << 64) - 1)],
                                    ["W", "0x300000", "0x2"]], 0, 23],
    [None, [["K", "<b>starting</b>"]], -1, 24],
    [["msi", 0x18, HANDLE_5, 0], [["I", 5, hex(HIGH), hex(LOW)], ["M", 5, 1, 0, 0, 0x41, 0]], -1, 30],
    [None, [["T", 1, 0x41]], 1, 31],
    [["lapic", 1, 0x0B, 0], [], 1, 32],
    [["lapic", 1, 0x32, 0xEC], [], 1, 33],
    [["lapic", 1, 0x38, 1000], [], 1, 33],                         # a timer: left out
    [None, [["T", 1, 0xEC]], 1, 40],                               # and what it made the vCPU do
    [["lapic", 1, 0x0B, 0], [], 1, 41],
    [["msi", 0x20, HANDLE_5, 0], [["I", 5, hex(HIGH), hex(LOW)], ["B"],
                                  ["F", 0, hex(0x26 << 32 | 0x20), hex(5 << 48)]], -1, 50],
)


def text(*rows, head=None):
    """Rows as the text of a recording; a str stays as it is."""
    lines = [head] if head is not None else []
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in (*lines, *rows))
