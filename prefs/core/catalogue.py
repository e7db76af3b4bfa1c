"""Definitions of preference keys, and the catalogue that holds them all at a version.

A definition says everything the service knows about one key: kind of value, where and when it may be stated, how
layers merge, who may see it and as what, which capability it needs. It is read from TOML (the standard catalogue) or
JSON (an operator's extension) in one and the same shape; reading lives in `dictionary.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from prefs.core.entries import ScopeKind, Strength
from prefs.core.labels import Labels
from prefs.core.values import Kind, leaves


class Merge(StrEnum):
    REPLACE = "replace"
    OBJECT = "object"
    UNION = "union"
    STRICTEST = "strictest"


class Sensitivity(StrEnum):
    """P0 any on-duty surface of the property, P1 only the surfaces listed, SC special category (GDPR Art. 9)."""

    P0 = "P0"
    P1 = "P1"
    SC = "SC"


class Clamp(StrEnum):
    NEAREST_IN_RANGE = "nearest_in_range"
    NEAREST_CHOICE = "nearest_choice"
    NEVER = "never"


class Showing(StrEnum):
    """What a surface gets of a key: the value, or the text of what to do about it (never the reason)."""

    VALUE = "value"
    ACTION = "action"


SURFACES = (
    "thermostat",
    "lights",
    "tv",
    "kiosk",
    "housekeeping",
    "front_desk",
    "food",
    "engineering",
    "guest_app",
)
GUEST_SURFACE = "guest_app"
STAFF_SURFACES = ("housekeeping", "front_desk", "food", "engineering")
DEVICE_SURFACES = ("thermostat", "lights", "tv", "kiosk")
PURPOSES = ("room_setup", "service_delivery", "food_safety", "safety_evacuation", "ui_adaptation")


@dataclass(frozen=True, slots=True)
class CapabilityNeed:
    """Which declared capability a key is held against. `source` says whether the room or the property declares it."""

    name: str
    source: str
    field: str = ""  # of an object: the field that choices apply to
    match: str = "within"  # within | at_least | overlap
    lineup: bool = False


@dataclass(frozen=True, slots=True)
class SpecialWhen:
    """An entry counts as special category by its strength, or by any leaf of its value."""

    strengths: frozenset[Strength] = frozenset()
    values: frozenset[str] = frozenset()

    def holds(self, strength: Strength, value: Any) -> bool:
        return strength in self.strengths or any(leaf in self.values for leaf in leaves(value) if leaf is not None)


@dataclass(frozen=True, slots=True)
class StandsFor:
    """Entries of this key also take part in resolving `key` as if stated for `time_of_day` (resolving rule 5)."""

    key: str
    time_of_day: str


@dataclass(frozen=True, slots=True)
class Definition:
    """One preference key. `default` is canonical; `raw` is the shape it was read from, for storing and serving."""

    key: str
    area: str
    order: int
    kind: Kind
    merge: Merge
    scopes: frozenset[ScopeKind]
    contexts: tuple[str, ...]
    strengths: frozenset[Strength]
    sensitivity: Sensitivity
    purpose: str
    surfaces: Mapping[str, Showing]
    clamp: Clamp
    retention: str
    purposes: Mapping[str, str] = field(default_factory=dict)
    strictest_order: tuple[Any, ...] = ()
    fixed_strength: Strength | None = None
    special_when: SpecialWhen | None = None
    capability: CapabilityNeed | None = None
    want_all: bool = True
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default: Any = None
    stands_for: StandsFor | None = None
    codes: tuple[str, ...] = ()
    choice_codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    genres: Mapping[str, str] = field(default_factory=dict)
    deprecated_by: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def purpose_at(self, surface: str) -> str:
        """The one purpose a surface uses this key for (resolving rule 27)."""
        return self.purposes.get(surface, self.purpose)

    def is_special(self, strength: Strength, value: Any) -> bool:
        """Whether an entry with this strength and value is special-category data."""
        if self.sensitivity is Sensitivity.SC:
            return True
        return self.special_when is not None and self.special_when.holds(strength, value)

    @property
    def is_special_as_a_whole(self) -> bool:
        return self.sensitivity is Sensitivity.SC


@dataclass(frozen=True, slots=True)
class Group:
    """At most `maximum` of the members (`key` or `key=choice`) may be stated together in one scope and context."""

    id: str
    members: tuple[str, ...]
    maximum: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    id: str
    order: int


class Catalogue:
    """All definitions at a version: the standard ones and a hotel group's own. Look-ups are by key.

    Immutable by convention: `extended` returns a new one. `standing` maps a key to the keys that stand for it.
    """

    __slots__ = ("_ordered", "_visible", "areas", "definitions", "groups", "labels", "standing", "version")

    def __init__(
        self,
        definitions: Iterable[Definition],
        areas: Iterable[Area] = (),
        groups: Iterable[Group] = (),
        labels: Mapping[str, Labels] | None = None,
        version: int = 1,
    ) -> None:
        self.areas = {area.id: area for area in areas}
        last = 1 + max((area.order for area in self.areas.values()), default=0)
        ranked = sorted(
            definitions,
            key=lambda d: (self.areas[d.area].order if d.area in self.areas else last, d.order, d.key),
        )
        self.definitions: dict[str, Definition] = {definition.key: definition for definition in ranked}
        self._ordered = tuple(ranked)
        self._visible: dict[str, tuple[Definition, ...]] = {
            surface: tuple(d for d in ranked if surface in d.surfaces) for surface in SURFACES
        }
        self.groups = tuple(groups)
        self.labels: dict[str, Labels] = dict(labels or {})
        self.version = version
        self.standing: dict[str, tuple[Definition, ...]] = {}
        for definition in ranked:
            if definition.stands_for:
                others = self.standing.get(definition.stands_for.key, ())
                self.standing[definition.stands_for.key] = (*others, definition)

    def __iter__(self) -> Iterator[Definition]:
        return iter(self._ordered)

    def __len__(self) -> int:
        return len(self._ordered)

    def get(self, key: str) -> Definition | None:
        return self.definitions.get(key)

    def visible_to(self, surface: str) -> tuple[Definition, ...]:
        """Definitions a surface may see anything of, in catalogue order."""
        return self._visible.get(surface, ())

    def extended(self, definitions: Iterable[Definition], labels: Mapping[str, Labels], version: int) -> "Catalogue":
        """This catalogue with definitions added or replaced and labels laid over, at a new version."""
        merged = {**self.definitions, **{d.key: d for d in definitions}}
        languages = self.labels.keys() | labels.keys()
        laid = {
            language: self.labels.get(language, Labels(language)).with_keys(labels[language])
            if language in labels
            else self.labels[language]
            for language in languages
        }
        areas = [*self.areas.values()]
        return Catalogue(merged.values(), areas, self.groups, laid, version)
