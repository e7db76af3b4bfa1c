"""The server for users' tests of the TypeScript SDK answers as the service does, call by call, and takes its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.clients import snippets
from tests.clients.place import Place, running
from tests.clients.python.test_service import comparable, replayed, script

ASKING = """
import { FakeServer } from "@guestprefs/client/testing";

const server = new FakeServer();
const guest = server.addGuest();
let etag = "";
for (const [method, path, params, headers, body] of JSON.parse(process.env.STEPS)) {
  const query = new URLSearchParams(params);
  const sent = Object.entries(headers).map(([name, value]) => [name, value.replace("(etag)", etag)]);
  const more = body === null ? {} : { body: JSON.stringify(body) };
  const url = server.url + path.replace("(guest)", guest) + (query.size ? `?${query}` : "");
  const answer = await server.fetch(url, { method, headers: Object.fromEntries(sent), ...more });
  etag = answer.headers.get("etag") ?? etag;
  console.log(JSON.stringify([answer.status, [...answer.headers], await answer.text()]));
}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("service")) as place:
        yield place


def faked(project: Path, steps: list[Any]) -> list[dict[str, Any]]:
    with snippets.start_node(ASKING, project, {"STEPS": json.dumps(steps)}) as process:
        out, complaints = process.communicate(timeout=30)
    assert (process.returncode, complaints) == (0, "")
    told = [json.loads(line) for line in out.splitlines()]
    return [comparable(httpx2.Response(status, headers=headers, text=text)) for status, headers, text in told]


def test_the_fake_server_answers_as_the_service_does(place: Place, project: Path) -> None:
    guest = place.new_guest()
    headers = {"authorization": f"Bearer {place.guest_token(guest)}"}
    with httpx2.Client(base_url=place.url, headers=headers) as real:
        expected = replayed(real, guest)
    steps = script("(guest)")
    for step, wanted, got in zip(steps, expected, faked(project, steps), strict=True):
        assert got == wanted, step
