"""Recordings of whole runs are input that somebody else wrote: read within bounds, or refused by line."""

import gzip
import json
import os

import pytest

from tests.vsim.replay.runs import ROWS, text
from vsim.replay import recording
from vsim.replay.recording import RecordingError
from vsim.state import commands as c

HEAD = {"vsim-recording": 1, "vcpus": 4, "ram": 1 << 30, "made": {"kernel": "6.12"}}


def test_a_run_without_a_head_tells_its_own_size():
    found = recording.parse(text(*ROWS))
    assert (found.vcpus, found.ram, found.unit, found.profile.name) == (2, 2 << 30, 0xFED90000, "qemu-10")
    assert found.console == [(24, "<b>starting</b>")]
    assert len(found.moments) == len(ROWS) - 1              # a write seen twice is done once


def test_a_head_tells_more():
    found = recording.parse(text(*ROWS, {"dump": "interrupts", "text": "  0: 1\n"}, head=HEAD))
    assert (found.vcpus, found.ram, found.made) == (4, 1 << 30, {"kernel": "6.12"})
    assert found.dumps == {"interrupts": "  0: 1\n"}


def test_a_local_apic_is_written_as_its_mode_wants():
    commands = [one.command for one in recording.parse(text(*ROWS)).moments]
    assert commands[0] == c.ApicWrite(1, 0xF0, 0x1FF)
    assert c.Msr(1, 0x80B, 0) in commands


def test_memory_grows_with_what_was_written():
    found = recording.parse(text([["ram", 5 << 30, "00" * 16], [], 0, 0]))
    assert found.ram == (5 << 30) + 4096


def test_time_never_goes_back():
    found = recording.parse(text([["ack", 0], [], 0, 9], [["ack", 0], [], 0, 3]))
    assert [one.us for one in found.moments] == [9, 9]


@pytest.mark.parametrize("rows, line, column, found", [
    ((), 1, 1, "found nothing"),
    (("{",), 1, 2, "not JSON"),
    (("[" * 5000,), 1, 101, "more than 100 values within each other"),
    (("7",), 1, 1, "expected [command, [seen, ...], vCPU, microseconds]"),
    (([["ack", 0], [], 0],), 1, 1, "expected [command"),
    ((ROWS[0], [["open", "/etc"], [], 0, 0]), 2, 1, "not a command"),
    (([["mmio", 0, 3000, 0], [], 0, 0],), 1, 1, "mmio.width is 3000"),
    (([["mmio", 0], [], 0, 0],), 1, 1, "mmio takes address, width, value"),
    (([["mmio", True, 4, 0], [], 0, 0],), 1, 1, "expected an int"),
    (([["lapic", 0, 0x100, 0], [], 0, 0],), 1, 1, "register 0x100 of a local APIC"),
    (([["lapic", 0], [], 0, 0],), 1, 1, "lapic with 1 values"),
    (([["lapic", 0, "b", 0], [], 0, 0],), 1, 1, "'b' is not a number"),
    (([["ack", 0], {}, 0, 0],), 1, 1, "expected a list"),
    (([["ack", 0], [[]], 0, 0],), 1, 1, "[]' seen; allowed: I, M"),
    (([["ack", 0], [["Z", 1]], 0, 0],), 1, 1, "seen; allowed: I, M"),
    (([["ack", 0], [["T", 1]], 0, 0],), 1, 1, "T with 1 values; it has 2"),
    (([["ack", 0], [["T", 1, 256]], 0, 0],), 1, 1, "vector '256'"),
    (([["ack", 0], [["T", 4096, 1]], 0, 0],), 1, 1, "vCPU '4096'"),
    (([["ack", 0], [["V", "zz"]], 0, 0],), 1, 1, "not a number below 2^64"),
    (([["ack", 0], [["V", "0x_1"]], 0, 0],), 1, 1, "not a number below 2^64"),
    (([None, [["K", "x" * 2001]], 0, 0],), 1, 1, "not a text of up to 2000 characters"),
    (([["ack", 0], [], 4096, 0],), 1, 1, "vCPU '4096'"),
    (([["ack", 0], [], 0, -1],), 1, 1, "microseconds; allowed"),
    ((ROWS[0], {"dump": 1, "text": ""}), 2, 1, "not a text"),
    ((ROWS[0], {"dump": "x"}), 2, 1, "expected dump and text"),
    (({"vsim-recording": 2}, ROWS[0]), 1, 1, "version '2'; allowed: 1"),
    (({"cap": 1}, ROWS[0]), 1, 1, "version 'None'"), (({},), 1, 1, 'neither "vsim-recording": 1 nor a moment'),
    (({**HEAD, "vcpus": 1}, ROWS[0]), 1, 1, "vCPU 1 among them"),
    (({**HEAD, "vcpus": 1 << 40}, ROWS[0]), 1, 1, "allowed: up to 4096"),
    (({**HEAD, "ram": 1 << 60}, ROWS[0]), 1, 1, "bytes of memory"),
    (({**HEAD, "profile": "xen-v4"}, ROWS[0]), 1, 1, "profile 'xen-v4'"),
    (({**HEAD, "profile": []}, ROWS[0]), 1, 1, "profile '[]'"),
    (({**HEAD, "cap": "0x1"}, ROWS[0]), 1, 1, "not a number"),
    (({**HEAD, "made": {"kernel": 7}}, ROWS[0]), 1, 1, "not a text"),
    (({**HEAD, "made": []}, ROWS[0]), 1, 1, "made that is not an object"),
    (({**HEAD, "unit": -1}, ROWS[0]), 1, 1, "not a number"),
])
def test_what_cannot_be_used_is_refused_with_its_place(rows, line, column, found):
    with pytest.raises(RecordingError) as refused:
        recording.parse(text(*rows), "r")
    assert (refused.value.line, refused.value.column) == (line, column)
    assert str(refused.value).startswith(f"r:{line}:{column}: ") and found in str(refused.value)


