"""OpenFeature's SDKs with their OFREP providers, as PyPI and npm have them, read preferences from a real server."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason

from api.auth import load_keys, make_key, save_keys
from prefs.migrations import migrate
from prefs.settings import Settings
from tests.api.front import PROPERTY, Front
from tests.api.served import served
from tests.clients import node

HERE = Path(__file__).resolve().parent
README = HERE.parents[2] / "README.md"
WARMTH, QUIET, PILLOW, ALLERGENS = "climate.temperature.occupied", "room.quiet", "bed.pillow_type", "food.allergens"
CHANNELS, VOLUME, VIEW = "tv.favorite_channels", "tv.volume_default", "room.view"
NOBODY = "gst_" + "f" * 32
ANSWER_SECONDS = 60


class WallClock:
    """The server's clock is the machine's, so tokens for it are signed by the same."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - a test of a real server


@dataclass(frozen=True)
class Stage:
    """A running server with one guest in house, and tokens for it."""

    url: str
    guest: str
    other: str
    token: str
    kitchen: str

    def edit(self, patch: dict[str, Any]) -> None:
        path = f"{self.url}/v1/guests/{self.guest}/preferences"
        assert httpx2.patch(path, json=patch, headers={"authorization": f"Bearer {self.token}"}).status_code == 200

    def counted(self, status: int) -> int:
        """How many bulk evaluations were answered with this status."""
        line = f'requests_total{{method="POST",route="/ofrep/v1/evaluate/flags",status="{status}"}}'
        told = [one for one in httpx2.get(f"{self.url}/metrics").text.splitlines() if line in one]
        return int(float(told[0].rpartition(" ")[2])) if told else 0


