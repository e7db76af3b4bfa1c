"""The shapes that clients read, taken from the checked-in description of the API, and how models are written of them.

Only what clients read is taken: the answers of the calls they make, and what those are made of. Two things are
loosened, so that an older client still understands a newer server: a member that it does not know is kept, and a word
that it does not know (a new status, a new action) is a plain string and not an error.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parent / "openapi.json"
ROOTS = ("Batch", "Catalogue", "Edited", "EffectivePreferences", "Guest", "History", "Problem")
# Limits of what may be sent say nothing about what is read.
UNUSED = ("title", "pattern", "maxLength", "maxItems")


def taken(document: str) -> str:
    """A description of nothing but the shapes."""
    described = json.loads(document)
    only = {
        "openapi": described["openapi"],
        "info": described["info"],
        "paths": {},
        "components": {"schemas": _needed(described["components"]["schemas"])},
    }
    return json.dumps(only)


def _needed(schemas: dict[str, Any]) -> dict[str, Any]:
    found: set[str] = set()
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _named(schemas[name])
    return {name: _loosened(schemas[name]) for name in sorted(found)}


def _named(schema: Any) -> Iterator[str]:
    """Every schema that this one points to."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for member in schema.values():
            yield from _named(member)
    elif isinstance(schema, list):
        for member in schema:
            yield from _named(member)


def _loosened(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_loosened(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _loosened(member) for name, member in schema.items() if name not in UNUSED}
    if isinstance(schema.get("properties"), dict):
        kept["properties"] = {name: _loosened(member) for name, member in schema["properties"].items()}
    if schema.get("type") == "object" and schema.get("additionalProperties") is False:
        kept["additionalProperties"] = True
    if isinstance(schema.get("enum"), list) and all(isinstance(word, str) for word in schema["enum"]):
        del kept["enum"]
        kept["type"] = "string"
    return kept


def run(models: Path, written: Callable[[str], str]) -> int:
    """Write a client's models, or say with the exit code whether they are as they should be."""
    parser = argparse.ArgumentParser(description="Write the client's models from the description of the API.")
    parser.add_argument("--check", action="store_true", help="only say whether they are as they should be")
    check = parser.parse_args().check
    fresh = written(DOCUMENT.read_text(encoding="utf-8"))
    if check:
        return int(models.read_text(encoding="utf-8") != fresh)
    models.write_text(fresh, encoding="utf-8")
    return 0
