"""`vsim report`: one file with everything in it, the same bytes each time, and other people's text stays text."""

import re
import tomllib
from argparse import ArgumentParser
from html import escape
from html.parser import HTMLParser
from itertools import pairwise

import mistune
import pytest

from tests.places import ROOT
from vsim.domain.host_answers import POLICIES
from vsim.explain.interrupt import explain
from vsim.readers.xl import ConfigError
from vsim.review.facts import LIMITS, UNVERIFIED
from vsim.review.questions import QUESTIONS
from vsim.review.scenarios import SCENARIOS
from vsim.review.ways import WAYS
from vsim.state.quirks import QUIRKS
from widgets.lab.lab import Lab
from widgets.report import command as report
from widgets.report import run as run_parts
from widgets.report.domain import play
from widgets.report.markdown import markdown
from widgets.report.page import page
from widgets.report.paper import Copied, Grid, Heading, Link, Picture, Points, Words, grid, lines
from widgets.report.series import show

DATA = ROOT / "notebooks" / "data"
VOID = {"meta", "col", "br", "link", "img"}
EVIL = '<img src=x onerror="alert(1)">&amp;`|*_#'
CFG = """name = '{name}'
type = "hvm"
memory = 64
vcpus = 2
pci = [ "03:00.0,name=<b>" ]
vif = [ "model=<script>alert(1)</script>" ]
viommu = "type=vtd,intremap=1,x2apic=1"
extra_<option = 1
"""


class Reader(HTMLParser):
    """What is in a page: headings, tables, links and text; fails on tags that are not balanced."""

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.ids, self.attributes, self.words, self.captions = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings.append((int(self.open[-1][1]), data))

    @property
    def text(self):
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def shown():
    return show()


@pytest.fixture(scope="module")
def small(shown):
    return report.document(play(DATA / "small.cfg", DATA / "big.lspci"), shown)


@pytest.fixture(scope="module")
def html(small):
    return page(small)


def run(*argv):
    parser = ArgumentParser()
    report.register(parser)
    args = parser.parse_args([str(each) for each in argv])
    return args.func(args)


# --- the command ---


def test_the_command_is_registered_where_vsim_looks_for_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["vsim.commands"]["report"] == "widgets.report.command:register"
    assert (report.register.__doc__ or "").startswith("write the design review")


@pytest.mark.parametrize("extra", [(), ("--markdown",), ("--profile", "xen-v4")], ids=["page", "markdown", "profile"])
def test_running_it_again_gives_the_same_bytes(tmp_path, extra, capsys):
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert run(DATA / "small.cfg", "--lspci", DATA / "big.lspci", "-o", tmp_path / name / "x", *extra) == 0
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert made[0] == made[1]
    assert "8 of 8 vCPUs reached" in capsys.readouterr().out


def test_a_mistake_in_the_configuration_has_its_place_and_writes_nothing(tmp_path):
    (tmp_path / "bad.cfg").write_text('vcpus = 2\nviommu = "type=vtd,intremap=2"\n')
    with pytest.raises(ConfigError, match=r"bad\.cfg:2:20: ") as caught:
        run(tmp_path / "bad.cfg", "-o", tmp_path / "out.html")
    assert (caught.value.line, caught.value.column) == (2, 20)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.cfg"]


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="profile is 'xen-v9'; known are spec"):
        play(DATA / "small.cfg", profile="xen-v9")


# --- the page ---


def test_the_page_is_balanced_and_its_headings_go_down_one_level_at_a_time(html):
    found = Reader(html)
    levels = [level for level, _ in found.headings]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_id_is_there_once_and_every_link_leads_to_one(html):
    found = Reader(html)
    assert len(found.ids) == len(set(found.ids))
    ends = [each["href"] for tag, each in found.attributes if tag == "a"]
    ends += [each["xlink:href"] for tag, each in found.attributes if "xlink:href" in each]
    ends += re.findall(r"url\(([^)]*)\)", html)
    assert ends and {end.lstrip("#") for end in ends} <= set(found.ids)
    assert all(end.startswith("#") for end in ends)


def test_nothing_is_loaded_and_nothing_runs(html):
    found = Reader(html)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in found.attributes}
    assert not [name for _, each in found.attributes for name in each if name.startswith("on") or name == "src"]
    assert not re.search(r"@import|expression\(", html)
    assert set(re.findall(r'(?<!xmlns=")(?<!xmlns:xlink=")https?://[^"<> ]+', html)) == set()


