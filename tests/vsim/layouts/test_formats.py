"""What travels and lies in memory, bit by bit against the reference tables, and every worked vector of theirs.

The expected places stand here as data, as the reference writes them: "2+19:5 handle" is a field in two places, its
upper part first; a dash is a reserved range.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.devices.vlapic import x2apic_ldr
from vsim.layouts.bits import Access
from vsim.layouts.formats import (
    FRCD,
    IEC,
    IRTE,
    IRTE_POSTED,
    MSI_ADDRESS,
    MSI_DATA,
    PID,
    REASON_TEXT,
    REMAP_ADDRESS,
    REMAP_DATA,
    RTE,
    RTE_REMAP,
    WAIT,
    XAPIC_DST_RESERVED,
    DescriptorType,
    Dlm,
    Reason,
    msi_message,
    remap_message,
)

PLACES = [
    ("V 3.2", MSI_ADDRESS, "63:32 upper, 31:20 fee, 19:12 dest, 11:5 ext, 4 format, 3 rh, 2 dm, 1:0 ignored"),
    ("V 3.2", MSI_DATA, "31:16 -, 15 tm, 14 level, 13:11 -, 10:8 dlm, 7:0 vector"),
    ("V 3.3", REMAP_ADDRESS, "63:32 -, 31:20 fee, 2+19:5 handle, 4 format, 3 shv, 1:0 ignored"),
    ("V 3.3", REMAP_DATA, "31:16 upper, 15:0 subhandle"),
    ("A 7.2", RTE, "63:56 dest, 55:49 ext, 48 format, 47:17 -, 16 mask, 15 tm, 14 irr, 13 polarity, 12 status, "
                   "11 dm, 10:8 dlm, 7:0 vector"),
    ("V 3.4", RTE_REMAP, "11+63:49 handle, 48 format, 47:17 -, 16 mask, 15 tm, 14 irr, 13 polarity, 12 status, "
                         "10:8 zero, 7:0 vector"),
    ("V 4.1", IRTE, "127:84 -, 83:82 svt, 81:80 sq, 79:64 sid, 63:32 dst, 31:24 -, 23:16 vector, 15 im, 14:12 -, "
                    "11:8 avail, 7:5 dlm, 4 tm, 3 rh, 2 dm, 1 fpd, 0 p"),
    ("V 4.3", IRTE_POSTED, "127:96+63:38 pda, 95:84 -, 83:82 svt, 81:80 sq, 79:64 sid, 37:24 -, 23:16 vector, 15 im, "
                           "14 urg, 13:12 -, 11:8 avail, 7:2 -, 1 fpd, 0 p"),
    ("V 4.4", PID, "511:320 -, 319:288 ndst, 287:280 -, 279:272 nv, 271:258 -, 257 sn, 256 on, 255:0 pir"),
    ("V 1.6", FRCD, "127 f, 126 t, 125:124 at, 123:104 pv, 103:96 reason, 95 pp, 94 exe, 93 priv, 92 t2, 91:80 -, "
                    "79:64 sid, 63:48 index, 47:12 fi, 11:0 -"),
    ("V 7.3", IEC, "127:48 -, 47:32 iidx, 31:27 im, 26:12 -, 11:9 type_high, 8:5 -, 4 g, 3:0 type"),
    ("V 7.4", WAIT, "127:66 address, 65:64 -, 63:32 data, 31:12 -, 11:9 type_high, 8 -, 7 pd, 6 fn, 5 sw, 4 iflag, "
                    "3:0 type"),
]


def places(layout):
    """A layout's fields in the notation of the tables, as a set."""
    return {(f.bits.replace(", ", "+"), "-" if f.access is Access.RSVD else f.name) for f in layout.fields}


def as_written(text):
    return {tuple(part.split()) for part in text.split(", ")}


@pytest.mark.parametrize("section, layout, text", PLACES, ids=[row[1].name for row in PLACES])
def test_every_field_is_where_the_reference_has_it(section, layout, text):
    assert places(layout) == as_written(text), section


@pytest.mark.parametrize("layout, read_only, cleared", [
    (FRCD, "fi index sid t2 priv exe pp reason pv at t", "f"), (RTE, "irr status", ""), (RTE_REMAP, "irr status", ""),
])
def test_the_access_kinds_of_structures_in_registers(layout, read_only, cleared):
    assert {f.name for f in layout if f.access is Access.RO} == set(read_only.split())
    assert {f.name for f in layout if f.access is Access.W1C} == set(cleared.split())


