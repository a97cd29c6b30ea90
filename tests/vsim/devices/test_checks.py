"""The check table: the generated chain is the table, every row can be met, and small spaces are counted out."""

from collections import Counter
from itertools import product
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsim.devices import chain, checks
from vsim.devices.checks import CHECKS, MODE_BIT, NAMES, OPERANDS, ORDERS, PASS
from vsim.layouts.bits import put
from vsim.layouts.formats import IRTE, IRTE_POSTED, REMAP_ADDRESS, REMAP_DATA

RAW = ("address", "upper", "data", "requester", "entries", "base_page", "width", "mode", "readable",
       "w0", "w1", "w2", "w3")
NIC = 0x0300


def mode(**bits):
    """A mode word; remapping is on unless it is said to be off."""
    return sum(MODE_BIT[name] for name, on in {"ires": 1, **bits}.items() if on)


def request(index=5, sub=None, **fields):
    """address, upper and data of a remappable request."""
    address = REMAP_ADDRESS.make(**{"fee": 0xFEE, "format": 1, "handle": index, "shv": sub is not None})
    data = REMAP_DATA.make(subhandle=sub or 0, upper=fields.pop("data_upper", 0))
    for name, value in fields.items():
        address = put(address, getattr(REMAP_ADDRESS, name), value)
    return {"address": address & 0xFFFFFFFF, "upper": address >> 32, "data": data}


def entry(value=None, **fields):
    """The words of a present entry."""
    value = IRTE.make(**{"p": 1, "vector": 0x41, "dst": 0x100, **fields}) if value is None else value
    return {f"w{n}": value >> 32 * n & 0xFFFFFFFF for n in range(4)}


def situation(**raw):
    """All raw words: a request of the NIC that is delivered, with some words changed."""
    return {**request(), **entry(), "requester": NIC, "entries": 256, "base_page": 0x10, "width": 27, "mode": mode(),
            "readable": 1, **raw}


def ended_by(order, raw):
    """The check that ends a request, "" when none does: the compiled chain's answer."""
    first = ("address", "upper", "data", "mode", "entries", "base_page", "width")
    then = ("address", "upper", "data", "requester", "mode", "readable", "w0", "w1", "w2", "w3")
    number = chain.REQUEST[order](*(raw[name] for name in first))
    return NAMES[number or chain.ENTRY[order](*(raw[name] for name in then))]


FORMULAS = {name: compile(checks.expanded(row.condition), name, "eval") for name, row in CHECKS.items()}


def walked(order, raw):
    """The same by the table itself: the first row, in the order, whose condition holds."""
    rows = sorted(ORDERS[order], key=lambda name: CHECKS[name].stage != "request") if order != "request-late" else (
        [n for n in ORDERS[order] if CHECKS[n].stage == "request" and n != "request-reserved"]
        + [n for n in ORDERS[order] if CHECKS[n].stage == "entry"] + ["request-reserved"])
    return next((name for name in rows if eval(FORMULAS[name], {}, raw)), "")


def test_the_generated_chain_is_up_to_date():
    assert Path(chain.__file__).read_text(encoding="utf-8") == checks.source()


# --- every row ---

