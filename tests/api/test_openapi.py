"""The OpenAPI document: whole, with examples that hold, and answers that promise every member they always have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from api.openapi import document
from tests.api.samples import Operation, all_operations

DOCUMENT: dict[str, Any] = json.loads(document())
OPERATIONS = all_operations(DOCUMENT)
CHECKED_IN = Path(__file__).parents[2] / "clients" / "openapi.json"


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from walk(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from walk(inner)


def validator(schema: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]})


def test_the_checked_in_document_is_what_the_code_says() -> None:
    assert CHECKED_IN.read_text(encoding="utf-8") == document(), "run make openapi"


def test_every_operation_has_a_plain_verb() -> None:
    ids = [operation.id for operation in OPERATIONS]
    assert len(set(ids)) == len(ids) == 66
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in ids)
    assert all(operation.described.get("description") for operation in OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: str(operation.id))
def test_examples_hold(operation: Operation) -> None:
    shown = 0
    contents = [operation.described["requestBody"]["content"]] if operation.takes_body else []
    contents += [r["content"] for r in operation.described["responses"].values() if "content" in r]
    for content in contents:
        for media, described in content.items():
            if media == "text/plain":
                continue
            validator(described["schema"]).validate(described["example"])
            shown += 1
    for parameter in operation.described.get("parameters", []):
        for example in parameter.get("examples", parameter["schema"].get("examples", [])):
            validator(parameter["schema"]).validate(example)
    assert shown or operation.id in (
        "metrics",
        "delete_property",
        "revoke_device",
        "revoke_stay_link",
        "delete_webhook",
    )


def test_problems_are_declared() -> None:
    for operation in OPERATIONS:
        statuses = operation.described["responses"].keys()
        if operation.guarded:
            assert {"401", "403", "404", "422", "503"} <= statuses, operation.id
            assert operation.described["security"] == [{"bearer": []}]
        if operation.guarded and operation.method != "get":
            assert {"409", "412", "413", "415"} <= statuses, operation.id
        if operation.path.startswith("/ofrep/"):
            assert {"400", "401", "403", "404", "429"} <= statuses and "422" not in statuses, operation.id
            assert operation.described["security"] == [{"bearer": []}]
    for name, response in DOCUMENT["components"]["responses"].items():
        content = response["content"]["application/json" if name.startswith("Flag") else "application/problem+json"]
        validator(content["schema"]).validate(content["example"])


def test_answers_have_no_defaults_and_know_all_their_members() -> None:
    answered = {
        node["$ref"].rpartition("/")[2]
        for operation in OPERATIONS
        for response in operation.described["responses"].values()
        for node in walk(response)
        if "/schemas/" in node.get("$ref", "")
    }
    seen: set[str] = set()
    while answered - seen:
        name = (answered - seen).pop()
        seen.add(name)
        schema = DOCUMENT["components"]["schemas"][name]
        assert all("default" not in node or "type" not in node for node in walk(schema)), name
        assert schema.get("additionalProperties") is False, name
        answered |= {node["$ref"].rpartition("/")[2] for node in walk(schema) if "$ref" in node}
    assert {"EffectivePreferences", "Preference", "Guest", "Stay", "Property", "Catalogue"} <= seen


def test_nothing_in_it_points_elsewhere() -> None:
    text = document().replace("https://pms.hotel.example/", "")  # whom an operator may want to tell
    assert "http://" not in text and "https://" not in text
