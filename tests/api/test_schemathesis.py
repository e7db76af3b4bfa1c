"""schemathesis over the generated document, against a running server: nothing it thinks of gives a 5xx or an answer
that is not as declared. With a fixed seed, and to prove it with a new one, which is printed so that it can be tried
again.

The catalogue is data, so a body that fits the document may still be wrong for its key: refusals 400, 412 and 422 are
expected of good data beside the usual ones. A 5xx never is.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, StopReason, events, from_schema

from api.auth import load_keys, make_key, save_keys
from api.cli.supervisor import HEAD_BYTES_MAX
from prefs.core.callers import ALL_GUESTS
from prefs.migrations import migrate
from prefs.settings import Settings
from tests.api.front import PROPERTY, Front
from tests.api.samples import World, all_operations, entitled, make_world
from tests.api.served import served

FIXED_SEED = 20261122
EXAMPLES = 16
STATEFUL_EXAMPLES = 12
CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
    "object_level_authorization",
    "ensure_resource_availability",
    "use_after_free",
}
REFUSED_BAD = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422"]
REFUSED_GOOD = ["2xx", "304", "400", "401", "403", "404", "409", "412", "422"]


# What became of a consent and the receipts it left are told of one that was withdrawn, too: that is what they are for.
OUTLIVE = [
    {"include-operation-id": name, "checks": {"use_after_free": {"enabled": False}}}
    for name in ("get_consent", "get_receipt")
]


class WallClock:
    """The server's clock is the machine's, so tokens for it are signed by the same."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - a test of a real server


def configuration(base: str, seed: int, world: World) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "base-url": base,
            "seed": seed,
            "continue-on-failure": True,
            "parameters": {"guest": world.guest, "stay": world.stay, "property": PROPERTY, "follow": "false"},
            "operations": [{"include-operation-id": "erase_guest", "parameters": {"guest": world.leaving}}, *OUTLIVE],
            "generation": {"max-examples": EXAMPLES, "no-shrink": True},
            "phases": {"stateful": {"enabled": True, "generation": {"max-examples": STATEFUL_EXAMPLES}}},
            "checks": {
                "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx"]},
                "negative_data_rejection": {"expected-statuses": REFUSED_BAD},
                "positive_data_acceptance": {"expected-statuses": REFUSED_GOOD},
            },
        }
    )


def explore(
    document: dict[str, Any], tokens: dict[str, str] | None, config: SchemathesisConfig
) -> tuple[Counter[str], list[str], Counter[int], Counter[str]]:
    """Every phase over every operation: how often each check ran, what failed, how often each status came, and how many
    scenarios each phase had. In the stateful one what is deleted is asked for again (`use_after_free`)."""
    schema = schemathesis.openapi.from_dict(document, config=config)

    class Bearer:
        """A token of somebody who may do what the operation does."""

        def get(self, case: schemathesis.Case, context: schemathesis.AuthContext) -> str | None:
            return (tokens or {}).get(str(context.operation.definition.raw["operationId"]))

        def set(self, case: schemathesis.Case, data: str | None, context: schemathesis.AuthContext) -> None:
            if data is not None:
                case.headers["Authorization"] = f"Bearer {data}"

    if tokens is not None:
        schema.auth(refresh_interval=None)(Bearer)  # a kept token would be that of another operation
    ran: Counter[str] = Counter()
    phases: Counter[str] = Counter()
    answers: Counter[int] = Counter()
    failures: list[str] = []
    for event in from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                phases[event.phase.value] += 1
                for case_id, checks in event.recorder.checks.items():
                    ran.update(check.name for check in checks)
                    if is_more_than_is_read(event.recorder.interactions[case_id]):
                        continue
                    failed = [check for check in checks if check.status is Status.FAILURE and check.failure_info]
                    failures += [told(event.recorder, case_id, check) for check in failed]
                answers.update(i.response.status_code for i in event.recorder.interactions.values() if i.response)
            case events.NonFatalError() | events.FatalError():
                failures.append(repr(event))
            case events.EngineFinished():
                assert event.stop_reason is StopReason.COMPLETED
    return ran, failures, answers, phases


def is_more_than_is_read(interaction: Any) -> bool:
    """Refused by the server before the application, which no operation declares: the head fills what it reads."""
    answer, length = interaction.response, len(interaction.request.uri)
    return answer is not None and answer.status_code in (414, 431) and length > HEAD_BYTES_MAX - 1024


def told(recorder: Any, case_id: str, check: Any) -> str:
    failure, interaction = check.failure_info.failure, recorder.interactions[case_id]
    sent = interaction.request
    answer = interaction.response.content[:500] if interaction.response else b""
    return f"{check.name}: {failure.title}: {failure.message[:500]}\n{sent.method} {sent.uri} {sent.body}\n{answer!r}"


