"""Xen's keys M, i and z: every row gives the values that it was printed from; the keys of one machine agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.places import real_files
from tests.vsim.readers.test_xen_boot import stored
from vsim.layouts.formats import RTE, RTE_REMAP
from vsim.readers import ranges, xen_irqs, xen_tables
from vsim.readers.pieces import lines_of
from vsim.readers.xen_irqs import Direct, Guest, Held, IoApic, Irq, Msi, Pin, Route

BYTE, BIT = st.integers(0, 255), st.booleans()
DELIVERY = {0: "Fixed", 1: "LoPri", 2: "SMI", 4: "NMI", 5: "INIT", 7: "ExINT"}


def read(text):
    return xen_irqs.read(lines_of(text, "log")[0])


def one(text):
    reading = read(text)
    assert reading.remarks == ()
    (record,) = reading.records
    return record


@given(st.sampled_from(["MSI", "MSI-X", "HPET", "IOMMU"]), st.integers(0, 9999), BYTE, BIT, BIT, BIT, BIT,
       st.integers(0, 0xFFFFFFFF), BIT, BIT, BIT, st.sampled_from([None, False, True]))
def test_a_message(kind, irq, vector, lowest, level, logical, hint, dest, maskable, host, guest, masked):
    mode, trigger = "lowest" if lowest else "fixed", "level" if level else "edge"
    row = (f"(XEN)  {kind:6}{irq:4} vec={vector:02x}{mode:>7}{trigger:>6}{'':3}assert{'log' if logical else 'phys':>5}"
           f"{'lowest' if hint else 'cpu':>7} dest={dest:08x} mask={maskable:d}/{'H' if host else ' '}"
           f"{'G' if guest else ' '}/{'?' if masked is None else int(masked)}")
    assert one(row) == Msi("log", 1, kind, irq, vector, lowest, level, logical, hint, dest, maskable, host, guest,
                           masked)


def test_a_message_in_the_older_form_of_the_masks():
    found = one("(XEN)  MSI     26 vec=71 lowest  edge   assert  log lowest dest=00000001 mask=0/1/-1")
    assert (found.maskable, found.host, found.masked, found.vector) == (False, True, None, 0x71)


@pytest.mark.parametrize("rest, expected", [
    ("mapped, unbound", {"unbound": True}), ("time.c#timer_interrupt()", {"owner": "time.c#timer_interrupt()"}),
    ("in-flight=2 d0: 17(P-M),d7: 17(-MM)", {"in_flight": 2, "guests": (Guest(0, 17, "P-M"), Guest(7, 17, "-MM"))}),
    ("in-flight=0 d0:951(---)", {"guests": (Guest(0, 951, "---"),)})])
def test_an_interrupt_in_both_forms(rest, expected):
    new = one(f"(XEN)    IRQ:  17 vec:d8 IO-APIC-level   status=034 aff:{{0-2,5}}/{{0-11}} {rest}")
    assert new == Irq("log", 1, 17, 0xD8, "IO-APIC-level", 0x34, ((0, 2), (5, 5)), ((0, 11),), **expected)
    assert new.states == ("pending", "guest", "move pending")
    old = one(f"(XEN)    IRQ:  17 affinity:1,00000027 vec:d8 type=IO-APIC-level   status=00000010 "
              f"{rest.replace('flight=2 d0', 'flight=2 domain-list=0').replace(',d7', ',7')}")
    assert (old.affinity, old.cpus, old.guests) == (((0, 2), (5, 5), (32, 32)), (), expected.get("guests", ()))


def test_what_a_guest_owes():
    pending, masked, held = Guest(0, 17, "P--"), Guest(0, 17, "-M-"), Guest(0, 17, "--M")
    assert [(g.pending, g.masked, g.held) for g in (pending, masked, held)] == [
        (True, False, False), (False, True, False), (False, False, True)]


@given(st.integers(0, 999), BYTE, st.sampled_from(sorted(DELIVERY)), st.integers(0, 0xFFFFFFFF), st.lists(
    st.integers(0, 1), min_size=6, max_size=6))
def test_a_pin_of_key_i(pin, vector, dlm, dest, bits):
    dm, status, polarity, irr, tm, mask = bits
    pin %= 240
    row = (f"(XEN)     IRQ {7:2} Vec{vector:3}:\n(XEN)       Apic 0x01, Pin {pin:2}: vec={vector:02x} "
           f"delivery={DELIVERY[dlm]:5} dest={'L' if dm else 'P'} status={status} polarity={polarity} irr={irr} "
           f"trig={'L' if tm else 'E'} mask={mask} dest_id:{dest:08x}")
    assert one(row) == Pin("log", 2, 1, pin, vector, dlm, dm, dest, status, polarity, irr, tm, mask, 7)


@given(BYTE, BYTE, st.integers(0, 7), st.integers(0, 0xFFFFFFFF), st.lists(st.integers(0, 1), min_size=6, max_size=6))
def test_a_pin_of_key_z(pin, vector, dlm, dest, bits):
    mask, tm, irr, polarity, status, dm = bits
    head = ("(XEN) IO APIC #3......\n(XEN) .......    : physical APIC id: 09\n"
            "(XEN) .......     : IO APIC version: 0020\n")
    for text in (f" {pin:02x} {dest:08x}", f" {pin:02x}  {dest & 0xFF:02x} "):
        row = f"(XEN) {text} {mask}   {tm}   {irr}   {polarity}   {status}    {dm}    {dlm}    {vector:02X}"
        apic, found = read(head + row).records
        assert apic == IoApic("log", 1, 3, 9, 0x20)
        kept = dest if len(text.split()[1]) == 8 else dest & 0xFF
        assert found == Pin("log", 4, 3, pin, vector, dlm, dm, kept, status, polarity, irr, tm, mask)


def test_the_other_rows():
    assert one("(XEN)    0xfd -> invalidate_interrupt()") == Direct("log", 1, 0xFD, "invalidate_interrupt()")
    assert one("(XEN) IRQ240 -> 0:2-> 1:5") == Route("log", 1, 240, ((0, 2), (1, 5)))


def test_a_wrapped_row_and_a_torn_one():
    row = "(XEN)    IRQ:  16 vec:b8 IO-APIC-level   status=030 aff:{2}/{0-11} in-flight=0 d0: 16(---),d3: 16(-M-)"
    assert one(row.replace(" status", "\n> status")).guests[1] == Guest(3, 16, "-M-")
    assert "left out: a row" in read(row[:30]).remarks[0].text


ROWS = ("IRQ:  16 vec:b8 IO-APIC-level   status=030 aff:{2}/{0-11} in-flight=0 d0: 16(---)", "IO APIC #3......",
        "MSI     26 vec=71 lowest  edge   assert  log lowest dest=00000001 mask=0/1/-1", "IRQ240 -> 0:2",
        "00 00000000 1 1 0 0 0 0 0 C0", ".......     : IO APIC version: 0020", "0xfd -> x()",
        "IRQ:  17 affinity:1,00000027 vec:d8 type=IO-APIC-level   status=00000010 mapped, unbound")


@given(st.lists(st.sampled_from(ROWS).flatmap(
    lambda row: st.integers(0, len(row)).map(lambda end: row[:end]))).map("\n".join) | st.text())
def test_any_text_is_read(text):
    assert all(record.line >= 1 for record in read(text).records)


COUNTS = {"qubes-laptop-key-M.txt": {Msi: 19}, "qubes-laptop-key-i.txt": {Irq: 40, Pin: 21, Direct: 10}}


@pytest.mark.parametrize("path", [*real_files("xen/*key-M*"), *real_files("xen/*key-i*")])
def test_real_keys(path):
    reading = xen_irqs.read(lines_of(path.read_text(), path.name)[0])
    assert {kind: sum(isinstance(record, kind) for record in reading.records) for kind in COUNTS[path.name]} == \
        COUNTS[path.name]
    assert reading.remarks == ()
    irqs = {record.irq: record for record in reading.records if isinstance(record, Irq)}
    for pin in (record for record in reading.records if isinstance(record, Pin)):
        assert irqs[pin.irq].vector == pin.vector
        assert (pin.tm == 1) == irqs[pin.irq].kind.endswith("level")
    if irqs:
        assert [pin.irq for pin in reading.records if isinstance(pin, Pin) and pin.irr] == [17]
        assert irqs[17].in_flight == 2 and irqs[17].guests[0].pending and ranges.count(irqs[17].cpus) == 12


def test_the_keys_of_xen_4_17_agree():
    found = {key: xen_irqs.read(lines_of(stored("data", "lab", "xen-4.17", f"key-{key}.txt").read_text())[0]).records
             for key in "Miz"}
    pins = {key: {(pin.ioapic, pin.pin): pin for pin in found[key] if isinstance(pin, Pin)} for key in "iz"}
    assert len(pins["z"]) == 24 and len(pins["i"]) == 16
    names = ("vector", "dlm", "dm", "dest", "polarity", "tm", "mask")
    assert all([getattr(pin, name) for name in names] == [getattr(pins["z"][place], name) for name in names]
               for place, pin in pins["i"].items())
    routes = {place: record.vector for record in found["z"] if isinstance(record, Route) for place in record.pins}
    assert routes == {place: pin.vector for place, pin in pins["i"].items()}
    irqs = {record.irq: record.vector for record in found["i"] if isinstance(record, Irq)}
    assert all(irqs[msi.irq] == msi.vector for msi in found["M"])


def test_the_tables_of_key_v_send_where_keys_z_and_m_say():
    def keyed(key, reader):
        return reader.read(lines_of(stored("data", "lab", "xen-4.17", f"key-{key}.txt").read_text())[0]).records

    tables = keyed("V", xen_tables)
    entries = {record.index: record.fields for record in tables if isinstance(record, xen_tables.Entry)}
    pins = {record.pin: record for record in keyed("z", xen_irqs) if isinstance(record, Pin)}
    for record in (record for record in tables if isinstance(record, xen_tables.Pin)):
        entry, pin = entries[record.fields["handle"]], pins[record.pin]
        assert [entry[name] for name in ("vector", "dlm", "dm", "tm")] == [pin.vector, pin.dlm, pin.dm, pin.tm]
        assert entry["dst"] == pin.dest and record.fields["mask"] == pin.mask
    messages = {msi.vector: msi for msi in keyed("M", xen_irqs) if msi.kind == "MSI-X"}
    (device,) = (entry for entry in entries.values() if entry["sid"] == 0x30)
    assert messages[device["vector"]].dest == device["dst"]


@given(st.integers(0, 239), BYTE, st.integers(0, 7), BIT, BIT, BIT, BIT, BIT, BIT, BYTE)
def test_a_pin_in_the_form_before_4_1(pin, vector, dlm, logical, status, polarity, irr, level, mask, dest):
    row = (f"(XEN)       Apic 0x01, Pin {pin:2}: vector={vector}, delivery_mode={dlm}, dest_mode="
           f"{'logical' if logical else 'physical'}, delivery_status={status:d}, polarity={polarity:d}, irr={irr:d}, "
           f"trigger={'level' if level else 'edge'}, mask={mask:d}, dest_id:{dest}")
    assert one(row) == Pin("log", 1, 1, pin, vector, dlm, logical, dest, status, polarity, irr, level, mask)


@given(st.integers(0, 239), BYTE, BIT, BIT, BIT, BIT, BIT, st.integers(0, 0xFFFF), st.integers(0, 7))
def test_a_pin_as_linux_prints_it_remapped_or_not(pin, vector, mask, level, low, irr, status, handle, mode):
    head = (f"[    0.512345]  pin{pin:02x}, {'disabled' if mask else 'enabled '}, {'level' if level else 'edge '}, "
            f"{'low ' if low else 'high'}, V({vector:02X}), IRR({irr:d}), S({status:d})")
    same = {"vector": vector, "mask": mask, "tm": level, "polarity": low, "irr": irr, "status": status}
    remapped = one(f"{head}, remapped, I({handle:04X}),  Z({mode:X})")
    assert remapped == Held("log", 1, 0, pin, RTE_REMAP.make(format=1, handle=handle, zero=mode, **same))
    dest, ext = handle & 0xFF, handle >> 8 & 0x7F
    plain = RTE.make(dest=dest, dm=1, dlm=mode, **same)
    assert one(f"{head}, logical , D({dest:02X}), M({mode})").word == plain
    assert one(f"{head}, logical , D({ext:02X}{dest:02X}), M({mode})").word == RTE.make(
        dest=dest, ext=ext, dm=1, dlm=mode, **same)


def test_linux_counts_its_io_apics_and_writes_large_digits():
    found = read("[    0.5] IO APIC #9......\n[    0.5]  NR Dst Mask Trig IRR Pol Stat Dmod Deli Vect:\n"
                 "[    0.5]  01 0F  0    0    0   0   0    1    1    31\n[    0.5] IOAPIC 1:\n"
                 "[    0.5]  pin02, enabled , edge , high, V(31), IRR(0), S(0), remapped, I(0001),  Z(0)\n").records
    assert [(type(each), each.line) for each in found] == [(IoApic, 1), (Pin, 3), (Held, 5)]
    assert (found[1].ioapic, found[1].dest, found[1].vector, found[2].ioapic) == (9, 0xF, 0x31, 1)


def test_a_destination_in_two_columns():
    found = read("(XEN) IO APIC #8......\n(XEN)  NR Log Phy Mask Trig IRR Pol Stat Dest Deli Vect:\n"
                 "(XEN)  0a 03C 0C  1    1    0   1   0    0    2    A9\n")
    assert found.records[1] == Pin("log", 3, 8, 10, 0xA9, 2, 0, 0x3C, 0, 1, 0, 1, 1) and found.remarks == ()


def test_letters_of_another_writer_in_a_row():
    found = read("l(XEN)    IRQ: 148 vec:af PCI-MSI/-X      status=030 aff:{0}/{0-7} iin-flight=1 nd0:1107(-M-)\n")
    (irq,) = found.records
    assert (irq.owner, irq.in_flight, irq.guests) == ("", 1, (Guest(0, 1107, "-M-"),))
    assert [remark.text for remark in found.remarks] == ["letters of another writer stand in the row"]


def test_a_row_of_another_form_is_told():
    (remark,) = read("(XEN) IO APIC #8......\n(XEN)  01 00F 0E  0    0    0   0   0    1    1    38\n").remarks
    assert (remark.line, remark.column) == (2, 8) and "another form" in remark.text