def test_a_torn_file_is_refused_at_its_end():
    whole = text(*ROWS)
    with pytest.raises(RecordingError, match=rf"r:{len(ROWS)}:\d+: the last line is not ended"):
        recording.parse(whole[:-1], "r")


def test_a_torn_archive_and_one_without_end_are_refused(tmp_path, monkeypatch):
    place = tmp_path / "r.gz"
    place.write_bytes(gzip.compress(text(*ROWS).encode())[:-20])
    with pytest.raises(RecordingError, match="cannot be read"):
        recording.load(place)
    monkeypatch.setattr(recording, "MAX_BYTES", 1000)
    place.write_bytes(gzip.compress(b"[" * 100_000))
    with pytest.raises(RecordingError, match="found more than 1000 bytes"):
        recording.load(place)


@pytest.mark.parametrize("name, limit, rows", [("MAX_LINES", 3, ROWS), ("MAX_LINE", 50, ROWS),
                                               ("MOST_DUMPS", 0, ({}, {"dump": "a", "text": ""}))])
def test_sizes_are_bounded(monkeypatch, name, limit, rows):
    monkeypatch.setattr(recording, name, limit)
    with pytest.raises(RecordingError, match=r"no more (is|are) allowed|version"):
        recording.parse(text(*rows))


@pytest.mark.parametrize("content, answer", [
    (text(*ROWS), True), (text(*ROWS, head=HEAD), True), ('{ "vsim-recording": 1 }\n', True),
    (json.dumps({"cap": "0x1", "ecap": "0x2", "ram": 1}) + "\n", False), ("", False), ("poem", False)])
def test_it_is_told_from_recorded_cases_by_how_it_begins(tmp_path, content, answer):
    plain, packed = tmp_path / "a", tmp_path / "b"
    plain.write_text(content)
    packed.write_bytes(gzip.compress(content.encode()))
    assert recording.is_recording(plain) is recording.is_recording(packed) is answer


def test_what_is_not_there_is_no_recording(tmp_path):
    assert not recording.is_recording(tmp_path / "none")


def test_a_pipe_is_not_looked_into():
    out, into = os.pipe()
    os.write(into, text(*ROWS, head=HEAD).encode())
    os.close(into)
    assert not recording.has_head(f"/dev/fd/{out}") and not recording.is_recording(f"/dev/fd/{out}")
    with open(out) as left:
        assert left.read() == text(*ROWS, head=HEAD)
