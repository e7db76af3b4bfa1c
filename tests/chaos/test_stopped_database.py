"""A database that is gone or frozen: a clear 503 in bounded time, nothing kept of it, and service as soon as it
is back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.chaos.load import KEY, Trial
from tests.cli.served import bearer
from tests.servers import PostgresServer

# The promise is an answer within a second, judged at length by `make prove`. Here, on a machine that may be running
# everything else beside this, a client that gives up after ten would see a hang as an error.
PATIENCE_S = 10.0
PROMISE_S = 1.0


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def check_503(answer: httpx2.Response) -> None:
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (503, "STORE_UNAVAILABLE")
    assert "postgres" not in problem["detail"].lower() or "127.0.0.1" not in problem["detail"]


@pytest.mark.parametrize("fault", ["stopped", "killed", "frozen"])
def test_every_call_is_told_503_and_service_comes_back(tmp_path: Path, postgres: PostgresServer, fault: str) -> None:
    trial = Trial(tmp_path, postgres.create_database("chaos"), workers=1)
    server = trial.start()
    try:
        (guest,) = trial.make_guests(1)
        path = f"/v1/guests/{guest}/preferences"
        with httpx2.Client(base_url=server.url, timeout=PATIENCE_S, headers=bearer(trial.token_of(guest))) as client:
            before = client.patch(path, json={KEY: 10})
            assert before.status_code == 200
            {"stopped": postgres.stop, "killed": postgres.kill9, "frozen": postgres.freeze}[fault]()
            for _ in range(3):
                check_503(client.get(path))
                check_503(client.patch(path, json={KEY: 77}))
            check_503(client.get("/readyz"))
            assert client.get("/livez").status_code == 200
            if fault == "frozen":
                postgres.thaw()
            else:
                postgres.start()
            server.wait_until_ready()
            after = client.get(path)
            assert after.status_code == 200
            assert after.json()["version"] == before.json()["version"]
            assert after.json()["preferences"][KEY]["value"] == 10
            assert client.patch(path, json={KEY: 20}).json()["version"] == before.json()["version"] + 1
        assert "Traceback" not in server.output()
    finally:
        trial.close()


@pytest.mark.prove
@pytest.mark.parametrize("fault", ["stopped", "killed", "frozen"])
def test_the_503_comes_within_a_second(tmp_path: Path, postgres: PostgresServer, fault: str) -> None:
    trial = Trial(tmp_path, postgres.create_database("chaos"), workers=1)
    server = trial.start()
    try:
        (guest,) = trial.make_guests(1)
        path = f"/v1/guests/{guest}/preferences"
        with httpx2.Client(base_url=server.url, timeout=PATIENCE_S, headers=bearer(trial.token_of(guest))) as client:
            assert client.patch(path, json={KEY: 10}).status_code == 200
            {"stopped": postgres.stop, "killed": postgres.kill9, "frozen": postgres.freeze}[fault]()
            answers = [call(path) for _ in range(10) for call in (client.get, lambda p: client.patch(p, json={KEY: 7}))]
            if fault == "frozen":
                postgres.thaw()
    finally:
        trial.close()
    for answer in answers:
        check_503(answer)

    assert max(answer.elapsed.total_seconds() for answer in answers) < PROMISE_S