@pytest.mark.parametrize("each", QUESTIONS, ids=lambda each: each.number)
def test_every_question_is_there_with_its_answer_its_grade_and_what_was_run(html, shown, each):
    text = Reader(html).text
    at = text.index(f"{each.number}. {each.asked}")
    block = text[at:at + 6000]
    assert " ".join(each.answer.split()) in block and f"question {each.asked_grade}, answer" in block
    assert all(" ".join(line.split()) in text for line in shown.answers.get(each.number, ()))
    assert ("Told only" in block[:900]) or each.number in shown.answers


@pytest.mark.parametrize("row", [row for row in QUIRKS.values() if row.id.startswith("xen.D")], ids=lambda row: row.id)
def test_every_defect_is_there_with_both_runs_or_says_that_it_is_told_only(small, shown, row):
    (table,) = [part for part in small if isinstance(part, Grid) and part.caption == "D1 to D45"]
    name, told, noticed, coded, corrected = next(each for each in table.rows if lines(each[0])[0] == row.id[4:])
    assert lines(name)[1] == row.name and row.versions in lines(name)[2] and row.sure in lines(name)[2]
    assert row.does in lines(told)[0] and noticed == row.observed
    assert (coded, corrected) == shown.seen.get(row.id, (("told only",), ("",)))
    assert (row.id in SCENARIOS) == (row.id in shown.seen)


@pytest.mark.parametrize("words", [*(row.value for row in LIMITS), *(row.source for row in LIMITS), *UNVERIFIED])
def test_limits_have_sources_and_what_nobody_checked_is_listed(html, words):
    assert " ".join(words.split()) in Reader(html).text


@pytest.mark.parametrize("mark", ["[I]", "unverified", "[I for versions 1 to 3]"])
def test_what_is_doubtful_stands_out(html, mark):
    assert f"<mark>{mark}</mark>" in html


def test_two_interrupts_are_drawn_for_wide_and_narrow_screens(small, html):
    drawn = [part for part in small if isinstance(part, Picture)]
    assert len(drawn) == 2 and html.count("<svg") == 4
    assert all(part.wide != part.tall and part.steps for part in drawn)
    assert "accepted by vLAPIC 7" in drawn[0].title and "0x25" in drawn[1].title


def test_without_a_device_there_is_nothing_to_draw(tmp_path, shown):
    (tmp_path / "bare.cfg").write_text('type = "hvm"\nmemory = 16\nvcpus = 2\n')
    parts = report.document(play(tmp_path / "bare.cfg"), shown)
    text = Reader(page(parts)).text
    assert "nothing to draw" in text and "has no device that raises interrupts" in text
    assert "asks for no vIOMMU" in text


def test_a_vcpu_out_of_reach_is_named_with_the_reason(shown):
    case = play(DATA / "big-noviommu.cfg", DATA / "big.lspci")
    text = Reader(page(report.document(case, shown))).text
    assert "128 of 288 vCPUs reached" in text and "beyond the 8-bit destination" in text
    assert "The last one, vCPU 287, is out of reach" in text


# --- other people's text ---


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, shown):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "evil.cfg").write_text(CFG.format(name=EVIL).replace("extra_<option", "extra_option"))
    return report.document(play(folder / "evil.cfg"), shown)


def test_markup_in_a_configuration_shows_as_text_in_the_page(hostile):
    found = Reader(page(hostile))
    assert EVIL in found.text and "<script>alert(1)</script>" in found.text
    assert not {"script", "img", "b"} & {tag for tag, _ in found.attributes}


def test_markup_in_a_configuration_shows_as_text_in_markdown(hostile):
    text, files = markdown(hostile, "evil")
    assert not re.search(r"(?<!\\)<(?!br>|evil-|!-- -->)", text)
    assert r"\<script\>alert(1)\</script\>" in text
    assert not any(b"<script" in data for data in files.values())


@pytest.mark.parametrize("make", [
    lambda text: Heading(2, text, "a"), lambda text: Words(text), lambda text: Points((text,)),
    lambda text: grid(text, (text, text), [(text, (text, text)), (Link(text, "a"), text)], (5, 5))])
