"""A state as a short text: what is written is read, and whatever else is read is a link or a clear error."""

import base64
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scenes import apics, machine
from vsim.history import link, said
from vsim.history.link import Link, LinkError, parse, text
from vsim.machine import step
from vsim.state.arrays import Machine
from vsim.state.commands import MmioRead, Msi, Pin
from vsim.state.profile import PROFILES, profile
from vsim.state.trace import Kind, node

DEEDS = (("do", "", MmioRead(0xFEC00000, 4), Pin(3, 1)), ("boot", "physical"), ("fire", 0x300, 5),
         ("move", 0x300, 5, 200), ("storm", 1000, 200, -7), ("do", "by hand", Msi(0x300, 0xFEE00000, 0x41)))


FORKS = (link.Fork(12, 1, 20, (("fire", 0x300, 6),)), link.Fork(0, 0, 3, (("do", "", Pin(3, 1)),)))


def made(**changes):
    whole = Link(Machine(profile("spec"), vcpus=288), DEEDS, 3058, 12, "big", {"device": 0x300, "irte": 5})
    return whole._replace(**changes)


def stepped():
    m = machine(4)
    for command in apics(2):
        step(m, command)
    return m


def packed(**changes):
    """The text of a link whose JSON was changed by hand."""
    whole = json.loads(zlib.decompress(base64.urlsafe_b64decode(text(made())[6:] + "==")))
    return wrapped(json.dumps(whole | changes).encode())


def wrapped(plain):
    return f"vsim1.{base64.urlsafe_b64encode(zlib.compress(plain)).decode().rstrip('=')}"


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_written_is_read(name):
    wide = profile(name).with_options(apic_id_step=1)
    for machine_ in (Machine(profile(name), 4), Machine(wide, 12), stepped()):
        assert parse(text(made(machine=machine_))) == made(machine=machine_)


def test_other_futures_and_a_guest_that_waits_are_written_and_read():
    whole = made(forks=FORKS, serving=False, pausing=True)
    assert parse(text(whole)) == whole
    assert set(json.loads(zlib.decompress(base64.urlsafe_b64decode(text(made())[6:] + "==")))) == link._NEEDED


def test_what_is_assumed_is_written_and_read():
    whole = made(notes=("memory is not given",), names=((node(Kind.VIOAPIC, 0), "I/O APIC 2"),),
                 assumed=(("its pin is A", (node(Kind.DEVICE, 0x300), node(Kind.VLAPIC, 3))),))
    assert parse(text(whole)) == whole


def test_long_notes_are_cut_and_the_last_counts_the_others():
    notes = parse(text(made(notes=("x" * 1000,) * (said.MAX_SAID + 5)))).notes
    assert len(notes) == said.MAX_SAID and notes[0] == "x" * said.MAX_SENTENCE
    assert notes[-1] == "6 more notes are left out"


def test_texts_of_a_link_steer_no_terminal_and_break_no_page():
    given = parse(packed(title="a\ud800\x1b[2J", notes=["\udcff"], deeds=[["do", "\x1b"]], commands=0, cursor=0))
    assert (given.title, given.notes, given.deeds[0][1]) == ("a\\ud800\\x1b[2J", ("\\udcff",), "\\x1b")


def test_a_machine_that_nothing_was_done_to_is_short():
    assert len(text(made())) < 500
    used = Machine(profile("spec"), vcpus=8)
    step(used, Pin(3, 1))
    assert len(text(made(machine=used))) > 500