def test_reserved_bits_of_an_xapic_destination_leave_its_second_byte():
    """V 4.1: EIME=0 uses entry bits 47:40; 39:32 and 63:48 are reserved."""
    assert XAPIC_DST_RESERVED << 32 == (1 << 64) - (1 << 48) | 0xFF << 32


@pytest.mark.parametrize("kind, values", [
    (Reason, {"NONE": 0, "REQUEST_RESERVED": 0x20, "INDEX_OVER": 0x21, "NOT_PRESENT": 0x22, "TABLE_ERROR": 0x23,
              "ENTRY_RESERVED": 0x24, "COMPATIBILITY": 0x25, "SOURCE_ID": 0x26, "DESCRIPTOR_ERROR": 0x27,
              "DESCRIPTOR_RESERVED": 0x28}),
    (Dlm, {"FIXED": 0, "LOWEST": 1, "SMI": 2, "NMI": 4, "INIT": 5, "SIPI": 6, "EXTINT": 7}),
    (DescriptorType, {"CONTEXT": 1, "IOTLB": 2, "DEVICE_TLB": 3, "IEC": 4, "WAIT": 5, "PASID_IOTLB": 6,
                      "PASID_CACHE": 7, "PASID_DEVICE_TLB": 8, "PAGE_GROUP": 9}),
])
def test_enumerations_have_the_references_values(kind, values):
    assert {member.name: member.value for member in kind} == values


def test_every_reason_has_a_sentence():
    assert set(REASON_TEXT) == set(Reason)


# --- worked vectors ---

WORDS = [
    # V 1.6
    (FRCD, "index=0x25 sid=03:00.0 reason=0x22 f=1", 0x0025000000000000, 0x8000002200000300),
    # V 3.4
    (RTE_REMAP, "handle=5 format=1 vector=0x31 tm=1 polarity=1", 0x000B00000000A031, 0),
    (RTE_REMAP, "handle=0x8005 format=1 vector=0x31 tm=1 polarity=1 mask=1", 0x000B00000001A831, 0),
    (RTE_REMAP, "handle=7 format=1 vector=2", 0x000F000000000002, 0),
    # V 4.1
    (IRTE, "p=1 dm=1 dst=0x500 rh=1 vector=0x41 sid=00:1f.2 svt=1", 0x000005000041000D, 0x00000000000400FA),
    (IRTE, "p=1 dst=0x12345 rh=1 vector=0x30 sid=03:00.0 svt=1 sq=3", 0x0001234500300009, 0x0000000000070300),
    (IRTE, "p=1 dst=0x100 vector=0x55 svt=2 sid=0x0507", 0x0000010000550001, 0x0000000000080507),
    (IRTE, "p=1 tm=1 vector=0x31 sid=ff:00.0 svt=1", 0x0000000000310011, 0x000000000004FF00),
    # V 4.3
    (IRTE_POSTED, "p=1 im=1 urg=1 vector=0xa1 pda=0x48d159e sid=03:00.0 svt=1",
     0x2345678000A1C001, 0x0000000100040300),
    # V 7.3
    (IEC, "type=4", 0x0000000000000004, 0),
    (IEC, "type=4 g=1 iidx=0x25", 0x0000002500000014, 0),
    (IEC, "type=4 g=1 iidx=0x40 im=3", 0x0000004018000014, 0),
    # V 7.4
    (WAIT, "type=5 sw=1 data=2", 0x0000000200000025, 0),
    (WAIT, "type=5 iflag=1", 0x0000000000000015, 0),
    (WAIT, "type=5 sw=1 fn=1 data=2", 0x0000000200000065, 0),
    # V 14, steps 7 and 14
    (IRTE, "p=0 fpd=1 dm=1 rh=1 vector=0x42 dst=0x500", 0x000005000042000E, 0),
    # X 11.2
    (RTE_REMAP, "handle=5 format=1 vector=4", 0x000B000000000004, 0),
    (RTE_REMAP, "handle=0x8003 format=1 vector=16 tm=1 polarity=1", 0x000700000000A810, 0),
    # X 11.3
    (IRTE, "p=1 vector=0x41 dst=256", 0x0000010000410001, 0),
    (IRTE, "p=1 vector=0x41 dst=0x1400", 0x0000140000410001, 0),
    (IRTE, "p=1 dm=1 dlm=1 vector=0x41 dst=0x100005", 0x0010000500410025, 0),
    # X 11.5, the row of VT-d
    (FRCD, "index=5 reason=0x22 f=1", 0x0005000000000000, 0x8000002200000000),
    # X 11.6
    (IEC, "type=4 g=1 iidx=5", 0x0000000500000014, 0),
    (WAIT, "type=5 sw=1 data=2 address=0x1400", 0x0000000200000025, 0x0000000000005000),
    (WAIT, "type=5 sw=1 iflag=1 data=2", 0x0000000200000035, 0),
]


