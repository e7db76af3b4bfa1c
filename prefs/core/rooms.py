"""What a property and its rooms can do and which rules apply there: capabilities, policies, television line-up.

These are facts read on the hot path, each with a version. Converting a wish to what a room can do lives in
`fitting.py`; this module only says what was declared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from prefs.core.entries import ANY_TIME, Context


@dataclass(frozen=True, slots=True)
class Range:
    """A device that takes numbers from `minimum` to `maximum` in multiples of `step`, all in its own `unit`.

    `deadband` (Cel, thermostats in auto) is the least distance between the heating and the cooling setpoint.
    """

    minimum: Fraction
    maximum: Fraction
    unit: str
    step: Fraction | None = None
    deadband: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Choices:
    """A device, room or service that offers these elements (ids of the definition; 'true' and 'false' for flags)."""

    offered: tuple[str, ...]


type Capability = Range | Choices


@dataclass(frozen=True, slots=True)
class Channel:
    """One line of a property's television line-up; the network is the identity, the number is local."""

    network_id: str
    number: int
    genre: str = ""
    call_sign: str = ""


class Force(StrEnum):
    MANDATORY = "mandatory"
    RECOMMENDED = "recommended"


class Basis(StrEnum):
    LAW = "law"
    SAFETY = "safety"
    ENERGY = "energy"
    COMFORT = "comfort"
    BRAND = "brand"

    @property
    def may_touch_needs(self) -> bool:
        return self in (Basis.LAW, Basis.SAFETY)


class PolicyLevel(StrEnum):
    PROPERTY = "property"
    BRAND = "brand"


@dataclass(frozen=True, slots=True)
class Policy:
    """A rule of a property or brand about one key.

    Recommended: offers `value` (canonical) below everything the guest said. Mandatory: restricts to
    `minimum`..`maximum` (canonical integers) and/or `allowed` elements, or away from `forbidden` ones; never invents.
    """

    id: str
    key: str
    level: PolicyLevel
    force: Force
    basis: Basis
    context: Context = ANY_TIME
    value: Any = None
    minimum: int | None = None
    maximum: int | None = None
    allowed: tuple[str, ...] | None = None
    forbidden: tuple[str, ...] = ()
    name: str = ""


_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Property:
    """One hotel: its brand, clock, warm months (1-12), what it and its rooms declare, its line-up and its policies."""

    id: str
    brand: str = ""
    name: str = ""
    time_zone: str = "UTC"
    warm_months: frozenset[int] = frozenset()
    capabilities: Mapping[str, Capability] = field(default_factory=lambda: _NOTHING)
    rooms: Mapping[str, Mapping[str, Capability]] = field(default_factory=lambda: _NOTHING)
    lineup: tuple[Channel, ...] | None = None
    policies: tuple[Policy, ...] = ()
    version: int = 0
