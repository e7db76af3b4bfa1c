"""JSON in and out. In: one strict reading, so that no two layers can understand a body differently.

RFC 8259 leaves open what duplicate members, NaN, lone surrogates or endless nesting mean; here each is refused with a
pointer to where it stands. Fractions arrive as Decimal, so that what a guest typed is echoed to the digit.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import orjson

from prefs.core.errors import Fault, InvalidEdit
from prefs.core.values import escape

DEPTH_MAX = 20  # the deepest body the API knows has 7 levels
DIGITS_MAX = 30  # of one number: more than any unit needs, few enough to compute with
EXPONENT_MAX = 30

_BAD_CHARACTER = re.compile("[\x00\ud800-\udfff]")


def read(raw: bytes) -> Any:
    """Body bytes to plain data (Decimal for fractions). Raises InvalidEdit that names what is wrong and where."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse("", "NOT_UTF8", f"the body is not UTF-8 (byte {error.start})")
    if text.startswith("\ufeff"):
        _refuse("", "NOT_JSON", "the body starts with a byte order mark")
    if not text.strip():
        _refuse("", "NO_BODY", "a JSON body is required")
    _check_depth(text)
    try:
        data = json.loads(
            text, object_pairs_hook=_Members, parse_float=_fraction, parse_int=_integer, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        _refuse("", "NOT_JSON", f"{error.msg} (line {error.lineno}, column {error.colno})")
    faults: list[Fault] = []
    plain = _plain(data, "", faults)
    if faults:
        raise InvalidEdit(faults)
    return plain


class _Members(list[tuple[str, Any]]):
    """An object as its pairs, until it is known that no name stands in it twice."""


class _Unreadable:
    """Stands where a number stood that nobody should compute with, until its pointer is known."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail


def _refuse(pointer: str, code: str, detail: str) -> NoReturn:
    raise InvalidEdit([Fault(pointer, code, detail)])


def _constant(name: str) -> _Unreadable:
    return _Unreadable("NOT_A_NUMBER", f"{name} is not a JSON number")


def _integer(digits: str) -> int | _Unreadable:
    if len(digits.lstrip("-")) > DIGITS_MAX:
        return _Unreadable("NUMBER_TOO_LONG", f"a number may have at most {DIGITS_MAX} digits")
    return int(digits)


def _fraction(written: str) -> Decimal | _Unreadable:
    try:
        number = Decimal(written)
    except InvalidOperation:
        return _Unreadable("NUMBER_TOO_LONG", "the exponent of a number is too large")
    if len(number.as_tuple().digits) > DIGITS_MAX or abs(number.adjusted()) > EXPONENT_MAX:
        return _Unreadable("NUMBER_TOO_LONG", f"a number may have at most {DIGITS_MAX} digits")
    return number


def _check_depth(text: str) -> None:
    """Before parsing: the parser itself is recursive, and this scan is not."""
    if text.count("[") + text.count("{") <= DEPTH_MAX:
        return  # most bodies: too few brackets to nest too deep, whatever they hold
    depth, in_string, escaped = 0, False, False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                _refuse("", "TOO_DEEP", f"the body nests deeper than {DEPTH_MAX} levels")
        elif character in "]}":
            depth -= 1


def _plain(data: Any, pointer: str, faults: list[Fault]) -> Any:
    if isinstance(data, _Members):
        members: dict[str, Any] = {}
        for name, value in data:
            where = f"{pointer}/{escape(_BAD_CHARACTER.sub('?', name))}"
            if _BAD_CHARACTER.search(name):
                faults.append(Fault(where, "BAD_TEXT", "a member name holds NUL or half a surrogate pair"))
            if name in members:
                faults.append(Fault(where, "DUPLICATE_MEMBER", "stands in the object twice"))
            members[name] = _plain(value, where, faults)
        return members
    if isinstance(data, list):
        return [_plain(item, f"{pointer}/{index}", faults) for index, item in enumerate(data)]
    if isinstance(data, _Unreadable):
        faults.append(Fault(pointer, data.code, data.detail))
        return None
    if isinstance(data, str) and _BAD_CHARACTER.search(data):
        faults.append(Fault(pointer, "BAD_TEXT", "holds NUL or half a surrogate pair"))
    return data


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def write(body: Any) -> bytes:
    """Compact bytes in member order: equal answers are equal bytes, which is what an ETag stands on."""
    return orjson.dumps(body, default=_number, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
