"""What workers' allocators are told, and where it cannot be promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.cli import running, wiping
from api.cli.console import CommandFault
from prefs.settings import Settings


def test_what_an_operator_tells_the_allocators_stays_and_ours_is_the_last_word() -> None:
    around = {"GLIBC_TUNABLES": "glibc.malloc.perturb=0", "_RJEM_MALLOC_CONF": "narenas:2", "PYTHONMALLOC": "debug"}
    assert wiping.environment(around) == {
        "PYTHONMALLOC": "malloc",
        "GLIBC_TUNABLES": "glibc.malloc.perturb=0:glibc.malloc.perturb=165:glibc.malloc.tcache_count=0",
        "_RJEM_MALLOC_CONF": "narenas:2,junk:free",
    }
    assert wiping.environment({}) == wiping.environment({"GLIBC_TUNABLES": ""})


@pytest.mark.parametrize("library", ["musl", ""])
def test_where_the_library_cannot_it_is_not_promised(library: str) -> None:
    with pytest.raises(CommandFault, match="GUESTPREFS_WIPE_FREED is on, and works with glibc on Linux only"):
        wiping.refuse_elsewhere(library)


def test_serve_refuses_before_it_touches_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiping.platform, "libc_ver", lambda: ("", ""))
    settings = Settings(data=tmp_path / "data", port=0, wipe_freed=True)
    with pytest.raises(CommandFault, match="this system"):
        running.run(settings)
    assert not settings.data.exists()