@pytest.mark.parametrize("layout, text, low, high", WORDS, ids=[f"{row[0].name}: {row[1]}" for row in WORDS])
def test_a_worked_vector_is_its_text(layout, text, low, high):
    assert layout.parse(text) == high << 64 | low
    assert layout.parse(layout.text(high << 64 | low)) == high << 64 | low


@pytest.mark.parametrize("index, sub, address", [
    (0, None, 0xFEE00010), (0x8123, None, 0xFEE02474), (0x40, 0, 0xFEE00818), (0xFFFF, None, 0xFEEFFFF4),
    (0x7FFF, 0, 0xFEEFFFF8),                                                                        # V 3.3
    (5, None, 0xFEE000B0), (0x1234, None, 0xFEE24690), (0x8001, None, 0xFEE00034), (0xFFFF, 0, 0xFEEFFFFC),  # X 11.2
])
def test_the_address_of_a_remappable_message(index, sub, address):
    assert remap_message(index, sub) == (address, 0)


@given(st.integers(0, 0xFFFF), st.one_of(st.none(), st.integers(0, 0xFFFF)))
def test_a_remappable_message_reads_back(index, sub):
    address, data = remap_message(index, sub)
    shv = sub is not None
    assert REMAP_ADDRESS.split(address) == {"fee": 0xFEE, "handle": index, "format": 1, "shv": shv, "ignored": 0}
    assert REMAP_DATA.split(data) == {"subhandle": sub or 0, "upper": 0}


@pytest.mark.parametrize("index, sub, says", [
    (0x10000, None, "index 0x10000 is over its limit 0xffff"), (-1, None, "index -0x1 is over"),
    (0, 0x10000, "subhandle: 0x10000 is over its limit 0xffff"),
])
def test_a_remappable_message_refuses_what_does_not_fit(index, sub, says):
    with pytest.raises(ValueError, match=says):
        remap_message(index, sub)


@pytest.mark.parametrize("fields, address, data", [
    ({"dest": 5, "vector": 0x41}, 0xFEE05000, 0x41),
    ({"dest": 0xFF, "vector": 0x41, "dm": 1, "rh": 1, "dlm": 1}, 0xFEEFF00C, 0x141),
    ({"dest": 0, "vector": 0x31, "tm": 1}, 0xFEE00000, 0xC031),
])
def test_the_address_and_data_of_a_compatibility_message(fields, address, data):
    assert msi_message(**fields) == (address, data)


def test_a_compatibility_message_has_eight_bits_of_destination():
    with pytest.raises(ValueError, match="dest: 0x100 is over its limit 0xff"):
        msi_message(0x100, 0x41)


@pytest.mark.parametrize("apic_id, ldr", [
    (0, 0x1), (1, 0x2), (15, 0x8000), (16, 0x10001), (0x12, 0x10004), (0x101, 0x100002), (0x3FF, 0x3F8000),    # A 3
    (2, 0x00000004), (254, 0x000F4000), (256, 0x00100001), (574, 0x00234000),                                # X 11.4
])
def test_an_x2apic_derives_its_logical_address_from_its_id(apic_id, ldr):
    assert x2apic_ldr(apic_id) == ldr


@pytest.mark.parametrize("destination, address, high", [
    (300, 0xFEE2C020, 0x2C020000), (0x7FFF, 0xFEEFFFE0, 0xFFFE0000), (255, 0xFEEFF000, 0xFF000000),            # V 11
])
def test_an_extended_destination_id_uses_reserved_bits_of_the_compatibility_format(destination, address, high):
    assert MSI_ADDRESS.make(fee=0xFEE, dest=destination & 0xFF, ext=destination >> 8) == address
    assert RTE.make(dest=destination & 0xFF, ext=destination >> 8) == high << 32
