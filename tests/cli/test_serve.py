"""`guestprefs serve`: the demo, a second start, refusing an old schema, stopping in good order, leaving nothing
behind."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pysqlite3.dbapi2 as sqlite
import pytest

from tests.cli.served import Served, bearer, guestprefs

SETPOINT = "climate.temperature.occupied"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("demo"), "--demo", "--guests", "12") as server:
        yield server


def preferences(server: Served, guest: str, token: str, **query: str) -> httpx2.Response:
    return httpx2.get(f"{server.url}/v1/guests/{guest}/preferences", params=query, headers=bearer(token))


def test_demo_file_names_everything_and_is_private(served: Served) -> None:
    demo = served.demo()
    assert set(demo) == {"base_url", "property", "guests", "tokens"}
    assert demo["base_url"] == served.url
    assert len(demo["guests"]) == len(set(demo["guests"])) == 12
    assert set(demo["tokens"]) == {"guest", "staff", "device", "kiosk", "service", "operator"}
    assert {"front_desk", "housekeeping"} <= set(demo["tokens"]["staff"])
    assert {"thermostat", "tv", "lights"} <= set(demo["tokens"]["device"])
    assert stat.S_IMODE((served.data / "demo.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((served.data / "keys.json").stat().st_mode) == 0o600


def test_the_first_guest_is_served_to_every_surface_of_the_hotel(served: Served) -> None:
    demo = served.demo()
    first, tokens = demo["guests"][0], demo["tokens"]
    everyone = {"kiosk": tokens["kiosk"], **tokens["staff"], **tokens["device"]}
    statuses = {
        surface: preferences(served, first, token, property=demo["property"]).status_code
        for surface, token in everyone.items()
    }
    assert statuses == dict.fromkeys(everyone, 200)


def test_a_thermostat_reads_a_setpoint_at_once(served: Served) -> None:
    demo = served.demo()
    answer = preferences(served, demo["guests"][0], demo["tokens"]["device"]["thermostat"], property=demo["property"])
    assert SETPOINT in answer.json()["preferences"]
    assert "tv.volume_default" not in answer.json()["preferences"]


def test_service_and_operator_tokens_reach_what_they_are_for(served: Served) -> None:
    demo = served.demo()
    assert preferences(served, demo["guests"][5], demo["tokens"]["service"]).status_code == 200
    hotels = httpx2.get(f"{served.url}/v1/properties", headers=bearer(demo["tokens"]["operator"]))
    assert demo["property"] in {hotel["id"] for hotel in hotels.json()["items"]}


def test_a_preference_is_stated_and_read_back(served: Served) -> None:
    demo = served.demo()
    guest, token = demo["guests"][0], demo["tokens"]["guest"]
    url = f"{served.url}/v1/guests/{guest}/preferences"
    stated = httpx2.patch(url, json={SETPOINT: {"value": 68, "unit": "[degF]"}}, headers=bearer(token))
    assert stated.status_code == 200, stated.text
    read = preferences(served, guest, token, property=demo["property"]).json()["preferences"][SETPOINT]
    assert read["value"] == 20.0
    assert read["entered"] == {"value": 68, "unit": "[degF]"}


def test_the_banner_says_where_and_holds_no_traceback(served: Served) -> None:
    deadline = time.monotonic() + 10
    while "Stop with Ctrl-C" not in served.output() and time.monotonic() < deadline:
        time.sleep(0.05)
    words = served.output()
    assert f"Serving on {served.url}" in words
    assert f"{served.url}/docs" in words
    assert served.demo()["tokens"]["guest"] in words
    assert "Traceback" not in words


def test_a_second_start_keeps_what_was_stated(tmp_path: Path) -> None:
    with Served(tmp_path, "--demo", "--guests", "6") as first:
        demo = first.demo()
        url = f"{first.url}/v1/guests/{demo['guests'][0]}/preferences"
        stated = httpx2.patch(url, json={"tv.volume_default": 8}, headers=bearer(demo["tokens"]["guest"]))
        assert stated.status_code == 200, stated.text
        version = stated.json()["version"]
        assert first.terminate() == 0
    with Served(tmp_path, "--demo", "--guests", "6") as again:
        renewed = again.demo()
        assert renewed["guests"] == demo["guests"]
        assert renewed["tokens"]["guest"] != demo["tokens"]["guest"]
        answer = preferences(again, demo["guests"][0], demo["tokens"]["guest"]).json()
        assert answer["preferences"]["tv.volume_default"]["value"] == 8
        assert answer["version"] == version


def test_a_first_start_says_what_it_made_and_ctrl_c_ends_it_without_waiting(tmp_path: Path) -> None:
    with Served(tmp_path, environ={"DRAIN_DELAY": "300"}) as server:
        words = server.output()
        assert "Made the data folder" in words
        assert "Made a signing key" in words
        assert "Made the tables" in words
        assert not (server.data / "demo.json").exists()
        assert server.process is not None
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0


def test_sigterm_drains_every_worker_then_ends_well(tmp_path: Path) -> None:
    with Served(tmp_path, "--workers", "2", environ={"DRAIN_DELAY": "8"}) as server:
        workers = server.workers()
        assert len(workers) == 2
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        while server.status("/readyz") != 503 and time.monotonic() < deadline:
            time.sleep(0.02)
        # The kernel deals connections out to both workers: were one of them still ready, some of these would be 200.
        # What is asked meanwhile is still answered.
        assert {server.status("/readyz") for _ in range(12)} == {503}
        assert {server.status("/livez") for _ in range(12)} == {200}
        assert server.process.wait(30) == 0
        assert server.status("/livez") is None
        assert [worker for worker in workers if alive(worker)] == []


def test_killing_the_supervisor_leaves_no_worker(tmp_path: Path) -> None:
    with Served(tmp_path, "--workers", "2") as server:
        family = psutil.Process(server.pid).children(recursive=True)
        assert len(server.workers()) == 2
        assert server.process is not None
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
        psutil.wait_procs(family, timeout=10)
        assert [process for process in family if alive(process)] == []
        assert server.status("/livez") is None


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with Served(tmp_path) as server:
        (worker,) = server.workers()
        worker.kill()
        deadline = time.monotonic() + 30
        while {p.pid for p in server.workers()} <= {worker.pid} and time.monotonic() < deadline:
            time.sleep(0.05)
        server.wait_until_ready()
        assert server.terminate() == 0


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux knows batch scheduling")
def test_threads_of_a_worker_do_not_interrupt_each_other(served: Served) -> None:
    assert served.status("/readyz") == 200
    workers = [p for p in psutil.Process(served.pid).children(recursive=True) if len(p.threads()) > 2]
    policies = {os.sched_getscheduler(thread.id) for worker in workers for thread in worker.threads()}

    assert workers and policies == {os.SCHED_BATCH}


def test_no_collection_looks_through_what_a_worker_loaded() -> None:
    """A full one would stop every request for as long; what is made later is looked through as ever."""
    asked = (
        "import gc, os; from api.cli.supervisor import load_worker; "
        "load_worker('api.app:create_app', os.getppid(), 'info'); "
        "print(gc.get_freeze_count(), len(gc.get_objects()), gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    frozen, others, goes_on = done.stdout.split()
    assert int(frozen) > 100_000 > 1000 > int(others)
    assert goes_on == "True"


def alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_an_empty_postgresql_is_refused_until_it_is_migrated(tmp_path: Path, postgres_url: str) -> None:
    environ = {"DATABASE_URL": postgres_url}
    done = guestprefs(tmp_path, "serve", "--port", "0", environ=environ)
    assert done.returncode == 1
    assert "guestprefs migrate" in done.stderr
    assert guestprefs(tmp_path, "migrate", environ=environ).returncode == 0
    with Served(tmp_path, environ=environ) as server:
        assert server.status("/readyz") == 200


@pytest.mark.parametrize(
    "make_older", ["UPDATE alembic_version SET version_num = '0000'", "DELETE FROM alembic_version"]
)
def test_an_old_schema_is_refused_with_the_command_to_run(tmp_path: Path, make_older: str) -> None:
    assert guestprefs(tmp_path, "migrate").returncode == 0
    connection = sqlite.connect(str(tmp_path / "data" / "guestprefs.db"))
    connection.execute(make_older)
    connection.commit()
    connection.close()
    before = (tmp_path / "data" / "guestprefs.db").read_bytes()
    for words in (("serve", "--port", "0"), ("serve", "--demo", "--port", "0"), ("seed",), ("doctor",)):
        done = guestprefs(tmp_path, *words)
        assert done.returncode == 1, words
        assert "is older than this program. Run: guestprefs migrate" in done.stderr + done.stdout, words
    assert (tmp_path / "data" / "guestprefs.db").read_bytes() == before


def test_a_taken_port_is_said_in_a_sentence(served: Served, tmp_path: Path) -> None:
    done = guestprefs(tmp_path, "serve", "--port", str(served.port))
    assert done.returncode == 1
    assert f"Port {served.port}" in done.stderr
    assert not (tmp_path / "data").exists()
