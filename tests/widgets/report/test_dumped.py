"""`vsim report --dumps`: what dumps say, as a page and as Markdown, without names and without markup."""

import pytest

from tests.places import DATA
from tests.vsim.findings.machine_texts import machine
from tests.vsim.findings.test_catalogue import ABSENT, FAULT
from vsim.cli.main import main


def test_the_report_of_the_lessons_dumps_has_its_findings_and_its_fault(tmp_path, capsys):
    out = tmp_path / "r.html"
    assert main(["report", "--dumps", str(DATA / "pasted.txt"), "-o", str(out)]) == 0
    text = out.read_text()
    for words in ("What was recognised", "the message arrives as 02:00.0, 03:00.0", "the same reason, index and source",
                  "entry 0x5 allows 03:00.0 in", "pasted.txt:10", "where its table is in memory"):
        assert words in text
    assert "9 pieces, 2 findings" in capsys.readouterr().out
    first = out.read_bytes()
    assert main(["report", "--dumps", str(DATA / "pasted.txt"), "-o", str(out)]) == 0 and out.read_bytes() == first


def test_names_go_and_markup_stays_text(tmp_path):
    evil = "<script>alert(1)</script>"
    for name, text in machine().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "log").write_text("Nov 30 21:00:00 alices-laptop kernel: Linux version 6.1 10.1.2.3\n"
                                  + FAULT.format("01:00.0", 0x33, *ABSENT) + evil)
    (tmp_path / "lspci").write_text(machine()["lspci"].replace("NIC: N", f"NIC: {evil}"))
    for more in ((), ("--markdown",)):
        out = tmp_path.parent / f"report-{len(more)}"
        assert main(["report", "--dumps", str(tmp_path), "-o", str(out), *more]) == 0
        text = out.read_text()
        assert evil not in text and "alices-laptop" not in text and "10.1.2.3" not in text


@pytest.mark.parametrize("arguments", [[], [str(DATA / "small.cfg"), "--dumps", str(DATA / "pasted.txt")]])
def test_a_report_is_of_a_domain_or_of_dumps(arguments, capsys):
    assert main(["report", *arguments]) == 2
    assert "allowed: one of them" in capsys.readouterr().err
