"""One interrupt at a time: what is shown of it, by picture, table, sentences and controls."""

import re

import pytest

from tests.places import ROOT
from vsim.guest.ways import plain_message
from vsim.readers.xl import ConfigError
from vsim.scale.limits import Demand
from vsim.state.trace import Act
from widgets.lesson.chooser import Chooser
from widgets.lesson.journey import Trial
from widgets.lesson.sizes import growth
from widgets.tables import Table, Told, fault_line
from widgets.theme import palette

DATA = ROOT / "notebooks" / "data"
NIC, NVME, E1000 = "00:05.0", "00:06.0", "00:04.0"
CARELESS = plain_message(574 & 0xFF, 0x41)


@pytest.fixture
def big():
    return Trial(DATA / "big.cfg", DATA / "big.lspci")


@pytest.fixture
def plain():
    return Trial(DATA / "big-noviommu.cfg", DATA / "big.lspci")


@pytest.mark.parametrize("device, message", [(NIC, 0), (NIC, 63), (NVME, 127), (E1000, 0)])
@pytest.mark.parametrize("vcpu", [0, 127, 128, 287])
def test_every_message_gets_to_every_vcpu_through_the_table(big, device, message, vcpu):
    for _ in range(2):
        assert big.send(device, message, vcpu).reached == (vcpu,)


@pytest.mark.parametrize("vcpu, reached", [(0, (0,)), (127, (127,)), (128, ()), (287, ())])
def test_without_a_table_the_kernel_refuses_what_8_bits_cannot_name(plain, vcpu, reached):
    journey = plain.send(NIC, 0, vcpu)
    assert (journey.reached, journey.refused) == (reached, not reached)


def test_an_ipi_needs_no_table(plain):
    assert plain.ipi(0, 287).reached == (287,)


def test_a_cut_destination_gets_to_somebody_else(plain):
    assert plain.raw(NIC, *CARELESS).reached == (31,)


def test_the_fault_event_is_not_taken_for_the_interrupt(big):
    journey = big.raw(NIC, *CARELESS)
    assert journey.reached == ()
    assert "reason 0x25" in journey.verdict and "fault event" in str(journey.told())


