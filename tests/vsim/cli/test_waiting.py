"""Waiting for a command: progress on a terminal, and Ctrl-C that keeps what is known."""

import io
import os
import signal
import sys
import threading

import pytest

from vsim.cli import waiting
from vsim.cli.waiting import CtrlC, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_shown_on_a_terminal_with_the_time_left_and_gone_at_the_end(monkeypatch):
    terminal, clock = Terminal(), iter(range(100))
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(waiting.time, "monotonic", lambda: next(clock))
    show = progress("interrupts")
    for done in (1, 2, 3):
        show(done, 3)
    assert terminal.getvalue() == ("\r1 of 3 interrupts, some 2 s left\x1b[K\r2 of 3 interrupts, some 1 s left\x1b[K"
                                   "\r\x1b[K")


def test_what_was_done_before_does_not_make_it_look_faster(monkeypatch):
    terminal, clock = Terminal(), iter((0, 10))
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(waiting.time, "monotonic", lambda: next(clock))
    progress("cells", begun=90)(91, 100)
    assert "91 of 100 cells, some 90 s left" in terminal.getvalue()


def test_lines_do_not_come_faster_than_one_can_read(monkeypatch):
    terminal, clock = Terminal(), iter(n / 100 for n in range(100))
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(waiting.time, "monotonic", lambda: next(clock))
    show = progress("cells")
    for done in range(1, 50):
        show(done, 100)
    assert terminal.getvalue().count("\r") == 2


def test_without_a_terminal_there_is_none(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert progress("cells") is None


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_is_asked_for_between_two_parts():
    with CtrlC() as keys:
        assert not keys.wanted()
        press()
        assert keys.wanted()


def test_before_anybody_looks_and_the_second_time_it_ends_everything():
    with pytest.raises(KeyboardInterrupt), CtrlC():
        press()
    with pytest.raises(KeyboardInterrupt), CtrlC() as keys:
        keys.wanted()
        press()
        press()


def test_afterwards_it_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with CtrlC():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_another_thread_changes_nothing():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with CtrlC() as keys:
            seen.append((signal.getsignal(signal.SIGINT), keys.wanted()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, False)]
