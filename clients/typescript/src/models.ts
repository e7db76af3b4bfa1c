// Shapes of the answers, made from clients/openapi.json by `make sdk-models`: never edited by hand.

export type ActionElement = {
    text: string;
    count?: number;
    strength?: string;
    [key: string]: unknown;
};

export type Area = {
    id: string;
    title: string;
    order: number;
    [key: string]: unknown;
};

export type Batch = {
    items: Array<BatchItem>;
    [key: string]: unknown;
};

/**
 * One guest's answer, or the problem that this guest has; the call as a whole succeeds.
 */
export type BatchItem = {
    guest: string;
    version?: number;
    valid_until?: string;
    preferences?: {
        [key: string]: Preference;
    };
    problem?: Problem;
    [key: string]: unknown;
};

export type Capability = {
    name: string;
    source: string;
    [key: string]: unknown;
};

/**
 * Grouped by area and ordered, in the language matched from Accept-Language.
 */
export type Catalogue = {
    version: number;
    language: string;
    direction: string;
    languages: Array<Language>;
    areas: Array<Area>;
    strengths: {
        [key: string]: string;
    };
    contexts: {
        [key: string]: Array<string>;
    };
    groups: Array<Group>;
    definitions: Array<Definition>;
    [key: string]: unknown;
};

/**
 * One accepted write.
 */
export type Change = {
    version: number;
    at: string;
    actor: string;
    role: string;
    surface: string;
    action: string;
    note: string;
    keys: Array<KeyChange>;
    [key: string]: unknown;
};

/**
 * Both sides of an edit and what they started from, so that a client can show or merge them.
 */
export type Conflict = {
    key: string;
    yours: unknown;
    theirs: unknown;
    base: unknown;
    by: string;
    at: string;
    version: number;
    [key: string]: unknown;
};

export type Consent = {
    purpose: string;
    granted_at: string;
    actor: string;
    surface: string;
    expires_at?: string;
    receipt?: number;
    [key: string]: unknown;
};

/**
 * A candidate that did not win, and why.
 */
export type Considered = {
    entry?: string;
    layer: string;
    value: unknown;
    strength: string;
    context?: {
        [key: string]: string;
    };
    code: string;
    text?: string;
    [key: string]: unknown;
};

/**
 * One key with all that a client needs to draw its editor; `value` describes the kind of value.
 */
export type Definition = {
    key: string;
    area: string;
    order: number;
    title: string;
    help: string;
    review: string;
    value: {
        [key: string]: unknown;
    };
    merge: string;
    scopes: Array<string>;
    contexts: Array<string>;
    strengths: Array<string>;
    sensitivity: string;
    purpose: string;
    purposes?: {
        [key: string]: string;
    };
    surfaces: {
        [key: string]: string;
    };
    default: unknown;
    clamp: string;
    retention: string;
    fixed_strength?: string;
    special_when?: SpecialWhen;
    stands_for?: StandsFor;
    capability?: Capability;
    strictest_order?: Array<unknown>;
    codes?: Array<string>;
    deprecated_by?: string;
    [key: string]: unknown;
};

/**
 * The guest's version after the edit, and every touched key as it applies now. Imported keys that wait for the
 * guest's consent are named in `waiting_for_consent` and stored nowhere else.
 */
export type Edited = {
    guest: string;
    version: number;
    preferences: {
        [key: string]: Preference;
    };
    warnings: Array<Warning>;
    waiting_for_consent?: Array<string>;
    [key: string]: unknown;
};

/**
 * What applies; `valid_until` is left out when only a write can change it.
 */
export type EffectivePreferences = {
    guest: string;
    version: number;
    valid_until?: string;
    preferences: {
        [key: string]: Preference;
    };
    [key: string]: unknown;
};

/**
 * What was typed, to the digit.
 */
export type Entered = {
    value: unknown;
    unit: string;
    [key: string]: unknown;
};

/**
 * One thing known; where consent to see it is missing, or the ledger cannot record who would, `status` says so
 * instead of value and strength.
 */
export type Entry = {
    id: string;
    scope: string;
    status?: string;
    value?: unknown;
    unit?: string;
    entered?: Entered;
    strength?: string;
    context?: {
        [key: string]: string;
    };
    provenance: Provenance;
    version: number;
    expires_at?: string;
    [key: string]: unknown;
};

