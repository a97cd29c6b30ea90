"""The guest's parts: which kernel, which modules in which order, and an archive that a kernel can read."""

import gzip
import lzma
import shutil

import pytest

from vsim.replay.initramfs import MissingPart, find_busybox, find_kernel, modules_of, pack
from vsim.replay.taps import NoPlugin, compiled


def test_the_newest_kernel_is_taken_and_its_modules_with_it(tmp_path):
    for name in ("vmlinuz-6.9.1-x", "vmlinuz-6.12.3-x", "vmlinuz-6.2"):
        (tmp_path / "boot").mkdir(exist_ok=True)
        (tmp_path / "boot" / name).write_bytes(b"")
    (tmp_path / "lib" / "modules" / "6.12.3-x").mkdir(parents=True)
    found = find_kernel(tmp_path)
    assert (found.version, found.modules) == ("6.12.3-x", tmp_path / "lib" / "modules" / "6.12.3-x")
    assert find_kernel(tmp_path / "boot" / "vmlinuz-6.2").modules is None


def test_modules_come_behind_what_they_need_however_packed(tmp_path):
    def code(*needs):
        return b"\x7fELF\0depends=" + ",".join(needs).encode() + b"\0name=x\0"
    (tmp_path / "nvme.ko").write_bytes(code("nvme-core"))
    (tmp_path / "nvme-core.ko.xz").write_bytes(lzma.compress(code("nvme-auth")))
    (tmp_path / "nvme-auth.ko.gz").write_bytes(gzip.compress(code()))
    (tmp_path / "other.ko").write_bytes(code())
    assert list(modules_of(tmp_path)) == ["nvme_auth", "nvme_core", "nvme"]
    assert modules_of(None) == {}
    (tmp_path / "nvme-core.ko.xz").rename(tmp_path / "nvme-core.ko.zst")
    with pytest.raises(MissingPart, match=r"allowed: \.ko, \.ko\.xz, \.ko\.gz"):
        modules_of(tmp_path)


def test_a_busybox_with_shared_libraries_is_refused(tmp_path):
    (tmp_path / "busybox").write_bytes(b"\x7fELF /lib64/ld-linux-x86-64.so.2")
    with pytest.raises(MissingPart, match="install busybox-static"):
        find_busybox(tmp_path / "busybox")


def test_the_archive_holds_every_file_at_its_place(tmp_path):
    (tmp_path / "busybox").write_bytes(b"static")
    raw, found, at = gzip.decompress(pack(tmp_path / "busybox", {"a": b"12345"})), {}, 0
    while True:
        size, length = int(raw[at + 54:at + 62], 16), int(raw[at + 94:at + 102], 16)
        name = raw[at + 110:at + 110 + length - 1].decode()
        start = at + (110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            break
        found[name] = raw[start:start + size]
        at = start + (size + 3) // 4 * 4
    assert list(found) == ["bin", "mod", "bin/busybox", "init", "modules", "mod/a.ko"]
    assert (found["mod/a.ko"], found["modules"], found["bin/busybox"]) == (b"12345", b"a.ko\n", b"static")
    assert found["init"].startswith(b"#!/bin/busybox sh\n")


def test_an_older_qemu_gets_no_plugin():
    with pytest.raises(NoPlugin, match=r"QEMU 7\.2\.0 has no plugin interface 4"):
        compiled((7, 2, 0))


def test_without_a_compiler_there_is_no_plugin(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NoPlugin, match="no C compiler"):
        compiled((10, 0), tmp_path)
    monkeypatch.setenv("CC", "false")
    with pytest.raises(NoPlugin, match="false"):
        compiled((10, 0), tmp_path)


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler (cc)")
def test_the_plugin_is_compiled_once(tmp_path, monkeypatch):
    place = compiled((10, 0, 2), tmp_path)
    assert place.read_bytes().startswith(b"\x7fELF")
    monkeypatch.setenv("CC", "no-such-compiler")
    assert compiled((10, 0, 2), tmp_path) == place and list(tmp_path.iterdir()) == [place]
