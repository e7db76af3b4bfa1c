"""Request bodies: what arrives is read strictly, held against a model, and every fault is told with its pointer."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from prefs.core.errors import Fault, InvalidEdit
from prefs.core.values import escape

_CODES = {
    "missing": "MISSING_FIELD",
    "extra_forbidden": "UNKNOWN_FIELD",
    "literal_error": "UNKNOWN_CHOICE",
    "string_pattern_mismatch": "BAD_FORMAT",
    "value_error": "BAD_FORMAT",
    "string_too_long": "WRONG_LENGTH",
    "string_too_short": "WRONG_LENGTH",
    "too_long": "TOO_MANY",
    "too_short": "TOO_FEW",
    "greater_than_equal": "OUT_OF_RANGE",
    "less_than_equal": "OUT_OF_RANGE",
}
_WORDS = {"missing": "is required", "extra_forbidden": "is not a field of this body"}


class Body(BaseModel):
    """A request body: no field but its own, no value but of the type that is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def read_as[T: Body](model: type[T], data: Any) -> T:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise InvalidEdit([_fault(found) for found in error.errors()]) from error


def with_nulls(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a body that a core module reads: null says the same as leaving an optional member out."""
    changed = dict(schema)
    if "properties" in schema:
        required = schema.get("required", ())
        changed["properties"] = {
            name: with_nulls(member) if name in required else _or_null(with_nulls(member))
            for name, member in schema["properties"].items()
        }
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), Mapping):
            changed[inner] = with_nulls(schema[inner])
    if "anyOf" in schema:
        changed["anyOf"] = [with_nulls(option) for option in schema["anyOf"]]
    return changed


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str):
        return schema | {"type": [schema["type"], "null"]}
    if "enum" in schema and None not in schema["enum"]:
        return schema | {"enum": [*schema["enum"], None]}
    return schema


def _fault(found: Mapping[str, Any]) -> Fault:
    pointer = "".join(f"/{escape(str(part))}" for part in found["loc"])
    kind = found["type"]
    detail = _WORDS.get(kind, str(found["msg"]).removeprefix("Value error, "))
    return Fault(pointer, _CODES.get(kind, "WRONG_TYPE"), detail)
