"""What the image promises, tried without an engine: with a root that cannot be written to, and no account but its own,
the service starts, makes its key and its tables in the data folder, and answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.cli.served import Served, bearer

CONFINED = ["unshare", "--map-root-user", "--mount", "sh", "-euc"]
# Everything but the data folder is read-only from here on; what was made before is not seen to change.
SEAL = 'mount --bind "$0" "$0"; mount -o remount,bind,ro /; ! touch "$0/../written" 2>/dev/null; exec "$@"'


def can_confine(folder: Path) -> bool:
    done = subprocess.run([*CONFINED, SEAL, str(folder), "true"], capture_output=True, timeout=30, check=False)
    return done.returncode == 0


def test_the_service_writes_nothing_outside_its_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    if not can_confine(data):
        pytest.skip("this machine lets nobody mount in a name space of his own")
    launch = [*CONFINED, SEAL, str(data), sys.executable, "-m", "api.cli.main", "serve", "--demo", "--guests", "6"]
    with Served(tmp_path, launch=launch, environ={"PYTHONDONTWRITEBYTECODE": "1"}) as server:
        demo = server.demo()
        guest, token = demo["guests"][0], demo["tokens"]["guest"]
        url = f"{server.url}/v1/guests/{guest}/preferences"
        assert httpx2.patch(url, json={"tv.volume_default": 8}, headers=bearer(token)).status_code == 200
        assert httpx2.get(url, headers=bearer(token)).json()["preferences"]["tv.volume_default"]["value"] == 8
        assert server.terminate() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "serve.log"]
    assert {"keys.json", "guestprefs.db"} <= {path.name for path in data.iterdir()}
