"""What rests sealed of a row, in its form as bytes: the part of an entry, a change or an answer that says something.

Everything a guest says is sealed, whatever its class: then no definition that was classified wrongly, or changes its
class, and no strength that gives a need away, can leave anything to read. What stays in columns is what queries look
for: whose it is, which preference key, where it holds, who wrote it and when. The columns that are sealed hold words
that a release without a vault stumbles over, so that it fails rather than tells an entry without its value.
"""

from typing import Any

from prefs.core.entries import Entered, Entry
from prefs.ports import Once, Safe
from prefs.store.json_text import dump, load

STRENGTH = "sealed"  # in place of an entry's strength
CHANGE: list[Any] = [{}]  # in place of a change's keys
PRESS: dict[str, Any] = {}  # in place of a press
MEMBER = ""  # in place of what waits for a consent


def _seal(safe: Safe, data: Any, *place: str) -> bytes:
    return safe.seal(dump(data).encode(), *place)


def _open(safe: Safe, sealed: bytes, *place: str) -> Any:
    return load(safe.open(sealed, *place).decode())


def seal_entry(safe: Safe, entry: Entry) -> bytes:
    entered, source = entry.entered, entry.provenance.source
    told: list[Any] = [entry.value, entry.strength.value, source]
    if entered:
        told += (entered.value, entered.unit)
    return _seal(safe, told, *entry_place(entry.id, entry.key, entry.version))


def entry_place(id: str, key: str, version: int) -> tuple[str, ...]:
    return "entry", id, key, str(version)


def open_entry(safe: Safe, sealed: bytes, id: str, key: str, version: int) -> tuple[Any, str, str, Entered | None]:
    """Value, strength, source and what was entered."""
    value, strength, source, *entered = _open(safe, sealed, *entry_place(id, key, version))
    return value, strength, source, Entered(*entered) if entered else None


def seal_press(safe: Safe, stay: str, key: str, id: str, entry: dict[str, Any]) -> bytes:
    return _seal(safe, entry, "press", stay, key, id)


def open_press(safe: Safe, sealed: bytes, stay: str, key: str, id: str) -> Any:
    return _open(safe, sealed, "press", stay, key, id)


def seal_waiting(safe: Safe, id: str, key: str, member: str) -> bytes:
    return _seal(safe, member, "waiting", id, key)


def open_waiting(safe: Safe, sealed: bytes, id: str, key: str) -> str:
    return str(_open(safe, sealed, "waiting", id, key))


def seal_change(safe: Safe, version: int, keys: list[dict[str, Any]]) -> bytes:
    return _seal(safe, keys, *change_place(version))


def change_place(version: int) -> tuple[str, ...]:
    return "change", str(version)


def open_change(safe: Safe, sealed: bytes, version: int) -> Any:
    return _open(safe, sealed, *change_place(version))


def seal_answer(safe: Safe, once: Once, answer: Any) -> bytes:
    return _seal(safe, answer, "answer", once.caller, once.key, once.fingerprint)


def open_answer(safe: Safe, sealed: bytes, once: Once) -> Any:
    return _open(safe, sealed, "answer", once.caller, once.key, once.fingerprint)
