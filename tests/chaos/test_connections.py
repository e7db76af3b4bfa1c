"""Connections that are open and silent, as those of sleeping devices, keep nobody else out."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.served import Served

# Each starts servers of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

IDLE = 1_500  # the server's own default would take 1,024 and leave the next one waiting
FILES = 4_096


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert before[1] == resource.RLIM_INFINITY or before[1] >= FILES, "this machine allows too few files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], FILES), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_idle_connections_keep_nobody_out(tmp_path: Path, many_files: None) -> None:
    with Served(tmp_path, "--workers", "1") as server, ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        assert [server.status(path) for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 200]
