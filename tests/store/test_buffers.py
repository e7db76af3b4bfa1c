"""What a process has read and let go of is nowhere in its memory once its buffers are overwritten: looked at from
outside, with the allocators that `guestprefs serve` asks for."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import uvloop

from api.cli import wiping
from prefs.store import buffers
from tests.chaos.memory import memory

FAR = buffers.LOOP_BYTES - 10_000  # what is shorter than this leaves it where it is
CHILD = "import sys; from tests.store import test_buffers; test_buffers.read_and_wait(sys.argv[1], overwrite={})"


def read_and_wait(path: str, *, overwrite: bool) -> None:
    """In the child: read it, let go of it, say so; overwrite the buffers when told, and say so; end when told."""

    async def go() -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        while await reader.read(2**20):
            pass
        writer.close()
        for _ in range(2):
            sys.stdout.write("done\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.readline)
            if overwrite:
                await buffers.overwrite()

    uvloop.run(go())


def found_after_reading(folder: Path, *, overwrite: bool) -> list[bool]:
    """Whether the child's memory shows the word after reading, and after its buffers were overwritten or not."""
    word = f"canary{secrets.token_hex(8)}"  # the child must not know it from anywhere else
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path := str(folder / "words"))
        server.listen()
        server.settimeout(30)
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD.format(overwrite), path],
            env={**os.environ, **wiping.environment(os.environ), "PYTHONPATH": os.getcwd()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        with child, server.accept()[0] as line:
            line.sendall(bytes(FAR) + word.encode())
            line.close()
            assert child.stdin and child.stdout
            found = []
            for _ in range(2):
                assert child.stdout.readline() == "done\n"
                found.append(memory(psutil.Process(child.pid), [word]) == [word])
                child.stdin.write("on\n")
    assert child.returncode == 0
    return found


def test_what_was_read_is_gone_once_buffers_are_overwritten(tmp_path: Path) -> None:
    assert found_after_reading(tmp_path, overwrite=True) == [True, False]


def test_without_that_it_stays(tmp_path: Path) -> None:
    assert found_after_reading(tmp_path, overwrite=False) == [True, True]