def test_another_entry_is_tried_and_put_back(big):
    own = big.source(NIC).entry
    assert "0x26" in big.entry(NIC, 0, "p=1 vector=0x51 dst=0x23e sid=00:06.0 svt=1").verdict
    assert big.entry(NIC, 0, "p=1 vector=0x51 dst=0x23e sid=00:06.0 svt=1", sid=0x28).reached == (287,)
    assert big.source(NIC).entry == own
    assert big.send(NIC, 0, 5).reached == (5,)


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda big, plain: big.send(NIC, 64), "message is 64; the limit for device 00:05.0 is 63"),
        (lambda big, plain: big.send("00:1f.0"), "message is 0; the limit"),
        (lambda big, plain: big.send(NIC, 0, 288), "vcpu is 288"),
        (lambda big, plain: big.entry(NIC, 0, "p=2"), "limit"),
        (lambda big, plain: big.entry(NIC, 0, "p=1", colour=1), "no field 'colour'"),
        (lambda big, plain: plain.entry(NIC, 0, "p=1"), "has no entry: there is no remapping"),
    ],
)
def test_a_callers_mistake_names_value_and_limit(big, plain, call, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        call(big, plain)


def test_a_mistake_in_a_file_has_its_place(tmp_path):
    (tmp_path / "bad.cfg").write_text('vcpus = "many"\n')
    with pytest.raises(ConfigError, match=r"bad.cfg:1:\d+: "):
        Trial(tmp_path / "bad.cfg")


# --- what is shown ---


@pytest.mark.parametrize("name, magic", [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")])
def test_a_picture_is_saved_by_the_ending_of_its_name(tmp_path, plain, name, magic):
    plain.ipi(0, 3).picture().save(tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_a_picture_is_an_image_with_words(plain):
    data, shown = plain.raw(NIC, *CARELESS).picture("dark", "tall")._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR") and data["text/plain"] == "accepted by vLAPIC 31"
    assert shown["image/png"]["alt"] == "accepted by vLAPIC 31" and shown["image/png"]["width"] == 480
    assert "text/html" not in data, "who asks for a theme gets it everywhere"


@pytest.mark.parametrize("made", [lambda plain: plain.raw(NIC, *CARELESS).picture(),
                                  lambda plain: growth(Demand(16, ((64, 0),)))], ids=["still", "growth"])
def test_a_picture_without_a_theme_takes_the_page_s_colours(plain, made):
    one, two = (made(plain)._repr_mimebundle_()[0]["text/html"] for _ in range(2))
    drawing = one[one.index("<svg"):]
    own = [*palette("light")[:-1], *palette("light").heat]
    assert [each for each in own if each in drawing] == [] and "var(--vsim-background)" in drawing
    ids = [set(re.findall(r' id="([^"]+)"', each)) for each in (one, two)]
    assert not ids[0] & ids[1], "two in one notebook keep apart"
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', one)) <= ids[0]


def test_the_why_panel_stresses_the_check_that_ended_the_request(big):
    table = big.raw(NIC, *CARELESS).why()
    (end,) = table.bold
    assert table.rows[end][:2] == ("✗ failed", "compatibility-blocked")
    assert "format=0x0" in table.rows[end][2] and table.rows[end][4] == "VT-d 5.1.4"
    assert {row[0] for row in table.rows[:end]} == {"✓ passed"}
    assert {row[0] for row in table.rows[end + 1:]} == {"not reached"}


def test_the_why_panel_without_a_unit_says_that_nothing_was_checked(plain):
    assert "nothing was checked" in repr(plain.raw(NIC, *CARELESS).why())


@pytest.mark.parametrize("make", [
    lambda text: Table((text,), [(text,)], text), lambda text: Table(("a",), [(text,)], bold=(0,)),
    lambda text: Told([text]), lambda text: Told([text, text])])
def test_text_stays_text(make):
    shown = make('<img src=x onerror="alert(1)">&amp;')
    assert "<img" not in shown._repr_html_() and "&lt;img" in shown._repr_html_()
    assert '<img src=x onerror="alert(1)">&amp;' in repr(shown)


def test_an_error_is_a_line_of_text():
    assert fault_line(ValueError("<b>")) == '<p role="alert"><b>ValueError:</b> &lt;b&gt;</p>'


def test_a_table_is_columns_in_a_terminal():
    assert repr(Table(("a", "long"), [(10, "x"), (2, "")], "all")) == "all\na   long\n10  x\n2"


def test_a_row_with_too_many_cells_is_refused():
    with pytest.raises(ValueError, match="a row has 2 cells; the limit is 1"):
        Table(("a",), [(1, 2)])


# --- the controls ---


@pytest.fixture
def panel(big):
    made = Chooser(big)
    yield made
    made.close()


def test_the_panel_starts_with_the_last_vcpu_and_a_picture(panel):
    assert panel.journey.reached == (287,)
    assert 'alt="accepted by vLAPIC 287"' in panel.picture.value and "<details>" in panel.words.value
    assert panel.error.value == ""


def test_the_controls_are_the_interrupt_that_is_shown(panel):
    panel.message.value, panel.vcpu.value = 12, 100
    assert panel.journey.reached == (100,) and panel.journey.way.irte == panel.trial.source(NIC, 12).index
    before = panel.picture.value
    panel.theme.value = "dark"
    assert panel.picture.value != before
    panel.shape.value = "tall"
    assert "max-width:480px" in panel.picture.value


def test_another_device_brings_its_own_number_of_messages(panel):
    panel.device.value = 0x30
    assert panel.message.max == 127
    panel.message.value = 127
    panel.device.value = 0x20
    assert (panel.message.max, panel.message.value) == (0, 0)
    assert "I/O APIC pin" in panel.words.value


def test_values_out_of_range_stay_in_the_range(panel):
    panel.vcpu.value, panel.message.value = 5000, -3
    assert (panel.vcpu.value, panel.message.value) == (287, 0)


def test_labels_of_controls_have_room(panel):
    controls = (panel.device, panel.message, panel.vcpu, panel.theme, panel.shape)
    assert all(each.style.description_width == "70px" for each in controls)


def test_an_error_in_a_callback_shows_in_the_panel_and_goes_away(panel, monkeypatch):
    kept = panel.picture.value
    with monkeypatch.context() as patch:
        patch.setattr(panel.trial, "send", lambda *_: 1 // 0)
        panel.vcpu.value = 3
    assert "ZeroDivisionError" in panel.error.value and panel.picture.value == kept
    panel.vcpu.value = 4
    assert panel.error.value == "" and panel.journey.reached == (4,)


def test_a_refusal_is_told_not_raised(plain):
    panel = Chooser(plain)
    assert panel.journey.refused and "beyond the 8-bit destination" in panel.words.value
    assert panel.error.value == ""
    panel.close()


def test_a_saved_notebook_holds_the_last_picture(panel):
    data, shown = panel._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR") and "application/vnd.jupyter.widget-view+json" in data
    assert shown["image/png"]["alt"] == "accepted by vLAPIC 287"


def test_a_domain_without_devices_is_refused(tmp_path):
    (tmp_path / "bare.cfg").write_text('name="bare"; type="pvh"; vcpus=2')
    with pytest.raises(ValueError, match="no device that raises interrupts"):
        Chooser(Trial(tmp_path / "bare.cfg"))


def test_the_live_map_has_the_interrupt_that_was_asked_for(big):
    view = big.live("00:05.0", message=3, vcpu=5)
    events = view.lab.history.events_of(view.lab.selection.serial)
    moved = view.lab.kernel.guest.sources[0x28][3]
    assert [event.index for event in events if event.act == Act.ACCEPTED] == [moved.vector]
    assert moved.vcpu == 5
    assert view.lit
    view.close()


def test_a_live_map_of_what_the_kernel_refuses_says_why(plain):
    with pytest.raises(ValueError, match="does not direct it to vCPU 287: APIC ID 574 is beyond"):
        plain.live("00:05.0", 0, 287)


def test_a_vector_of_choice_is_taken_there_and_a_used_one_is_not(big):
    view = big.live("00:05.0", message=3, vcpu=287, vector=0x4E)
    assert view.lab.kernel.guest.sources[0x28][3].vector == 0x4E
    view.close()
    sent = big.send("00:05.0", 3, 287, 0x4E)
    assert sent.reached == (287,) and big.source("00:05.0", 3).vector == 0x4E
    assert big.send("00:06.0", 0, 287, 0x4E).verdict == "refused by the kernel: vector 0x4e is not free on vCPU 287"