@pytest.mark.parametrize("given, column, message", [
    ("", 1, "found ''; a link begins with vsim1."),
    ("vsim7.abc", 5, "a link of version 7; this kit reads version 1"),
    ("vsim1.ab<b>", 9, "found '<'; a link has letters, digits, - and _"),
    ("vsim1.abc", 7, "it cannot be unpacked: a part is missing or was changed"),
    (wrapped(b"[1"), 7, "what it holds is not JSON"),
    (wrapped(b"[" * 100_000), 7, "what it holds is not JSON"),
    (wrapped(b"{}"), 7, "it has to hold machine, deeds, commands, cursor, title, selected, and may "
     "hold forks, serving, pausing, notes, assumed, names"),
    (packed(title=3), 1, "title is no text"),
    (packed(commands=-1), 1, "commands is '-1'; allowed are 0 to 1000000"),
    (packed(cursor=3059), 1, "cursor is '3059'; allowed are 0 to 3058"),
    (packed(selected={"door": 1}), 1, "selected has another name than device, unit, irte, vlapic, serial, seen"),
    (packed(selected={"irte": 1 << 16}), 1, "irte is '65536'; allowed are -1 to 65535"),
    (packed(machine={}), 1, "machine has to hold saved, or profile, vcpus, ram and bus"),
    (packed(machine=None), 1, "machine has to hold saved, or profile, vcpus, ram and bus"),
    (packed(machine={"profile": {"name": "spec", "options": {"speed": 1}}, "vcpus": 1, "ram": 4096, "bus": []}), 1,
     f"machine: 'speed' is not a field of this part of a profile: {link.NEWER}"),
    (packed(colour=3), 7, f"it holds 'colour', which this kit does not know: {link.NEWER}"),
    (packed(deeds=[["do", "", ["teleport", 1]]]), 1,
     f"deed 1 has the command 'teleport', which this kit does not know: {link.NEWER}"),
    (packed(deeds=[[3]]), 1, "deed 1 is '[3]'; deeds are do, boot, fire, move, storm"),
    (packed(deeds={}), 1, "deeds is no list of at most 20000"),
    (packed(deeds=[["fly"]]), 1, f"deed 1 is 'fly', which this kit does not know: {link.NEWER}"),
    (packed(deeds=[["boot", "quick"]]), 1, """deed 1: boot takes no '"quick"'"""),
    (packed(deeds=[["boot", ["physical"]]]), 1, """deed 1: boot takes no '["physical"]'"""),
    (packed(deeds=[["fire", 0x300, True]]), 1, "deed 1: fire takes no 'true'"),
    (packed(deeds=[["do", "", ["mmio"]]]), 1, "deed 1: mmio takes address, width, value; found 0 values"),
    (packed(deeds=[["do", 3]]), 1, "deed 1: do takes a name of at most 120 characters, and commands"),
    (packed(deeds=[["boot", "physical"]] * 5), 1, "more than 4 boots; no more are allowed"),
    (packed(deeds=[["storm", 9, 60_000, 1]] * 2), 1, "storms of more than 100000 interrupts; no more are allowed"),
    (packed(deeds=[["do", "", ["burst", 1, 4000, 0]]] * 30), 1,
     "storms of more than 100000 interrupts; no more are allowed"),
    (packed(serving=1), 1, "serving is '1'; allowed are true and false"),
    (packed(notes=["x" * 401]), 1, "a note is no text of at most 400 characters"),
    (packed(notes=[""] * 2001), 1, "notes is no list of at most 2000"),
    (packed(assumed=[["x"]]), 1, "assumed does not hold sentences, each with the elements that it is about"),
    (packed(assumed=[["x", [9 << 24]]]), 1,
     "'150994944' is no element: a device, an I/O APIC's pin, a vIOMMU or a vLAPIC"),
    (packed(assumed=[["x", [node(Kind.VLAPIC, 0)] * 2000]] * 51), 1,
     "assumed has more than 100000 elements; no more are allowed"),
    (packed(names=[[0]]), 1, "names does not hold elements, each with its name"),
    (packed(forks={}), 1, "forks is no list of at most 16"),
    (packed(forks=[[0, 0, 0, []]] * 17), 1, "forks is no list of at most 16"),
    (packed(forks=[[0, 0, 0]]), 1, "fork 1 does not hold exactly at, shared, commands, deeds"),
    (packed(forks=[[8, 0, 7, []]]), 1, "fork 1: at is '8'; allowed are 0 to 7"),
    (packed(forks=[[0, 0, 7, []], [0, 7, 7, []]]), 1, "fork 2: shared is '7'; allowed are 0 to 6"),
    (packed(forks=[[0, 0, 7, [["boot", "physical"]] * 2]] * 2), 1, "more than 4 boots; no more are allowed"),
])
def test_what_is_no_link_says_why(given, column, message):
    with pytest.raises(LinkError) as caught:
        parse(given)
    assert str(caught.value) == f"link:1:{column}: {message}"


def test_a_link_that_grows_without_end_is_cut_off():
    with pytest.raises(LinkError, match="it is cut off, or larger than a link may be"):
        parse(wrapped(b" " * (link.MAX_JSON + 1)))


def test_a_link_that_was_cut_is_told():
    with pytest.raises(LinkError):
        parse(text(made())[:-9])


def test_a_state_that_is_too_large_is_not_written():
    with pytest.raises(ValueError, match="the limits of a link are 20000 and 1000000: save a session instead"):
        text(made(deeds=DEEDS * 4000))
    with pytest.raises(ValueError, match="2001 things are assumed, of 0 elements; the limits are 2000 and 1"):
        text(made(assumed=(("x", ()),) * 2001))


@given(st.text(max_size=200) | st.text(alphabet="abcXYZ019-_", max_size=300).map("vsim1.".__add__))
def test_any_text_is_a_link_or_a_clear_error(given):
    with pytest.raises(LinkError):
        parse(given)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
                    max_leaves=20), st.sampled_from(Link._fields))
def test_any_member_is_read_or_refused(value, name):
    try:
        parse(packed(**{name: value}))
    except LinkError as error:
        assert str(error).startswith("link:1:")
