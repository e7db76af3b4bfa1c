"""Between look-ups of a store and cache keys: which keys a look-up asks for, which look-up loads some keys."""

from collections.abc import Iterable, Mapping
from typing import Any

from prefs.cache.keys import CATALOGUE, EXTENSIONS, GUEST, PROPERTY, STAYS, id_of, kind_of
from prefs.ports import Found, Lookup


def keys_of(wanted: Lookup) -> list[str]:
    kinds = ((GUEST, wanted.documents), (STAYS, wanted.stays), (PROPERTY, wanted.properties))
    return [f"{kind}:{one}" for kind, ids in kinds for one in ids] + [CATALOGUE] * wanted.extensions


def lookup_of(keys: Iterable[str]) -> Lookup:
    ids: dict[str, list[str]] = {}
    for key in keys:
        ids.setdefault(kind_of(key), []).append(id_of(key))
    return Lookup(ids.get(GUEST, ()), ids.get(STAYS, ()), ids.get(PROPERTY, ()), EXTENSIONS in ids)


def found_in(values: Mapping[str, Any]) -> Found:
    """What these values by key tell; None stands for what is not there."""
    told: dict[str, dict[str, Any]] = {GUEST: {}, STAYS: {}, PROPERTY: {}}
    for key, value in values.items():
        if value is not None and key != CATALOGUE:
            told[kind_of(key)][id_of(key)] = value
    return Found(told[GUEST], told[STAYS], told[PROPERTY], values.get(CATALOGUE))


def value_in(found: Found, key: str) -> Any:
    """None for what is not there."""
    if key == CATALOGUE:
        return found.extensions
    kinds: Mapping[str, Mapping[str, Any]] = {GUEST: found.documents, STAYS: found.lodgings, PROPERTY: found.properties}
    return kinds[kind_of(key)].get(id_of(key))
