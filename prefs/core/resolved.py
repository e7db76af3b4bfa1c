"""What resolving answers: effective preferences with status, layer, reason, and why every other candidate lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from prefs.core.entries import Context, Entered, Strength


class Status(StrEnum):
    APPLIED = "applied"
    CLAMPED = "clamped"
    SUBSTITUTED = "substituted"
    UNMET = "unmet"
    SUPPRESSED_BY_POLICY = "suppressed_by_policy"
    WITHHELD_NO_CONSENT = "withheld_no_consent"
    NO_PREFERENCE = "no_preference"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Step:
    """One rule that altered the value, in order: canonical before and after."""

    code: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the value is what it is. `code` belongs to the step that set the status (resolving rule 25).

    `requested`, `missing` and `limit` are canonical; `policy` is a policy id, `policy_name` what its hotel calls it.
    Empty members are None, '' or ().
    """

    code: str
    requested: Any = None
    entered: Entered | None = None
    policy: str = ""
    missing: Any = None
    steps: tuple[Step, ...] = ()
    limit: Any = None
    policy_name: str = ""


@dataclass(frozen=True, slots=True)
class Negative:
    """A value the guest does not want (`avoid`) or must not get (`unacceptable`), for the `not` of the answer."""

    value: Any
    strength: Strength
    layer: str


@dataclass(frozen=True, slots=True)
class Loser:
    """A candidate that did not win, for `explain`: its layer, canonical value and the code of why it lost."""

    entry: str
    layer: str
    value: Any
    strength: Strength
    code: str
    context: Context


@dataclass(frozen=True, slots=True)
class Effective:
    """One key's answer. `value` is canonical; `device_value` is the device's own number(s) where a device drives it.

    `entry` is the id of the winning entry, empty for policies and defaults; `special` says whether it holds
    special-category data, so that a view can hold it back.
    """

    key: str
    value: Any
    status: Status
    layer: str | None
    strength: Strength | None = None
    reason: Reason | None = None
    entered: Entered | None = None
    nots: tuple[Negative, ...] = ()
    device_value: Any = None
    losers: tuple[Loser, ...] = ()
    entry: str = ""
    special: bool = False


@dataclass(frozen=True, slots=True)
class Resolved:
    """Everything that applies to a guest at one moment, by key in catalogue order; true until `valid_until`."""

    guest: str
    version: int
    effective: Mapping[str, Effective]
    valid_until: datetime | None