/**
 * What went with a withdrawn consent, and the version of the receipt that says so.
 */
export type Erased = {
    purpose: string;
    keys: Array<string>;
    entries: number;
    waiting: number;
    receipt: number | null;
    [key: string]: unknown;
};

/**
 * One thing wrong: `pointer` (RFC 6901) into the body, or `parameter` by name.
 */
export type Fault = {
    pointer?: string;
    parameter?: string;
    code: string;
    detail: string;
    [key: string]: unknown;
};

/**
 * At most `max` of the members may be stated together in one scope and context.
 */
export type Group = {
    id: string;
    members: Array<string>;
    max: number;
    reason: string;
    [key: string]: unknown;
};

/**
 * The full document; of it, staff and devices get what their surface may see.
 */
export type Guest = {
    guest: string;
    version: number;
    display_name: string | null;
    identifiers?: Array<Identifier>;
    consents?: Array<Consent>;
    effective_by?: string;
    erased?: Erased;
    imported?: LetIn;
    declined?: number;
    entries: {
        [key: string]: {
            [key: string]: Array<Entry>;
        };
    };
    [key: string]: unknown;
};

export type History = {
    changes: Array<Change>;
    next_cursor: string | null;
    [key: string]: unknown;
};

export type Identifier = {
    system: string;
    id: string;
    [key: string]: unknown;
};

export type InvitationBody = {
    purpose: string;
    keys: Array<string>;
    [key: string]: unknown;
};

/**
 * The call that asks the guest for the consent which was missing.
 */
export type InvitationOffer = {
    method: string;
    href: string;
    body: InvitationBody;
    [key: string]: unknown;
};

export type KeyChange = {
    key: string;
    before: Array<Entry>;
    after: Array<Entry>;
    [key: string]: unknown;
};

export type Language = {
    language: string;
    name: string;
    [key: string]: unknown;
};

/**
 * Imported values that waited for a consent: `keys` are entries now, `dropped` the catalogue takes no more.
 */
export type LetIn = {
    keys: Array<string>;
    dropped: Array<string>;
    [key: string]: unknown;
};

export type Negative = {
    value: unknown;
    strength: string;
    layer: string;
    [key: string]: unknown;
};

/**
 * What applies for one key. A surface that only acts gets `action` and `elements` in place of value and reason.
 */
export type Preference = {
    not?: Array<Negative>;
    value?: unknown;
    unit?: string;
    entered?: Entered;
    strength?: string;
    status: string;
    layer?: string | null;
    reason?: Reason;
    device_value?: unknown;
    considered?: Array<Considered>;
    action?: string | null;
    elements?: Array<ActionElement>;
    [key: string]: unknown;
};

export type Problem = {
    type: string;
    title: string;
    status: number;
    detail: string;
    code: string;
    errors: Array<Fault>;
    request_id: string;
    conflicts?: Array<Conflict>;
    current_version?: number;
    identifier?: TakenIdentifier;
    counts?: {
        [key: string]: number;
    };
    invitations?: Array<InvitationOffer>;
    [key: string]: unknown;
};

export type Provenance = {
    kind: string;
    actor: string;
    surface: string;
    at: string;
    source?: string;
    [key: string]: unknown;
};

/**
 * Why the value is not plainly what was asked for: a code for programs, a sentence for people.
 */
export type Reason = {
    code: string;
    requested?: unknown;
    entered?: Entered;
    policy?: string;
    missing?: unknown;
    steps?: Array<ReasonStep>;
    text?: string;
    [key: string]: unknown;
};

/**
 * One rule that altered the value.
 */
export type ReasonStep = {
    from: unknown;
    code: string;
    to: unknown;
    [key: string]: unknown;
};

export type SpecialWhen = {
    strengths: Array<string>;
    values: Array<string>;
    [key: string]: unknown;
};

export type StandsFor = {
    key: string;
    time_of_day: string;
    [key: string]: unknown;
};

export type TakenIdentifier = {
    system: string;
    id: string;
    [key: string]: unknown;
};

/**
 * An edit that was stored and will not have its way, and what stands before it.
 */
export type Warning = {
    key: string;
    code: string;
    entry: string;
    text: string;
    [key: string]: unknown;
};
