"""Writes `guestprefs_client/models.py` from the checked-in description of the API: `make sdk-models`.

Only what the client reads is taken: the answers of the calls it makes, and what they are made of. Two things are
loosened first, so that an older client still understands a newer server: a member that it does not know is kept, and a
word that it does not know (a new status, a new action) is a plain string and not an error.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodel_code_generator import DataModelType, Formatter, InputFileType, PythonVersion, generate
from datamodel_code_generator.config import GenerateConfig

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "openapi.json"
MODELS = HERE / "src" / "guestprefs_client" / "models.py"
ROOTS = ("Batch", "Catalogue", "Edited", "EffectivePreferences", "Guest", "History", "Problem")
# Limits of what may be sent say nothing about what is read.
UNUSED = ("title", "pattern", "maxLength", "maxItems")
HEADER = '"""Shapes of the answers, made from clients/openapi.json by `make sdk-models`: never edited by hand."""'


def named(schema: Any) -> Iterator[str]:
    """Every schema that this one points to."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for member in schema.values():
            yield from named(member)
    elif isinstance(schema, list):
        for member in schema:
            yield from named(member)


def needed(schemas: dict[str, Any]) -> dict[str, Any]:
    found: set[str] = set()
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += named(schemas[name])
    return {name: loosened(schemas[name]) for name in sorted(found)}


def loosened(schema: Any) -> Any:
    if isinstance(schema, list):
        return [loosened(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: loosened(member) for name, member in schema.items() if name not in UNUSED}
    if isinstance(schema.get("properties"), dict):
        kept["properties"] = {name: loosened(member) for name, member in schema["properties"].items()}
    if schema.get("type") == "object" and schema.get("additionalProperties") is False:
        kept["additionalProperties"] = True
    if isinstance(schema.get("enum"), list) and all(isinstance(word, str) for word in schema["enum"]):
        del kept["enum"]
        kept["type"] = "string"
    return kept


def written(document: str) -> str:
    """The module as it is to be checked in."""
    described = json.loads(document)
    only = {
        "openapi": described["openapi"],
        "info": described["info"],
        "paths": {},
        "components": {"schemas": needed(described["components"]["schemas"])},
    }
    made = generate(
        json.dumps(only),
        config=GenerateConfig(
            input_file_type=InputFileType.OpenAPI,
            output_model_type=DataModelType.PydanticV2BaseModel,
            target_python_version=PythonVersion.PY_312,
            extra_fields="allow",
            use_standard_collections=True,
            use_union_operator=True,
            use_schema_description=True,
            disable_timestamp=True,
            use_double_quotes=True,
            formatters=[Formatter.BUILTIN],
        ),
    )
    body = re.sub(r"\A(#.*\n)+\s*", "", str(made))
    return f"{HEADER}\n\n{body.rstrip()}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the client's models from the description of the API.")
    parser.add_argument("--check", action="store_true", help="only say whether they are as they should be")
    fresh = written(DOCUMENT.read_text(encoding="utf-8"))
    if parser.parse_args().check:
        return int(MODELS.read_text(encoding="utf-8") != fresh)
    MODELS.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
