"""Reading plain data (from TOML or JSON) field by field: what is asked for comes back typed, anything else is refused.

Every refusal is a `CatalogueInvalid` that names the file, the key, the field and the reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from prefs.core import units
from prefs.core.catalogue import Clamp, Merge, Sensitivity, Showing
from prefs.core.entries import ScopeKind, Strength
from prefs.core.errors import CatalogueInvalid


@dataclass(frozen=True, slots=True)
class Where:
    """Where in the written form we are; every refusal starts from here."""

    file: str
    key: str

    def refuse(self, field: str, reason: str) -> CatalogueInvalid:
        return CatalogueInvalid(self.file, self.key, field, reason)


def read_table(where: Where, field: str, raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise where.refuse(field, "must be a table")
    return raw


def read_items(where: Where, field: str, raw: Any) -> list[Any]:
    if not isinstance(raw, (list, tuple)):
        raise where.refuse(field, "must be a list")
    return list(raw)


def read_text(where: Where, field: str, raw: Any) -> str:
    if not isinstance(raw, str):
        raise where.refuse(field, "must be a text")
    return raw


def read_texts(where: Where, field: str, raw: Any) -> tuple[str, ...]:
    return tuple(read_text(where, field, item) for item in read_items(where, field, raw))


def read_integer(where: Where, field: str, raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or abs(raw) > 10**9:
        raise where.refuse(field, "must be a whole number")
    return raw


def read_number(where: Where, field: str, raw: Any) -> Fraction:
    try:
        return Fraction(units.parse_number(raw))
    except ValueError as error:
        raise where.refuse(field, str(error)) from None


def read_word(where: Where, field: str, raw: Any, known: Iterable[str]) -> str:
    if not isinstance(raw, str) or raw not in set(known):
        raise where.refuse(field, "must be one of " + ", ".join(known))
    return raw


def read_words(where: Where, field: str, raw: Any, known: Iterable[str]) -> tuple[str, ...]:
    return tuple(read_word(where, field, item, known) for item in read_items(where, field, raw))


def read_enum[E: (Merge, ScopeKind, Strength, Sensitivity, Clamp, Showing)](
    where: Where, field: str, raw: Any, kind: type[E]
) -> E:
    return kind(read_word(where, field, raw, [member.value for member in kind]))


def read_enums[E: (Merge, ScopeKind, Strength, Sensitivity, Clamp, Showing)](
    where: Where, field: str, raw: Any, kind: type[E]
) -> list[E]:
    return [read_enum(where, field, item, kind) for item in read_items(where, field, raw)]
