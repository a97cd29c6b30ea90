"""The button "copy link": the kernel's half. What the page makes of it is tested on the page itself."""

import pytest

from tests.places import DATA
from widgets.lab import Lab
from widgets.lab.copylink import PAGE, CopyLink, line


@pytest.fixture
def asked(monkeypatch):
    """A button of a Lab, and what it has sent to the page."""
    made, sent = CopyLink(Lab.from_config(DATA / "small.cfg")), []
    monkeypatch.setattr(made, "send", sent.append)
    return made, sent


def test_pressed_it_sends_the_state_as_it_is_now(asked):
    made, sent = asked
    made.lab.boot()
    made._handle_custom_msg({"kind": "ask"}, [])
    (answer,) = sent
    assert answer == {"link": made.lab.link(), "line": line(made.lab.link()), "wrong": ""}
    assert Lab.from_link(answer["link"]).machine == made.lab.machine


def test_the_line_of_python_opens_it(asked):
    made, found = asked[0], {}
    exec(line(made.lab.link()), found)  # our own text, of our own Lab
    assert found["lab"].machine == made.lab.machine


def test_a_state_that_is_no_link_says_why(asked, monkeypatch):
    made, sent = asked
    monkeypatch.setattr("widgets.lab.deeds.MAX_DEEDS", 0)
    made._handle_custom_msg({"kind": "ask"}, [])
    assert sent[0]["link"] == "" and "no more fit into a link: save a session instead" in sent[0]["wrong"]


@pytest.mark.parametrize("message", [None, [], {}, {"kind": "tell"}, {"kind": ["ask"]}])
def test_other_messages_are_none_of_its_business(asked, message):
    made, sent = asked
    made._handle_custom_msg(message, [])
    assert sent == []


def test_the_page_may_be_named_by_who_serves(monkeypatch):
    lab = Lab.from_config(DATA / "small.cfg")
    assert CopyLink(lab).page == ""
    monkeypatch.setenv(PAGE, "https://kit.example/bench.html")
    assert CopyLink(lab).page == "https://kit.example/bench.html"


def test_every_bench_has_one_and_closes_it():
    lab = Lab.from_config(DATA / "small.cfg")
    controls = lab.controls
    (found,) = [each for each in controls.children[1].children if isinstance(each, CopyLink)]
    controls.close()
    assert found.comm is None
