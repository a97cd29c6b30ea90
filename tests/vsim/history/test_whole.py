"""A file is written whole or not at all."""

import os

import pytest

from vsim.history import session, whole
from vsim.history.log import History
from vsim.state.arrays import Machine
from vsim.state.profile import profile


def failing(*_):
    raise OSError(28, "No space left on device")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["write", "fsync", "replace"])
def test_what_fails_half_way_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch, name):
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")
    if name == "write":
        monkeypatch.setattr(whole.Path, "write_bytes", failing)
    else:
        monkeypatch.setattr(whole.os, name, failing)
    with pytest.raises(OSError, match="No space left") as error:
        whole.write(target, b"new")
    monkeypatch.undo()
    assert (target.read_bytes(), names(tmp_path), error.value.filename) == (b"old", ["a.txt"], str(target))


def test_a_good_session_outlives_a_full_disk(tmp_path, monkeypatch):
    history = History(Machine(profile("spec"), 1, 1 << 20))
    place = tmp_path / "a.session"
    history.save(place)
    monkeypatch.setattr(whole.os, "fsync", failing)
    with pytest.raises(OSError, match="No space left"):
        history.save(place)
    assert session.load(place).machine == Machine(profile("spec"), 1, 1 << 20)


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, MemoryError, ValueError])
def test_a_writer_that_is_stopped_leaves_the_old_file(tmp_path, stopped):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with pytest.raises(stopped), whole.beside(target) as made:
        made.write_bytes(b"half")
        raise stopped
    assert (target.read_bytes(), names(tmp_path)) == (b"old", ["a"])


def test_files_that_belong_together_come_together(tmp_path, monkeypatch):
    files = {tmp_path / name: name.encode() for name in ("a", "b", "c")}
    whole.write_all(files)
    assert {path: path.read_bytes() for path in files} == files
    writes = []
    kept = whole.Path.write_bytes
    monkeypatch.setattr(whole.Path, "write_bytes",
                        lambda path, data: writes.append(path) or (failing() if len(writes) == 3 else kept(path, data)))
    with pytest.raises(OSError, match="No space left"):
        whole.write_all(dict.fromkeys(files, b"new"))
    assert {path: path.read_bytes() for path in files} == files and names(tmp_path) == ["a", "b", "c"]


def test_a_link_stays_a_link_and_a_file_keeps_its_mode(tmp_path):
    target, link = tmp_path / "a", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    whole.write(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new" and target.stat().st_mode & 0o777 == 0o640


def test_what_is_no_plain_file_is_written_to_as_it_is():
    whole.try_out("/dev/null")
    whole.write("/dev/null", b"gone")
    assert not os.path.isfile("/dev/null")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_an_error_of_what_is_no_plain_file_names_it():
    with pytest.raises(OSError, match="No space left") as error:
        whole.write("/dev/full", b"text")
    assert error.value.filename == "/dev/full"


@pytest.mark.parametrize("name", ["missing/a", ".", "x" * 300])
def test_a_place_that_will_not_do_is_known_before_the_work(tmp_path, name):
    place = tmp_path / name
    with pytest.raises(OSError) as error:
        whole.try_out(place)
    assert error.value.filename == str(place) and names(tmp_path) == []


def test_trying_out_changes_nothing(tmp_path):
    place = tmp_path / "a"
    whole.try_out(place)
    assert names(tmp_path) == []
    place.write_bytes(b"old")
    whole.try_out(place)
    assert place.read_bytes() == b"old" and names(tmp_path) == ["a"]


def test_a_folder_that_is_tried_is_gone_again_and_one_that_was_there_stays(tmp_path):
    for place in (tmp_path, tmp_path / "new"):
        whole.try_folder(place)
    assert list(tmp_path.iterdir()) == []