def test_text_stays_text_in_every_part(make):
    assert Reader(page([make(EVIL)])).text.count(EVIL) >= 1
    assert "<img" not in page([make(EVIL)])
    assert "<img" not in re.sub(r"\\<", "", markdown([make(EVIL)], "x")[0])


def test_a_row_with_too_few_cells_is_refused():
    with pytest.raises(ValueError, match="a row has 1 cells; the limit is 2"):
        grid("", ("a", "b"), [("x",)], (5, 5))


# --- Markdown ---


def test_markdown_has_the_same_headings_tables_and_drawings(small):
    text, files = markdown(small, "review")
    headings = [line for line in text.splitlines() if re.match("#{1,3} ", line)]
    assert len(headings) == sum(isinstance(part, Heading) for part in small)
    tables = [part for part in small if isinstance(part, Grid)]
    rules = [line for line in text.splitlines() if re.fullmatch(r"\|( --- \|)+", line)]
    assert [rule.count("---") for rule in rules] == [len(part.heads) for part in tables]
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == sum(len(part.rows) + 2 for part in tables)
    assert sorted(files) == ["review-drawn-careless.svg", "review-drawn-directed.svg"]
    assert all(f"(<{name}>)" in text for name in files)


@pytest.mark.parametrize("words", ["- a", "+ a", "1. a", "12) a", "= a", "# a", "> a"])
def test_a_paragraph_that_begins_like_a_mark_is_a_paragraph(words):
    line = markdown([Words(words)], "x")[0].strip()
    assert re.match(r"\\|\d+\\", line)


ACTED_ON = ["$a$", "$$a$$", r"\(a\)", r"\[a\]", r"\begin{x}a\end{x}", r"\href{a}{b}", r"a \$b$",
            "http://a.example/x", "HTTPS://a.example", "www.a.example", "a@b.example", "@somebody", ":smile:", ":+1:",
            "0000:ab:00.0", ":a_b:"]


@pytest.mark.parametrize("words", ACTED_ON)
def test_nothing_is_typeset_linked_or_drawn(words):
    made = markdown([Words(words)], "x")[0]
    shown = mistune.create_markdown(escape=False, plugins=["url", "math"])(made)
    assert Reader(shown).text.strip() == words
    assert {tag for tag, _ in Reader(shown).attributes} <= {"p"} and "math" not in shown
    # What finds mathematics before Markdown, as JupyterLab does; and what looks at the text between two tags after it.
    assert not re.search(r"(?<!\\)\$|\\\\[(\[]|\\(begin|end)\\?{", made)
    pieces = re.split("<[^>]*>", shown)
    assert not any(re.search(r"(?i)://\w|www\.|\w@\w|@\w|:[\w+-]+:", piece) for piece in pieces)


def test_the_address_of_a_function_is_left_as_it_is():
    assert markdown([Words("a: 0000:03:00.0")], "x")[0] == "a: 0000:03:00.0\n"


def test_reasons_beyond_a_few_are_counted(shown):
    """Under version 4 the MADT's wrapped IDs give each vCPU from 128 on a reason of its own."""
    case = play(DATA / "big.cfg", DATA / "big.lspci", "xen-v4")
    text = Reader(page(report.document(case, shown))).text
    assert "more reasons like these" in text and "132-287" in text
    assert "vCPU 128 is announced with the ID of vCPU 0" in text


def test_the_guests_own_commands_are_clean_and_each_duty_left_out_is_named(small):
    said = next(part.text for part in small if isinstance(part, Words) and "protocol checker" in part.text)
    assert "no step is forbidden or undefined" in said
    (table,) = [part for part in small if isinstance(part, Grid) and part.caption.startswith("A duty left out")]
    found = {lines(row[0])[0]: lines(row[1])[1] for row in table.rows}
    assert found.keys() >= {"order", "flush", "invalidate", "wait", "source"}
    assert found["order"].startswith("undefined; sirtp-before-ire")


def test_a_machine_of_the_series_is_not_judged():
    assert play(DATA / "small.cfg", DATA / "big.lspci", "xen-v4").judged == {}


def test_five_answers_to_the_first_question_are_tried_on_two_units(small):
    tables = [part for part in small if isinstance(part, Grid) and lines(part.rows[0][0])[0] == "unlinked"]
    assert [[lines(row[0])[0] for row in each.rows] for each in tables] == [list(POLICIES)] * 2
    tried = {row[0]: row for row in tables[1].rows}
    assert tried["unlinked"][1] == ("for no host unit: QI, IR, EIM, MHMV",)
    assert tried["per-unit"][1] == ("for host unit 0: QI, IR, EIM, PI", "for host unit 1: QI, IR")
    assert "It cannot say that there are 2 units" in tried["per-unit"][4]