async def furnish(url: str, settings: Settings) -> Stage:
    async with httpx2.AsyncClient(base_url=url) as http:
        front = Front(None, http, load_keys(settings.keys)[0], WallClock(), None)
        setpoint = {"min": 18, "max": 26, "step": 0.5, "unit": "Cel"}
        await front.new_property(PROPERTY, capabilities={"thermostat.setpoint": setpoint})
        guest, other = await front.new_guest("Ana"), await front.new_guest("Ben")
        await front.new_stay(guest)
        await front.ok("PUT", f"/v1/guests/{guest}/consents/food_safety", front.guest(guest))
        said = {
            WARMTH: {"value": 62, "unit": "[degF]"},
            QUIET: True,
            VOLUME: 12,
            CHANNELS: [{"network_id": "espn", "genre": "sports"}],
            ALLERGENS: [{"code": "peanuts"}],
            VIEW: {"value": "city", "strength": "avoid"},
        }
        await front.prefer(guest, said)
        return Stage(url, guest, other, front.guest(guest), front.staff("food"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("openfeature")
    keys = folder / "keys.json"
    keys.write_text(save_keys([make_key()]), encoding="utf-8")
    settings = Settings(data=folder, database_url=f"sqlite:///{folder / 'guestprefs.sqlite3'}", keys=keys)
    asyncio.run(migrate(settings.database_url))
    with served(settings, folder / "server.log") as url:
        yield asyncio.run(furnish(url, settings))


# ---- Python ----


@pytest.fixture
def provider(stage: Stage) -> Iterator[OFREPProvider]:
    provider = OFREPProvider(stage.url, headers_factory=lambda: {"Authorization": f"Bearer {stage.token}"})
    yield provider
    provider.session.close()


@pytest.fixture
def client(provider: OFREPProvider) -> Iterator[OpenFeatureClient]:
    api.set_provider_and_wait(provider)
    yield api.get_client()
    api.shutdown()
    api.clear_providers()


def refused(told: FlagEvaluationDetails[Any], code: ErrorCode) -> bool:
    return told.error_code is code and told.reason == Reason.ERROR


def test_python_reads_every_kind_of_value(stage: Stage, client: OpenFeatureClient) -> None:
    context = EvaluationContext(stage.guest, {"property": PROPERTY, "appVersion": "1.2"})
    warmth = client.get_float_details(WARMTH, 21.0, context)
    assert (warmth.value, warmth.variant, warmth.reason) == (18.0, "clamped", Reason.TARGETING_MATCH)
    assert warmth.flag_metadata["layer"] == "stated/profile" and warmth.flag_metadata["unit"] == "Cel"
    assert warmth.flag_metadata["reason"] == "CAPABILITY_MIN" and "18" in str(warmth.flag_metadata["text"])
    assert client.get_float_value(WARMTH, 21.0, EvaluationContext(stage.guest)) == pytest.approx(16.67, abs=0.01)
    assert client.get_boolean_value(QUIET, False, context) is True
    assert client.get_integer_value(VOLUME, 1, context) == 12
    channels = client.get_object_details(CHANNELS, [], context)
    assert [one["network_id"] for one in channels.value] == ["espn"]  # type: ignore[index, call-overload]
    assert channels.flag_metadata["version"] == warmth.flag_metadata["version"]


def test_python_keeps_its_default_where_nothing_is_known(stage: Stage, client: OpenFeatureClient) -> None:
    told = client.get_object_details(PILLOW, {"mine": 1}, EvaluationContext(stage.guest))
    assert (told.value, told.variant, told.reason, told.error_code) == ({"mine": 1}, "default", Reason.UNKNOWN, None)


def test_python_is_told_every_refusal_in_its_own_words(stage: Stage, client: OpenFeatureClient) -> None:
    own = EvaluationContext(stage.guest)
    assert refused(client.get_boolean_details("no.such.key", True, own), ErrorCode.FLAG_NOT_FOUND)
    for whose in (stage.other, NOBODY, "user-123"):
        assert refused(client.get_boolean_details(QUIET, True, EvaluationContext(whose)), ErrorCode.FLAG_NOT_FOUND)
    assert refused(client.get_boolean_details(QUIET, True), ErrorCode.TARGETING_KEY_MISSING)
    moon = EvaluationContext(stage.guest, {"trip": "moon"})
    told = client.get_boolean_details(QUIET, True, moon)
    assert refused(told, ErrorCode.INVALID_CONTEXT) and "/context/trip" in str(told.error_message)
    assert refused(client.get_string_details(QUIET, "x", own), ErrorCode.TYPE_MISMATCH)


def test_python_without_a_good_token_gets_its_default(stage: Stage) -> None:
    provider = OFREPProvider(stage.url, headers_factory=lambda: {"Authorization": "Bearer x.y.z"})
    try:
        api.set_provider_and_wait(provider)
        told = api.get_client().get_boolean_details(QUIET, False, EvaluationContext(stage.guest))
        assert told.value is False and refused(told, ErrorCode.GENERAL)
    finally:
        api.clear_providers()
        provider.session.close()


def test_what_the_readme_shows_is_so(stage: Stage) -> None:
    page = README.read_text(encoding="utf-8").partition("## OpenFeature")[2]
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found is not None and "http://127.0.0.1:8080" in found[1]
    *lines, last = found[1].replace("http://127.0.0.1:8080", stage.url).strip().splitlines()
    known: dict[str, Any] = {"api": api, "OFREPProvider": OFREPProvider, "EvaluationContext": EvaluationContext}
    known |= {"guest": stage.guest, "token": stage.token}
    try:
        exec("\n".join(lines), known)
        said, _, promised = last.partition("  # ")
        assert eval(said, known) == eval(f"({promised})", {})
    finally:
        api.clear_providers()
        known["provider"].session.close()


# ---- JavaScript ----


@pytest.fixture(scope="module")
def npm_packages() -> Path:
    return node.packages(HERE)


def started(stage: Stage, **asked: Any) -> subprocess.Popen[str]:
    given = {"baseUrl": stage.url, "token": stage.token, **asked}
    command = [str(node.NODE), "ask.mjs", json.dumps(given)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=HERE, env=node.environ(), stdout=pipe, stderr=pipe, text=True)


def told_by(stage: Stage, **asked: Any) -> list[Any]:
    with started(stage, **asked) as process:
        said, complained = process.communicate(timeout=ANSWER_SECONDS)
    assert process.returncode == 0, complained
    return [json.loads(line) for line in said.splitlines()]


NUMBER, TRUTH, THING = "getNumberDetails", "getBooleanDetails", "getObjectDetails"


@pytest.mark.parametrize("provider", ["server", "web"])
def test_javascript_reads_every_kind_of_value(stage: Stage, npm_packages: Path, provider: str) -> None:
    context = {"targetingKey": stage.guest, "property": PROPERTY, "appVersion": "1.2"}
    asks = [(NUMBER, WARMTH, 21), (TRUTH, QUIET, False), (NUMBER, VOLUME, 1), (THING, CHANNELS, [])]
    warmth, quiet, volume, channels = told_by(stage, provider=provider, context=context, asks=asks)
    assert (warmth["value"], warmth["variant"], warmth["reason"]) == (18, "clamped", "TARGETING_MATCH")
    assert warmth["flagMetadata"]["layer"] == "stated/profile" and warmth["flagMetadata"]["unit"] == "Cel"
    assert warmth["flagMetadata"]["reason"] == "CAPABILITY_MIN"
    assert quiet["value"] is True and volume["value"] == 12
    assert channels["value"][0]["network_id"] == "espn"
    assert isinstance(quiet["flagMetadata"]["version"], int)


def test_javascript_servers_are_told_every_refusal(stage: Stage, npm_packages: Path) -> None:
    asks = [
        (TRUTH, "no.such.key", True, {}),
        (TRUTH, QUIET, False, {"targetingKey": stage.other}),
        (TRUTH, QUIET, False, {"targetingKey": NOBODY}),
        (TRUTH, QUIET, False, {"targetingKey": ""}),
        (TRUTH, QUIET, False, {"party": "many"}),
        (NUMBER, QUIET, 7, {}),
        (THING, PILLOW, {"mine": 1}, {}),
    ]
    context = {"targetingKey": stage.guest}
    told = told_by(stage, provider="server", context=context, asks=asks)
    assert [one["errorCode"] for one in told[:6]] == [
        *("FLAG_NOT_FOUND", "FLAG_NOT_FOUND", "FLAG_NOT_FOUND"),
        *("TARGETING_KEY_MISSING", "INVALID_CONTEXT", "TYPE_MISMATCH"),
    ]
    assert told[1]["errorMessage"] == told[2]["errorMessage"]
    assert [one["value"] for one in told] == [True, False, False, False, False, 7, {"mine": 1}]


def test_javascript_pages_keep_their_defaults_and_are_told_why(stage: Stage, npm_packages: Path) -> None:
    own = {"targetingKey": stage.guest}
    asks = [(THING, PILLOW, {"mine": 1}), (THING, VIEW, {"mine": 2})]
    pillow, view = told_by(stage, provider="web", context=own, asks=asks)
    assert (pillow["value"], pillow["errorCode"]) == ({"mine": 1}, "FLAG_NOT_FOUND")
    assert (view["value"], view["variant"], view.get("errorCode")) == ({"mine": 2}, "applied", None)
    (refused_view,) = json.loads(view["flagMetadata"]["not"])
    assert (refused_view["value"], refused_view["strength"]) == ("city", "avoid")
    for context in ({"targetingKey": stage.other}, {"targetingKey": NOBODY}, {}):
        refusal, quiet = told_by(stage, provider="web", context=context, asks=[(TRUTH, QUIET, False)])
        assert "refused" in refusal and quiet["value"] is False


def test_javascript_pages_ask_again_with_the_etag(stage: Stage, npm_packages: Path) -> None:
    before = stage.counted(304)
    own = {"targetingKey": stage.guest, "theme": "dark"}
    asks = [(TRUTH, QUIET, False)]
    told = told_by(stage, provider="web", context=own, asks=asks, again={**own, "theme": "light"})
    assert [one["value"] for one in told] == [True, True]
    assert stage.counted(304) == before + 1


def test_javascript_pages_hear_of_an_edit(stage: Stage, npm_packages: Path) -> None:
    stage.edit({VOLUME: 12})
    asked = {"context": {"targetingKey": stage.guest}, "asks": [], "until": (NUMBER, VOLUME, 1)}
    with started(stage, provider="web", **asked) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == "edit now"
        stage.edit({VOLUME: 13})
        told = json.loads(process.stdout.readline())
        process.communicate(timeout=ANSWER_SECONDS)
    stage.edit({VOLUME: 12})
    assert VOLUME in told["changed"] and told["value"] == 13


@pytest.mark.parametrize("provider", ["server", "web"])
def test_a_kitchen_is_told_what_to_do(stage: Stage, npm_packages: Path, provider: str) -> None:
    asked = {"context": {"targetingKey": stage.guest, "property": PROPERTY}, "asks": [(THING, ALLERGENS, {})]}
    (told,) = told_by(stage, provider=provider, token=stage.kitchen, **asked)
    assert "eanut" in told["value"]["action"] and told["flagMetadata"]["strength"] == "unacceptable"
    assert "layer" not in told["flagMetadata"]
