"""JSON as it is stored: compact ASCII text that reads back as the same data on every engine."""

import json
from decimal import Decimal
from typing import Any


def _number(value: object) -> int | float:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


# Made once: `json.dumps` makes a new one for every value that is not written in its own default form.
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_number)


def dump(value: Any) -> str:
    """Escaped to ASCII, so that no character upsets a database; NaN and infinities are refused with ValueError."""
    return "{}" if value == {} else _ENCODER.encode(value)


def load(text: str) -> Any:
    return {} if text == "{}" else json.loads(text)  # most contexts are empty


def plain(value: Any) -> Any:
    """The value as it would be read back: what is told after a write and what is read later are the same data."""
    return value if value is None or isinstance(value, (bool, int, str)) else load(dump(value))
