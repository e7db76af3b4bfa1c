"""What a process holds in memory, freed or not: what a core file of it would show."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

CHUNK = 2**24
_WRITABLE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw")


def memory(process: psutil.Process, needles: list[str]) -> list[str]:
    """Which needles a process holds in memory it can write."""
    wanted, found = [needle.encode() for needle in needles], set[bytes]()
    maps = Path(f"/proc/{process.pid}/maps").read_text(encoding="ascii", errors="replace").splitlines()
    with Path(f"/proc/{process.pid}/mem").open("rb", buffering=0) as file:
        for line in maps:
            if not (area := _WRITABLE.match(line)):
                continue
            at, end = (int(edge, 16) for edge in area.groups())
            while at < end:
                size = min(CHUNK, end - at)
                try:
                    file.seek(at)
                    held = file.read(size)
                except OSError:
                    break  # gone, or not to be read
                found |= {needle for needle in wanted if needle in held}
                at += size
    return sorted(needle.decode() for needle in found)
