"""P34: words that guests said, and that tell on whoever repeats them, reach no log, no number and no name of a key,
whatever goes wrong, at the most talkative level. P24: no refusal repeats a value that it refuses."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from prefs import telemetry
from prefs.bootstrap import SystemClock, standard_catalogue
from prefs.core import patches
from prefs.core.entries import Scope, ScopeKind
from prefs.core.errors import Fault
from tests.chaos import faulty
from tests.cli.launch import launching
from tests.cli.served import Served, bearer
from tests.servers import PostgresServer, ValkeyServer

# Starts servers of its own; on a machine that does everything else beside this, that takes a while.
pytestmark = pytest.mark.timeout(300)

MARK = "cnry"
FEW, MANY = 300, 10_000
BREAK = "breaks-here"
LAUNCH = launching("tests.chaos.faulty:create_app", "--demo-guests", "6")

# Rows that the database refuses in words that quote them: by a check, as the server tells it, and by a trigger.
TRAPS = (
    f"ALTER TABLE guest ADD CONSTRAINT trap CHECK (display_name NOT LIKE '%{BREAK}%')",
    "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF NEW.id LIKE '%zz%' THEN RAISE EXCEPTION 'cannot keep %', NEW; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER trap BEFORE INSERT ON identifier FOR EACH ROW EXECUTE FUNCTION trap()",
)


@dataclass
class House:
    server: Served
    valkey: ValkeyServer
    http: httpx2.Client
    demo: dict[str, Any]
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))
    statuses: Counter[int] = field(default_factory=Counter)
    repeated: list[str] = field(default_factory=list)

    def canary(self) -> str:
        """A word that stands nowhere else."""
        return f"{MARK}{next(self.numbers):x}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[House]:
    database = postgres_server.create_database()
    environ = {"DATABASE_URL": database, "LOG_LEVEL": "debug", "GUESTPREFS_CALLER_RATE": "0"}
    with ValkeyServer() as valkey:
        server = Served(
            tmp_path_factory.mktemp("canaries"), environ={**environ, "REDIS_URL": valkey.url()}, launch=LAUNCH
        )
        try:
            server.start()
            for trap in TRAPS:
                postgres_server.execute(trap, database.rpartition("/")[2])
            with httpx2.Client(base_url=server.url, timeout=30) as http:
                yield House(server, valkey, http, server.demo())
        finally:
            server.close()
    postgres_server.drop_database(database.rpartition("/")[2])


DEFINITIONS = standard_catalogue().definitions
KEYS = list(DEFINITIONS)


SPECIAL = [key for key, one in DEFINITIONS.items() if one.is_special_as_a_whole or one.special_when is not None]


def wrong_values(word: str) -> list[Any]:
    """Of any kind, each with the word in it; where one is right after all, that is no harm."""
    return [
        word,
        [word],
        [word, word],
        {word: 1},
        {"value": word},
        {"value": [word], "strength": "required"},
        {"value": word, "unit": word},
        {"value": 20, "unit": word},
        {"value": word, "strength": word},
        {"value": word, "context": {"trip": word}},
        {"value": word, "expires_at": word},
        {"value": True, "not": [word]},
        {"value": [{"name": word, "severity": word}]},
        word * 500,
        f"{word}\x00",
    ]


def ask(house: House, chance: random.Random) -> None:
    """One request that holds a word of its own somewhere; what is refused must not say it again."""
    word, demo = house.canary(), house.demo
    guest, tokens = chance.choice(demo["guests"]), demo["tokens"]
    service, own = bearer(tokens["service"]), bearer(tokens["guest"])
    path = f"/v1/guests/{guest}/preferences"
    mine = f"/v1/guests/{demo['guests'][0]}/preferences"
    hurt = f"{word} {BREAK}"
    identifier = {"system": "pms", "id": f"{word}zz"}
    key = chance.choice(SPECIAL if chance.random() < 0.5 else KEYS)
    asks: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", mine, {"json": {key: chance.choice(wrong_values(word))}, "headers": own}),
        ("PATCH", mine, {"json": {key: chance.choice(wrong_values(word))}, "headers": own}),
        ("PATCH", mine, {"json": {key: chance.choice(wrong_values(word))}, "headers": own}),
        ("PATCH", path, {"json": {key: word}, "headers": service}),
        ("PATCH", mine, {"content": f'{{"{key}": "{word}', "headers": own | {"content-type": "application/json"}}),
        ("PATCH", mine, {"json": {key: word}, "headers": own | {"idempotency-key": word}}),
        ("PATCH", mine, {"json": {key: word}, "headers": own | {"if-match": word}}),
        ("POST", "/v1/guests", {"json": {"display_name": word}, "headers": service}),
        ("POST", "/v1/guests", {"json": {"display_name": hurt}, "headers": service}),
        ("POST", "/v1/guests", {"json": {"display_name": word, "identifiers": [identifier]}, "headers": service}),
        ("POST", "/v1/guests", {"json": {"display_name": [word]}, "headers": service}),
        ("GET", "/v1/guests", {"params": {"system": "loyalty", "id": word}, "headers": service}),
        ("GET", f"/v1/guests/{word}/preferences", {"headers": service}),
        ("GET", f"/v1/{word}", {"headers": service}),
        ("GET", path, {"params": {"keys": word}, "headers": service}),
        ("GET", path, {"params": {"at": word}, "headers": service}),
        ("GET", path, {"headers": service | {"accept-language": word, "user-agent": word, "cookie": word}}),
        ("GET", path, {"headers": bearer(word)}),
        ("GET", path, {"headers": bearer(f"{tokens['guest']}{word}")}),
        ("POST", "/v1/preferences/batch", {"json": {"guests": [word], "property": "dallas"}, "headers": service}),
        ("POST", faulty.PATH, {"content": word.encode()}),
    ]
    method, where, rest = chance.choice(asks)
    answer = house.http.request(method, where, **rest)
    house.statuses[answer.status_code] += 1
    valued = method == "PATCH" or where == "/v1/guests" and method == "POST"
    if answer.status_code >= 400 and valued and repeats(answer, word):
        house.repeated.append(f"{method} {key} {answer.status_code}: {answer.text[:300]}")


def repeats(answer: httpx2.Response, word: str) -> bool:
    """Whether a problem says the word, other than as the name of a member that the caller has to find again."""
    problem = answer.json()
    told = [json.dumps({name: held for name, held in problem.items() if name not in ("errors", "detail")})]
    told += [fault["detail"] for fault in problem["errors"]]
    pointers = [fault.get("pointer", "") for fault in problem["errors"]]
    named = "|".join(map(re.escape, sorted(filter(None, pointers), reverse=True)))
    told.append(re.sub(named, "", problem["detail"]) if named else problem["detail"])
    return word in " ".join(told)


def sinks(house: House) -> dict[str, str]:
    """Everything that is told about requests, and everything that the shared cache holds."""
    words = house.valkey.ask(b"KEYS *\r\n")
    names = [line for line in words.split(b"\r\n") if line and line[:1] not in b"*$"]
    held = b"".join(house.valkey.ask(b"DUMP " + name + b"\r\n") for name in names)
    return {
        "log": house.server.output(),
        "metrics": house.http.get("/metrics").text,
        "cache keys": words.decode("latin-1"),
        "cache": held.decode("latin-1"),
    }


def fuzz(house: House, count: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(count):
        ask(house, chance)


def check(house: House) -> None:
    assert house.statuses.keys() >= {200, 201, 401, 404, 422, 500, 503}, house.statuses
    found = sinks(house)
    assert "request failed" in found["log"] and "ExceptionGroup" in found["log"], "nothing was logged at all"
    assert "Task exception was never retrieved" in found["log"]
    assert len(found["cache keys"]) > 100
    for name, told in found.items():
        assert MARK not in told, f"{name}: {[line for line in told.splitlines() if MARK in line][:3]}"
    guests = re.findall(r"gst_[0-9a-f]{8,}", found["log"] + found["metrics"])
    assert [guest for guest in guests if guest in found["metrics"]] == []
    assert house.repeated == []


def test_no_sink_repeats_what_was_said(house: House) -> None:
    fuzz(house, FEW, seed=34)
    check(house)


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_p34_at_its_number(house: House) -> None:
    fuzz(house, MANY, seed=35)
    check(house)


# ---- the same checks see what is planted ----


def line_of(level: str, planted: str) -> str:
    """What a process that logs at this level writes about one failure."""
    program = (
        "import logging, sys\nfrom prefs import telemetry\n"
        f"{planted}\n"
        f"telemetry.configure({level!r})\n"
        "try:\n    raise ValueError('cnry1')\nexcept ValueError:\n    telemetry.logger('ours').exception('failed')\n"
        "logging.getLogger('library').info('cnry2')\n"
        "logging.getLogger('library').warning('first line\\ncnry3')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


@pytest.mark.parametrize(
    "planted, said",
    [
        ("", ()),
        ("telemetry._wordless = lambda trace: trace", ("cnry1",)),
        ("telemetry._first_line = lambda logger, method, event: event", ("cnry3",)),
        ("telemetry.logging.WARNING = 0", ("cnry2",)),
    ],
)
def test_each_safeguard_is_needed(planted: str, said: tuple[str, ...]) -> None:
    told = line_of("debug", planted)
    assert tuple(word for word in ("cnry1", "cnry2", "cnry3") if word in told) == said
    assert telemetry.LINE_MAX < 1000


def test_no_key_repeats_a_value_that_it_refuses() -> None:
    """Every key of the catalogue by every wrong value, without a server."""
    catalogue, now, refused = standard_catalogue(), SystemClock().now(), 0
    for key in KEYS:
        for value in wrong_values(f"{MARK}0"):
            faults: list[Fault] = []
            patches.read(catalogue, {key: value}, Scope(ScopeKind.PROFILE, ""), now, faults)
            assert [fault for fault in faults if MARK in fault.detail] == [], (key, value)
            refused += len(faults)
    assert refused > len(KEYS) * 10