@pytest.fixture
async def settings(tmp_path: Path, sqlite_url: str) -> Settings:
    keys = tmp_path / "keys.json"
    keys.write_text(save_keys([make_key()]), encoding="utf-8")
    await migrate(sqlite_url)
    return Settings(data=tmp_path, database_url=sqlite_url, keys=keys)


@asynccontextmanager
async def running(settings: Settings, log: Path) -> AsyncIterator[tuple[str, dict[str, Any], World, dict[str, str]]]:
    """A server with a small world in it: its address, its document, the world, a fitting token by operation."""
    with served(settings, log) as base:
        async with httpx2.AsyncClient(base_url=base) as http:
            document = (await http.get("/openapi.json")).json()
            front = Front(None, http, load_keys(settings.keys)[0], WallClock(), None)
            world = await make_world(front)
        tokens = {one.id: entitled(front, one, world) for one in all_operations(document) if one.takes_token}
        yield base, document, world, tokens


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(FIXED_SEED, id="fixed seed"),
        pytest.param(secrets.randbelow(2**32), id="random seed", marks=pytest.mark.prove),
    ],
)
async def test_nothing_it_thinks_of_breaks_the_service(
    settings: Settings, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(settings, tmp_path / "server.log") as (base, document, world, tokens):
        ran, failures, answers, phases = await asyncio.to_thread(
            explore, document, tokens, configuration(base, seed, world)
        )

    counted = ", ".join(f"{name} {count}" for name, count in sorted(ran.items()))
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(answers.items()))
    with capsys.disabled():
        sys.stdout.write(
            f"\nschemathesis, seed {seed}: answers {statuses}; checks that ran: {counted}; scenarios {dict(phases)}\n"
        )
    assert not failures, f"seed {seed}:\n" + "\n\n".join(failures[:20])
    assert ran.keys() == CHECKS
    assert all(phases[name] for name in ("examples", "coverage", "fuzzing", "stateful")), phases
    assert answers.total() > 500
    assert answers[200] > 100 and not any(status >= 500 for status in answers)


async def test_a_planted_drift_is_found(settings: Settings, tmp_path: Path) -> None:
    async with running(settings, tmp_path / "server.log") as (base, document, world, tokens):
        document["paths"] = {path: document["paths"][path] for path in ("/version", "/livez")}
        document["components"]["schemas"]["Version"]["properties"]["python"] = {"type": "integer"}
        responses = document["paths"]["/livez"]["get"]["responses"]
        responses["201"] = responses.pop("200")
        _, failures, _, _ = await asyncio.to_thread(explore, document, tokens, configuration(base, FIXED_SEED, world))
    found = {failure.partition(":")[0] for failure in failures}
    assert {"response_schema_conformance", "status_code_conformance"} <= found


def peers(path: Path, base: str, world: World, bearers: dict[str, str]) -> SchemathesisConfig:
    """Two identities of which neither may see what the other made; the first does everything."""
    listed = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in bearers.items()
    ]
    path.write_text(json.dumps({"auth": listed}), encoding="utf-8")
    return SchemathesisConfig.from_dict(
        {
            "base-url": base,
            "seed": FIXED_SEED,
            "continue-on-failure": True,
            "auth": {"wfc": {"path": str(path), "user": next(iter(bearers)), "peers": list(bearers)}},
            "parameters": {"guest": world.guest, "stay": world.stay, "property": PROPERTY, "follow": "false"},
            "operations": [{"include-operation-id": "erase_guest", "parameters": {"guest": world.leaving}}],
            "generation": {"max-examples": 6, "no-shrink": True},
            "phases": {"stateful": {"enabled": True, "generation": {"max-examples": STATEFUL_EXAMPLES}}},
        }
    )


@pytest.mark.parametrize(
    "other",
    ["another guest", pytest.param("planted: a service that may see everyone", marks=pytest.mark.prove)],
)
async def test_what_a_guest_made_is_shown_to_no_peer(settings: Settings, tmp_path: Path, other: str) -> None:
    """object_level_authorization with two identities: whatever one made is asked for as the other. Where the other may
    see everyone the check must speak, which shows that it asks."""
    async with running(settings, tmp_path / "server.log") as (base, document, world, _):
        front = Front(None, None, load_keys(settings.keys)[0], WallClock(), None)  # type: ignore[arg-type]
        everyone = front.token("service", "guest_app", "pms", permissions=[ALL_GUESTS])
        bearers = {
            "owner": front.guest(world.guest),
            "peer": front.guest(world.elsewhere) if other == "another guest" else everyone,
        }
        config = peers(tmp_path / "peers.json", base, world, bearers)
        _, failures, _, _ = await asyncio.to_thread(explore, document, None, config)
    found = [failure for failure in failures if failure.startswith("object_level_authorization")]
    assert bool(found) is (other != "another guest"), failures[:5]
