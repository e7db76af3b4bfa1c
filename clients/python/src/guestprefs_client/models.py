"""Shapes of the answers, made from clients/openapi.json by `make sdk-models`: never edited by hand."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ActionElement(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    text: str
    count: int | None = None
    strength: str | None = None


class Area(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    id: str
    title: str
    order: int


class Capability(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    name: str
    source: str


class Conflict(BaseModel):
    """
    Both sides of an edit and what they started from, so that a client can show or merge them.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    key: str
    yours: Any
    theirs: Any
    base: Any
    by: str
    at: str
    version: int


class Consent(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    purpose: str
    granted_at: str
    actor: str
    surface: str
    expires_at: str | None = None
    receipt: int | None = None


class Considered(BaseModel):
    """
    A candidate that did not win, and why.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    entry: str | None = None
    layer: str
    value: Any
    strength: str
    context: dict[str, str] | None = None
    code: str
    text: str | None = None


class Entered(BaseModel):
    """
    What was typed, to the digit.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    value: Any
    unit: str


class Erased(BaseModel):
    """
    What went with a withdrawn consent, and the version of the receipt that says so.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    purpose: str
    keys: list[str]
    entries: int
    waiting: int
    receipt: int | None


class Fault(BaseModel):
    """
    One thing wrong: `pointer` (RFC 6901) into the body, or `parameter` by name.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    pointer: str | None = None
    parameter: str | None = None
    code: str
    detail: str


class Group(BaseModel):
    """
    At most `max` of the members may be stated together in one scope and context.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    id: str
    members: list[str]
    max: int
    reason: str


class Identifier(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    system: str
    id: str


class InvitationBody(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    purpose: str
    keys: list[str]


class InvitationOffer(BaseModel):
    """
    The call that asks the guest for the consent which was missing.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    method: str
    href: str
    body: InvitationBody


class Language(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    language: str
    name: str


class LetIn(BaseModel):
    """
    Imported values that waited for a consent: `keys` are entries now, `dropped` the catalogue takes no more.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    keys: list[str]
    dropped: list[str]


class Negative(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    value: Any
    strength: str
    layer: str


class Provenance(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    kind: str
    actor: str
    surface: str
    at: str
    source: str | None = None


class ReasonStep(BaseModel):
    """
    One rule that altered the value.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    from_: Any = Field(..., alias="from")
    code: str
    to: Any


class SpecialWhen(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    strengths: list[str]
    values: list[str]


class StandsFor(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    key: str
    time_of_day: str


class TakenIdentifier(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    system: str
    id: str


class Warning(BaseModel):
    """
    An edit that was stored and will not have its way, and what stands before it.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    key: str
    code: str
    entry: str
    text: str


class Definition(BaseModel):
    """
    One key with all that a client needs to draw its editor; `value` describes the kind of value.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    key: str
    area: str
    order: int
    title: str
    help: str
    review: str
    value: dict[str, Any]
    merge: str
    scopes: list[str]
    contexts: list[str]
    strengths: list[str]
    sensitivity: str
    purpose: str
    purposes: dict[str, str] | None = None
    surfaces: dict[str, str]
    default: Any
    clamp: str
    retention: str
    fixed_strength: str | None = None
    special_when: SpecialWhen | None = None
    stands_for: StandsFor | None = None
    capability: Capability | None = None
    strictest_order: list[Any] | None = None
    codes: list[str] | None = None
    deprecated_by: str | None = None


class Entry(BaseModel):
    """
    One thing known; where consent to see it is missing, or the ledger cannot record who would, `status` says so
    instead of value and strength.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    id: str
    scope: str
    status: str | None = None
    value: Any | None = None
    unit: str | None = None
    entered: Entered | None = None
    strength: str | None = None
    context: dict[str, str] | None = None
    provenance: Provenance
    version: int
    expires_at: str | None = None


class Guest(BaseModel):
    """
    The full document; of it, staff and devices get what their surface may see.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    guest: str
    version: int
    display_name: str | None
    identifiers: list[Identifier] | None = None
    consents: list[Consent] | None = None
    effective_by: str | None = None
    erased: Erased | None = None
    imported: LetIn | None = None
    declined: int | None = None
    entries: dict[str, dict[str, list[Entry]]]


class KeyChange(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    key: str
    before: list[Entry]
    after: list[Entry]


class Problem(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Fault]
    request_id: str
    conflicts: list[Conflict] | None = None
    current_version: int | None = None
    identifier: TakenIdentifier | None = None
    counts: dict[str, int] | None = None
    invitations: list[InvitationOffer] | None = None


class Reason(BaseModel):
    """
    Why the value is not plainly what was asked for: a code for programs, a sentence for people.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    code: str
    requested: Any | None = None
    entered: Entered | None = None
    policy: str | None = None
    missing: Any | None = None
    steps: list[ReasonStep] | None = None
    text: str | None = None


class Catalogue(BaseModel):
    """
    Grouped by area and ordered, in the language matched from Accept-Language.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    version: int
    language: str
    direction: str
    languages: list[Language]
    areas: list[Area]
    strengths: dict[str, str]
    contexts: dict[str, list[str]]
    groups: list[Group]
    definitions: list[Definition]


class Change(BaseModel):
    """
    One accepted write.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    version: int
    at: str
    actor: str
    role: str
    surface: str
    action: str
    note: str
    keys: list[KeyChange]


class History(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    changes: list[Change]
    next_cursor: str | None


class Preference(BaseModel):
    """
    What applies for one key. A surface that only acts gets `action` and `elements` in place of value and reason.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    not_: list[Negative] | None = Field(None, alias="not")
    value: Any | None = None
    unit: str | None = None
    entered: Entered | None = None
    strength: str | None = None
    status: str
    layer: str | None = None
    reason: Reason | None = None
    device_value: Any | None = None
    considered: list[Considered] | None = None
    action: str | None = None
    elements: list[ActionElement] | None = None


class BatchItem(BaseModel):
    """
    One guest's answer, or the problem that this guest has; the call as a whole succeeds.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    guest: str
    version: int | None = None
    valid_until: str | None = None
    preferences: dict[str, Preference] | None = None
    problem: Problem | None = None


class Edited(BaseModel):
    """
    The guest's version after the edit, and every touched key as it applies now. Imported keys that wait for the
    guest's consent are named in `waiting_for_consent` and stored nowhere else.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    guest: str
    version: int
    preferences: dict[str, Preference]
    warnings: list[Warning]
    waiting_for_consent: list[str] | None = None


class EffectivePreferences(BaseModel):
    """
    What applies; `valid_until` is left out when only a write can change it.
    """

    model_config = ConfigDict(
        extra="allow",
    )
    guest: str
    version: int
    valid_until: str | None = None
    preferences: dict[str, Preference]


class Batch(BaseModel):
    model_config = ConfigDict(
        extra="allow",
    )
    items: list[BatchItem]
