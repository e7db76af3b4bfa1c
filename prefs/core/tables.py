"""Objects of a written form, read member by member: what is wrong is collected with its JSON pointer, never raised.

Every reader of a body (properties, stays, catalogue extensions) walks it with a `Table`, so that all of them speak of a
missing, unknown or misspelt member in the same words.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from prefs.core import units, values
from prefs.core.errors import Fault
from prefs.core.patches import SCOPE_ID


class Table:
    """An object of the written form at its place; reads members and collects what is wrong with them."""

    def __init__(self, raw: object, pointer: str, faults: list[Fault]) -> None:
        self.pointer, self.faults = pointer, faults
        self.raw: Mapping[str, Any] = raw if isinstance(raw, Mapping) else {}
        if not isinstance(raw, Mapping):
            faults.append(Fault(pointer, "WRONG_TYPE", "must be an object"))

    def at(self, name: str) -> str:
        return f"{self.pointer}/{values.escape(name)}"

    def fault(self, name: str, code: str, detail: str) -> None:
        self.faults.append(Fault(self.at(name), code, detail))

    def known(self, *names: str) -> None:
        for unknown in sorted(str(name) for name in set(self.raw) - set(names)):
            self.fault(unknown, "UNKNOWN_FIELD", "is not a member; known: " + ", ".join(names))

    def get(self, name: str) -> Any:
        return self.raw.get(name)

    def text(self, name: str, longest: int, required: bool = True) -> str:
        raw = self.raw.get(name)
        if raw is None and not required:
            return ""
        if raw is None:
            self.fault(name, "MISSING_FIELD", "is required")
        elif not isinstance(raw, str):
            self.fault(name, "WRONG_TYPE", "must be a text")
        elif len(raw) > longest or (required and not raw.strip()):
            self.fault(name, "WRONG_LENGTH", f"must have 1 to {longest} characters")
        elif not values.clean_text(raw):
            self.fault(name, "BAD_TEXT", "must not contain control characters or broken Unicode")
        else:
            return raw
        return ""

    def identifier(self, name: str, required: bool = True) -> str:
        raw = self.text(name, 64, required)
        if raw and not SCOPE_ID.fullmatch(raw):
            self.fault(name, "BAD_ID", "must be 1 to 64 letters, digits, dots, dashes or underscores")
            return ""
        return raw

    def word(self, name: str, known: Sequence[str], default: str | None = None) -> str:
        raw = self.raw.get(name)
        if default is not None and (raw is None or raw == ""):
            return default
        if not isinstance(raw, str) or raw not in known:
            self.fault(
                name, "UNKNOWN_CHOICE" if isinstance(raw, str) else "WRONG_TYPE", "must be one of " + ", ".join(known)
            )
            return default or known[0]
        return raw

    def integer(self, name: str, low: int, high: int, default: int) -> int:
        raw = self.raw.get(name, default)
        if isinstance(raw, bool) or not isinstance(raw, int):
            self.fault(name, "WRONG_TYPE", "must be a whole number")
            return default
        if not low <= raw <= high:
            self.fault(name, "OUT_OF_RANGE", f"must be between {low} and {high}")
            return default
        return raw

    def number(self, name: str) -> Fraction | None:
        raw = self.raw.get(name)
        if raw is None:
            return None
        try:
            return Fraction(units.parse_number(raw))
        except ValueError as error:
            self.fault(name, "WRONG_TYPE", str(error))
            return None

    def table(self, name: str) -> "Table":
        return Table(self.raw.get(name), self.at(name), self.faults)

    def members(self, name: str, most: int) -> list[tuple[str, "Table"]]:
        """An object of objects."""
        if self.raw.get(name) is None:
            return []
        inner = self.table(name)
        if len(inner.raw) > most:
            self.fault(name, "TOO_MANY", f"must have at most {most} members")
            return []
        return [(str(key), inner.table(key)) for key in inner.raw]

    def items(self, name: str, most: int) -> list[Any] | None:
        """A list; None where the member is absent."""
        raw = self.raw.get(name)
        if raw is None:
            return None
        if not isinstance(raw, list):
            self.fault(name, "WRONG_TYPE", "must be a list")
            return []
        if len(raw) > most:
            self.fault(name, "TOO_MANY", f"must have at most {most} elements")
            return []
        return raw

    def tables(self, name: str, most: int) -> list["Table"] | None:
        raw = self.items(name, most)
        return None if raw is None else [Table(r, f"{self.at(name)}/{i}", self.faults) for i, r in enumerate(raw)]

    def words(self, name: str, most: int) -> tuple[str, ...] | None:
        raw = self.items(name, most)
        if raw is None:
            return None
        for i, item in enumerate(raw):
            if not isinstance(item, str) or not values.clean_text(item) or not 0 < len(item) <= 80:
                self.faults.append(Fault(f"{self.at(name)}/{i}", "WRONG_TYPE", "must be a text of 1 to 80 characters"))
        return tuple(str(item) for item in raw)
