"""The real service in a process of its own, over SQLite, and guests in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.place import Place, running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A server process over SQLite, shared by the tests of this module, who each make guests of their own."""
    with running(tmp_path_factory.mktemp("service")) as place:
        yield place


@pytest.fixture
def guest(place: Place) -> str:
    return place.new_guest()
