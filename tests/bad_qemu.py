"""A QEMU that misbehaves, as a program: `python bad_qemu.py WAY ARGUMENTS OF QEMU`."""

import os
import socket
import subprocess
import sys
import time


def main(way: str, words: list[str]) -> None:
    if "--version" in words:
        number = {"old": "5.2.0 (an old one)", "markup": "10.0.0 (<img src=x onerror=alert(1)>)"}.get(way, "10.0.0")
        while way == "endless-version":
            print("x" * 4096)
        print(f"QEMU emulator version {number}", flush=True)
        return
    if way == "not-there":
        sys.exit("a word on why, <b>in bold</b>\n")
    if way == "no-start":
        time.sleep(3600)
    if way == "child":
        subprocess.Popen(["sleep", "3600"])
    door = socket.socket(socket.AF_UNIX)
    door.connect(next(word for word in words if word.startswith("unix:"))[5:])
    serve(way, door)


def serve(way: str, door: socket.socket) -> None:
    """Answer orders; the bad ways begin at the first write to the unit's global command register."""
    with door.makefile("rwb") as talk:
        for line in talk:
            order = line.decode().split()
            if order[0] == "writel" and order[1] == "0xfed90018":
                misbehave(way, talk)
                talk.flush()
            if way in ("refuses", "bytes") and order[1] == "0xfed90018":
                continue
            value = {"0xfed90008": " 0xd2008c222f0606", "0xfed90010": " 0xf00f5a"}.get(order[1], " 0x0")
            talk.write(b"OK" + (value.encode() if order[0].startswith(("read", "in")) else b"") + b"\n")
            talk.flush()


def misbehave(way: str, talk) -> None:
    if way == "silent":
        time.sleep(3600)
    if way == "abort":
        print("qemu: a word on what failed", file=sys.stderr, flush=True)
        os.abort()
    while way == "flood-traces":
        os.write(2, b"vtd_ir_remap_msi_req addr 0x0 data 0x0\n" * 1000)
    while way == "flood-answers":
        talk.write(b"OK 0x0\n" * 1000)
    if way == "refuses":
        talk.write(b"FAIL <b>no</b>\n")
    if way == "bytes":
        os.write(2, bytes(range(256)) * 4 + b"\nvtd_frr_new index 99999999999999 high 0xzz low\n")
        talk.write(b"\xff\x00\x1b[31m\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