REACHED = {
    "dropped-while-off": {"mode": MODE_BIT["drops_when_off"]},
    "remapping-off": {"mode": 0},
    "compatibility-blocked": request(format=0),
    "compatibility-passes": {**request(format=0), "mode": mode(cfis=1)},
    "request-reserved": request(sub=0, data_upper=1),
    "table-absent": {"entries": 0},
    "index-over": request(index=256),
    "entry-beyond-width": {"width": 4},
    "table-unreadable": {"readable": 0},
    "not-present": entry(p=0),
    "source-compare": entry(svt=1, sid=NIC ^ 1),
    "source-bus": entry(svt=2, sid=0x0405),
    "source-bus-reversed": {**entry(svt=2, sid=0x0305), "mode": mode(bus_reversed=1)},
    "source-type-mismatch": {**entry(svt=3), "mode": mode(svt3_mismatch=1)},
    "remapped-reserved": entry(IRTE.make(p=1, dst=0x100) | 1 << 12),
    "destination-reserved": entry(dst=0x1),
    "delivery-mode": entry(dlm=3),
    "posting-absent": entry(im=1),
    "posted-reserved": {**entry(IRTE_POSTED.make(p=1, im=1) | 1 << 2), "mode": mode(pi=1)},
    "source-type": entry(svt=3),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", CHECKS)
def test_every_check_can_end_a_request_in_every_order(order, name):
    assert ended_by(order, situation(**REACHED[name])) == name


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("raw", [
    {}, entry(svt=1, sid=NIC), entry(svt=2, sid=0x0305), {**entry(dst=0x12345), "mode": mode(eime=1)},
    {**entry(IRTE_POSTED.make(p=1, im=1)), "mode": mode(pi=1)}, request(index=255), request(index=0, sub=255),
], ids=["plain", "source", "bus", "EIME", "posted", "last", "subhandle"])
def test_a_good_request_is_ended_by_no_check(order, raw):
    assert ended_by(order, situation(**raw)) == ""


@pytest.mark.parametrize("quirk, raw, by", [
    ("compat_passes", request(format=0), "compatibility-passes"), ("im_ignored", entry(im=1), ""),
    ("dst_unchecked", entry(dst=0xFF), ""), ("dlm_passes", entry(dlm=6), ""),
    ("sourceless", entry(svt=1, sid=NIC ^ 1), ""), ("sourceless", entry(svt=2, sid=0x0405), ""),
    ("bus_reversed", entry(svt=2, sid=0x0503), ""), ("bus_reversed", entry(svt=2, sid=0x0503), ""),
    ("index_wraps", request(index=0xFFFF, sub=6), ""),
])
def test_a_bit_of_the_mode_word_switches_its_check(quirk, raw, by):
    assert ended_by("spec", situation(**raw)) not in ("", by)
    assert ended_by("spec", situation(**{**raw, "mode": mode(**{quirk: 1})})) == by


@pytest.mark.parametrize("raw, ends", [
    ({**entry(svt=1, sid=NIC ^ 1, dlm=3)}, ("source-compare", "delivery-mode", "delivery-mode")),
    ({**entry(svt=2, sid=0x0405, dst=1)}, ("source-bus", "destination-reserved", "destination-reserved")),
    ({**entry(svt=1, sid=NIC ^ 1), **request(sub=0, data_upper=1)},
     ("request-reserved", "request-reserved", "source-compare")),
    ({**entry(dlm=3), **request(sub=0, data_upper=1)}, ("request-reserved", "request-reserved", "delivery-mode")),
    (request(index=256, sub=0, data_upper=1), ("request-reserved", "request-reserved", "index-over")),
    (entry(p=0, svt=1, sid=NIC ^ 1, dlm=3), ("not-present",) * 3),
])
def test_the_order_decides_what_is_wrong_in_two_ways(raw, ends):
    assert tuple(ended_by(order, situation(**raw)) for order in ORDERS) == ends


def test_orders_hold_every_check_once():
    assert [sorted(order) for order in ORDERS.values()] == [sorted(CHECKS)] * len(ORDERS)


# --- against a plain reading of V 5.1 and 4.2 ---

MASKS = {0: 0xFFFF, 1: 0xFFFB, 2: 0xFFF9, 3: 0xFFF8}


def span(value, high, low):
    return value >> low & (1 << high - low + 1) - 1


def foreign(value, requester):
    """V 4.2: whether SVT, SQ and SID keep a requester out; None for the reserved encoding."""
    svt, sq, sid = span(value, 83, 82), span(value, 81, 80), span(value, 79, 64)
    if svt == 1:
        return requester & MASKS[sq] != sid & MASKS[sq]
    if svt == 2:
        return not sid >> 8 <= requester >> 8 <= sid & 0xFF
    return False


def badly_programmed(value, eime, pi):
    """V 5.1, step 9."""
    if span(value, 83, 82) == 3:
        return True
    if span(value, 15, 15):
        wrong = [span(value, *bits) for bits in ((7, 2), (13, 12), (37, 24), (95, 84))]
        return not pi or any(wrong)
    wrong = [span(value, *bits) for bits in ((14, 12), (31, 24), (127, 84))]
    if not eime:
        wrong += [span(value, 39, 32), span(value, 63, 48)]
    return any(wrong) or span(value, 7, 5) in (3, 6)


def by_the_book(raw):
    """The fault reason of V 5.1, PASS, or 0 when the entry is used."""
    ires, eime, cfis, pi = (raw["mode"] & MODE_BIT[name] for name in ("ires", "eime", "cfis", "pi"))
    address, data = raw["address"], raw["data"]
    value = raw["w0"] | raw["w1"] << 32 | raw["w2"] << 64 | raw["w3"] << 96
    if not ires:
        return PASS
    if not span(address, 4, 4):
        return 0x25 if eime or not cfis else PASS
    shv = span(address, 3, 3)
    if raw["upper"] or (shv and data >> 16):
        return 0x20
    index = span(address, 19, 5) + (span(address, 2, 2) << 15) + (data & 0xFFFF if shv else 0)
    if index >= raw["entries"] or (raw["base_page"] * 4096 + 16 * index) >> raw["width"] + 12:
        return 0x21
    if not raw["readable"]:
        return 0x23
    if not value & 1:
        return 0x22
    if foreign(value, raw["requester"]):
        return 0x26
    return 0x24 if badly_programmed(value, eime, pi) else 0


few_bits = st.lists(st.integers(0, 127), max_size=3).map(lambda places: sum(1 << p for p in set(places)))
SITUATIONS = st.fixed_dictionaries({
    "address": st.integers(0, 0xFFFFF).map(lambda low: 0xFEE00000 | low),
    "upper": st.sampled_from([0, 0, 0, 1, 1 << 31]),
    "data": st.one_of(st.integers(0, 600), st.integers(0, 0xFFFFFFFF)),
    "requester": st.one_of(st.sampled_from([NIC, NIC ^ 1, NIC ^ 4, 0x0500]), st.integers(0, 0xFFFF)),
    "entries": st.integers(0, 15).map(lambda s: 2 << s), "base_page": st.integers(0, 1 << 30),
    "width": st.integers(20, 40), "readable": st.sampled_from([1, 1, 1, 0]),
    "mode": st.integers(0, 15),
    "value": st.one_of(st.builds(lambda good, wrong: good ^ wrong, st.sampled_from([
        IRTE.make(p=1, dst=0x100, vector=0x41, svt=1, sid=NIC), IRTE.make(p=1, svt=2, sid=0x0205),
        IRTE_POSTED.make(p=1, im=1, urg=1, pda=0x1234, svt=1, sq=3, sid=NIC)]), few_bits),
        st.integers(0, (1 << 128) - 1)),
}).map(lambda raw: {**raw, **entry(raw.pop("value"))})


@given(SITUATIONS)
def test_the_spec_order_is_a_plain_reading_of_the_specification(raw):
    name = ended_by("spec", raw)
    assert (CHECKS[name].outcome if name else 0) == by_the_book(raw)


@given(st.sampled_from(sorted(ORDERS)), SITUATIONS, st.integers(0, (1 << len(MODE_BIT)) - 1))
def test_the_chain_answers_as_the_rows_do(order, raw, mode_word):
    raw = {**raw, "mode": mode_word}
    assert ended_by(order, raw) == walked(order, raw)


@given(st.lists(SITUATIONS, min_size=1, max_size=4), st.integers(0, (1 << len(MODE_BIT)) - 1))
def test_conditions_hold_on_arrays_as_on_ints(raws, mode_word):
    raws = [{**raw, "mode": mode_word} for raw in raws]
    arrays = {name: numpy.array([raw[name] for raw in raws], numpy.int64) for name in RAW}
    for name, formula in FORMULAS.items():
        got = numpy.broadcast_to(eval(formula, {}, arrays), len(raws))
        assert got.astype(bool).tolist() == [bool(eval(formula, {}, raw)) for raw in raws], name


@given(SITUATIONS)
def test_no_operand_is_wider_than_63_bits(raw):
    for name, (formula, _) in OPERANDS.items():
        assert 0 <= int(eval(checks.expanded(formula), {}, raw)) < 1 << 63, name


# --- counted out (as chess programs do with perft) ---

MODES = [mode(ires=i, eime=e, cfis=c, pi=p) for i, e, c, p in product((0, 1), repeat=4)]
REQUESTS = [{**request(index, sub, data_upper=extra, format=form), "upper": upper}
            for index, sub, extra, form, upper in product((5, 255, 256), (None, 0, 1), (0, 1), (0, 1), (0, 1))]
ENTRIES = [entry(IRTE.make(p=p, im=im, dlm=dlm, svt=svt, sid=sid, dst=dst) | wrong << 12)
           for p, im, dlm, svt, sid, dst, wrong in product(
               (0, 1), (0, 1), (0, 3), (0, 1, 2, 3), (NIC, 0x0405), (0x100, 1), (0, 1))]

ALIKE = {"": 336, "remapping-off": 147_456, "compatibility-blocked": 55_296, "compatibility-passes": 18_432}
COUNTS = {
    "spec": ALIKE | {
        "request-reserved": 49_152, "index-over": 10_240, "not-present": 7_168, "source-compare": 896,
        "source-bus": 1_792, "remapped-reserved": 1_120, "destination-reserved": 280, "delivery-mode": 420,
        "posting-absent": 1_120, "posted-reserved": 980, "source-type": 224},
    "reserved-first": ALIKE | {
        "request-reserved": 49_152, "index-over": 10_240, "not-present": 7_168, "source-compare": 112,
        "source-bus": 224, "remapped-reserved": 1_792, "destination-reserved": 448, "delivery-mode": 672,
        "posting-absent": 1_792, "posted-reserved": 1_568, "source-type": 224},
    "request-late": ALIKE | {
        "request-reserved": 624, "index-over": 32_768, "not-present": 20_480, "source-compare": 320,
        "source-bus": 640, "remapped-reserved": 5_120, "destination-reserved": 1_280, "delivery-mode": 1_920,
        "posting-absent": 5_120, "posted-reserved": 4_480, "source-type": 640},
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_small_space_counted_out(order):
    """16 modes, 72 requests, 256 entries: how many end in each check."""
    found = Counter()
    for mode_word, message in product(MODES, REQUESTS):
        raw = situation(**message, mode=mode_word)
        for words in ENTRIES:
            found[ended_by(order, {**raw, **words})] += 1
    assert found == COUNTS[order]
    assert found.total() == 16 * 72 * 256