def test_four_ways_past_8_bits_are_measured_side_by_side(small):
    (ways,) = [part for part in small if isinstance(part, Grid) and part.caption.startswith("What each way gives")]
    assert ways.heads[1:] == tuple(WAYS) and all(len(row) == 5 for row in ways.rows)
    isolated = next(row for row in ways.rows if str(row[0]).startswith("another device"))
    assert dict(zip(WAYS, isolated[1:], strict=True))["vIOMMU"] == "yes" and isolated.count("yes") == 1


# --- links ---


def last(lab):
    """The sentences of the interrupt that the last gesture sent, from the log alone."""
    *_, gesture = lab.gestures()
    lab.goto(gesture.start)
    before = lab.machine.copy()
    events = [each for command in lab.history.commands[gesture.start:gesture.stop] for each in lab.issue(command)]
    return explain(events, before, next(each.serial for each in events if each.serial)).sentences


@pytest.mark.parametrize("config, profile", [("small", "spec"), ("small", "xen-v3"), ("small", "xen-v4"),
                                             ("big-noviommu", "spec")])
def test_each_drawn_interrupt_has_a_link_that_opens_its_state(config, profile):
    case = play(DATA / f"{config}.cfg", DATA / "big.lspci", profile)
    assert len(case.drawn) == 2
    for each in case.drawn:
        assert last(Lab.from_link(each.link)) == each.journey.sentences


def test_the_line_of_python_in_the_report_runs_and_opens_the_state(small, html):
    lines = [part.text for part in small if isinstance(part, Copied) and "from_link" in part.text]
    for each in lines:
        kept = {}
        exec(each, kept)
        assert kept["lab"].machine.serials and f'{escape(each)}</pre>' in html
    assert len(lines) == 2


@pytest.mark.parametrize("address", ["https://kit.example/a/bench.html", "bench.html", "../site/bench.html"])
def test_a_state_opens_on_the_page_that_is_named(address):
    case = play(DATA / "small.cfg", DATA / "big.lspci")
    assert report.PAGE.fullmatch(address)
    parts = run_parts.interrupts(case, address)
    wanted = [f"{address}#state={each.link}" for each in case.drawn]
    assert re.findall(r'<a href="([^"]+#state[^"]+)"', page([Heading(1, "t", "top"), *parts])) == wanted
    assert re.findall(r"\[Open it on the page\]\(<([^>]+)>\)", markdown(parts, "r")[0]) == wanted


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//other.example/x", "a b", "x#y",
                                     'x"onclick="', "<b>", "vbscript:x", "file:///x"])
def test_a_page_that_is_no_address_is_refused_before_anything_is_done(address, tmp_path):
    with pytest.raises(ValueError, match="found --page "):
        run("none.cfg", "-o", tmp_path / "r.html", "--page", address)
    assert not [*tmp_path.iterdir()]


def test_the_report_has_the_interfaces_own_names(html):
    for name in ("viommu_type=0x1", "base_address=0xfed90000", "length=0x1000", "capabilities=0x1"):
        assert name in html


def test_what_is_to_be_copied_ends_where_it_ends():
    text, _ = markdown([Copied("a", "```\n# no heading\n````")], "r")
    assert text == "a\n\n`````\n```\n# no heading\n````\n`````\n"
    assert "<b>" not in page([Heading(1, "t", "top"), Copied("a", "<b>")])


def test_a_run_that_was_stopped_is_told_as_far_as_it_went(tmp_path):
    """As after Ctrl-C: whole figures of what was tried, and nothing about vCPUs that had no turn."""
    path, turns = tmp_path / "a.cfg", iter((False, True))
    path.write_text('memory = 64\nvcpus = 2\npci = ["03:00.0"]\nviommu = "type=vtd,intremap=1,x2apic=1"\n')
    case = play(path, stop=lambda: next(turns))
    words = " ".join(part.text for part in run_parts.reach(case) if isinstance(part, Words))
    assert f"The run was stopped: 1 of {case.result.total} pairs" in words
    assert report.verdict(case) == "1 of 2 vCPUs reached" and case.result.unreached == []
