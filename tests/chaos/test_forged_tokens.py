"""P25 and P26 at their numbers, over HTTP: each forgery is refused at once, and a thousand a second of tokens signed
with keys that nobody knows make nobody ask the provider again and again, and nobody else wait."""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection

import pytest
from joserfc.jwk import ECKey

from api.issuers import FORCED_EVERY_SECONDS
from loadtests.bench import wire
from prefs.bootstrap import SystemClock
from tests.api.keyserver import Canary, KeyServer, key_server
from tests.api.test_forgeries import CASES, PATH, Forger, segment
from tests.chaos.grounds import Grounds
from tests.chaos.openloop import Ask, OpenLoop, failed, percentile, statuses

pytestmark = [pytest.mark.prove, pytest.mark.alone, pytest.mark.timeout(590)]

CORES = sorted(os.sched_getaffinity(0))
TIMES = 20
REFUSED_S = 0.005  # P25
FLOOD, BESIDE = 1000.0, 200.0  # a second; P26
LASTS_S = 20.0
LATER_AT_MOST = 2.0
HUNG_UP = 0
TOO_LARGE = {"megabyte"}  # refused by the HTTP server while it is still being sent: what that takes is the sender's


@dataclass
class Gate:
    """A service that trusts a provider beside its own keys, and a place where nobody should ever connect."""

    grounds: Grounds
    provider: KeyServer
    canary: Canary = field(default_factory=Canary)

    def forger(self) -> Forger:
        now = int(SystemClock().now().timestamp())
        return Forger(self.provider.keys[0], self.provider.issuer, self.canary.url, now)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with key_server(ECKey.generate_key("P-256", {"kid": "es", "use": "sig"})) as provider:
        environ = {"GUESTPREFS_OIDC_ISSUERS": provider.issuer, "GUESTPREFS_OIDC_JWKS_URLS": provider.jwks_url}
        signer = (provider.issuer, provider.keys[0])
        with Grounds(tmp_path_factory.mktemp("gate"), guests=32, environ=environ, signer=signer) as grounds:
            gate = Gate(grounds, provider)
            grounds.wait_for_tier("local")
            grounds.pin(min(CORES), max(CORES))
            yield gate
            gate.canary.close()


def asked(connection: HTTPConnection, token: str) -> int:
    try:
        connection.request("GET", PATH, headers={"Authorization": f"Bearer {token}".encode("latin-1")})
        answer = connection.getresponse()
        answer.read()
    except OSError:  # while the token was still being sent
        connection.close()
        return HUNG_UP
    return answer.status


def test_p25_each_forgery_is_refused_at_once(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    connection, took = HTTPConnection("127.0.0.1", gate.grounds.server.port, timeout=10), dict[str, float]()
    forger = gate.forger()
    assert asked(connection, forger.token({"sign": "own"})) == 200
    for case in CASES:
        token, seconds = forger.token(case), list[float]()
        for _ in range(TIMES):
            began = time.perf_counter()
            status = asked(connection, token)
            seconds.append(time.perf_counter() - began)
            large = case.get("after") in TOO_LARGE
            assert status == 401 or (large and status in (HUNG_UP, 431)), (case["name"], status)
        took[case["name"]] = statistics.median(seconds)
    connection.close()
    sent = {name: took.pop(name) for name in [case["name"] for case in CASES if case.get("after") in TOO_LARGE]}
    worst = max(took, key=lambda name: took[name])
    with capsys.disabled():
        middle, most = 1000 * statistics.median(took.values()), 1000 * took[worst]
        told = f"median {middle:.2f} ms, slowest {most:.2f} ms: {worst}; too large: {sent}"
        print(f"{len(CASES)} forgeries refused, {told}")  # noqa: T201 - the figures of this row
    assert gate.canary.connections() == 0 and set(gate.provider.asked) <= {"/keys"}
    assert {name: seconds for name, seconds in took.items() if seconds >= REFUSED_S} == {}


def unknown_keys(gate: Gate, count: int) -> list[Ask]:
    """Reads with tokens that differ in nothing but the key that is said to have signed them."""
    chance, (header, claims) = random.Random(26), gate.forger().good()
    now, path = int(SystemClock().now().timestamp()), gate.grounds.path(gate.grounds.guests[0])
    payload = segment(claims | {"iat": now, "exp": now + 3600})
    asks = []
    for _ in range(count):
        named = segment(header | {"kid": f"{chance.getrandbits(64):x}"})
        token = f"{named}.{payload}.{segment(chance.randbytes(64))}"
        asks.append(Ask("forged", wire.request(path, token=token)))
    return asks


def test_p26_unknown_keys_cost_others_little(gate: Gate, capsys: pytest.CaptureFixture[str]) -> None:
    forged, port, ratios = unknown_keys(gate, int(FLOOD * LASTS_S)), gate.grounds.server.port, []
    reads, core = gate.grounds.reads(), max(CORES)
    for _ in range(3):
        with OpenLoop(port, reads, BESIDE, core=core) as calm:
            time.sleep(LASTS_S)
        asked = len(gate.provider.asked)
        with OpenLoop(port, forged, FLOOD, core=core) as flood:
            with OpenLoop(port, reads, BESIDE, core=core) as beside:
                time.sleep(LASTS_S)
            lasted = flood.now()
        asked = len(gate.provider.asked) - asked
        before, during = percentile(calm.replies, 0.99), percentile(beside.replies, 0.99)
        ratios.append(during / before)
        with capsys.disabled():
            print(  # noqa: T201 - the figures of this row
                f"{len(flood.replies) / lasted:.0f} tokens of unknown keys a second, {asked} looks at the provider in"
                f" {lasted:.0f} s, p99 of valid reads {1000 * before:.2f} -> {1000 * during:.2f} ms"
                f" ({ratios[-1]:.2f}x), of refusals {1000 * percentile(flood.replies, 0.99):.2f} ms"
            )
        assert statuses(flood.replies) == {401: len(flood.replies)}, statuses(flood.replies)
        assert failed([*calm.replies, *beside.replies]) == []
        assert 1 <= asked <= 1 + lasted / FORCED_EVERY_SECONDS
    assert min(ratios) <= LATER_AT_MOST
