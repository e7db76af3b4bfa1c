"""resolve(catalogue, document, facts) -> what applies to this guest, here, now, for this surface, and why.

One key goes through four rooms: `candidates` gathers who takes part, `refusals` strikes what was refused, `merging`
makes one value of what remains in the order of `ranking`, and `fitting` holds it against policies and capabilities.
Nothing here reads a clock or keeps anything: the same arguments always give the same answer.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from prefs.core import windows
from prefs.core.access import OWN
from prefs.core.candidates import Gathered, Moment, earliest_expiry, gather, moment
from prefs.core.catalogue import Catalogue, Definition
from prefs.core.entries import Document, Entry, ProvenanceKind
from prefs.core.fitting import fit
from prefs.core.merging import Merged, merge
from prefs.core.objections import is_personalised
from prefs.core.ranking import RULES, Candidate, Rule, rank
from prefs.core.refusals import refused_anywhere, shown, strike
from prefs.core.resolved import Effective, Loser, Negative, Reason, Resolved, Status
from prefs.core.sights import Shown, Sight
from prefs.core.stays import Facts

NOTHING_KNOWN = "NOTHING_KNOWN"
NO_CONSENT = "NO_CONSENT"


def resolve(
    catalogue: Catalogue,
    document: Document,
    facts: Facts,
    *,
    keys: Collection[str] | None = None,
    sight: Sight = OWN,
    live: Sequence[Entry] = (),
    explain: bool = False,
    rules: Sequence[Rule] = RULES,
) -> Resolved:
    """Effective preferences of the keys that this sight goes to, or of those among them that `keys` asks for.

    A key that was asked for is there even when nothing is known of it. Keys withheld for want of consent are told on
    the guest's own surface and absent from every other, where such a key is absent without an entry too: the difference
    would say that there is one.
    """
    purposes = document.purposes_at(facts.consent_at)
    now = moment(facts, sight, purposes, is_personalised(document, facts.at))
    presses = _in_force(live, facts)
    wanted = None if keys is None else frozenset(keys)
    effective: dict[str, Effective] = {}
    for definition in catalogue.visible_to(sight.surface):
        if wanted is not None and definition.key not in wanted:
            continue
        gathered = gather(catalogue, definition, document, presses, now, explain)
        answer = _resolve_one(definition, gathered, now, explain, rules)
        if answer is None and wanted is not None and not gathered.withheld and not _hidden(definition, now):
            answer = Effective(definition.key, None, Status.DEFAULT, None, reason=Reason(NOTHING_KNOWN))
            answer = replace(answer, losers=tuple(gathered.aside)) if explain else answer
        if answer is not None:
            effective[definition.key] = answer
    ends = [consent.expires_at for consent in document.consents if consent.holds(facts.consent_at)]
    until = _valid_until(facts, earliest_expiry(catalogue, document, presses, now), *ends)
    return Resolved(document.guest, document.version, effective, until)


def _hidden(definition: Definition, now: Moment) -> bool:
    """Whether nothing of it is told here for want of consent, whatever the guest said."""
    return definition.is_special_as_a_whole and now.sight.applied(definition, True, now.purposes) is Shown.NOTHING


def _in_force(live: Sequence[Entry], facts: Facts) -> list[Entry]:
    """Presses end with the stay; hold times are looked at like any other expiry (resolving rule 4)."""
    if not live or (facts.stay is not None and facts.at >= facts.stay.departure):
        return []
    return [entry for entry in live if entry.provenance.kind is ProvenanceKind.LIVE]


def _valid_until(facts: Facts, *expiries: datetime | None) -> datetime:
    place = facts.property
    zone = place.time_zone if place else "UTC"
    ends = [
        windows.next_boundary(facts.at, zone),
        windows.next_season_change(facts.at, zone, place.warm_months) if place else None,
        *expiries,
        facts.stay.departure if facts.stay else None,
    ]
    return min(end for end in ends if end is not None and end > facts.at)


def _resolve_one(
    definition: Definition, gathered: Gathered, now: Moment, explain: bool, rules: Sequence[Rule]
) -> Effective | None:
    if gathered.withheld:
        if now.sight.applied(definition, True, now.purposes) is not Shown.EXISTENCE:
            return None
        return Effective(definition.key, None, Status.WITHHELD_NO_CONSENT, None, reason=Reason(NO_CONSENT))
    if not (gathered.positives or gathered.negatives):
        return None
    ranked = rank(gathered.positives, rules)
    remaining, fallen = strike(definition, ranked, gathered.negatives, rules)
    merged = merge(definition, remaining, rules)
    nots = shown(definition, gathered.negatives, merged.contributors if merged else (), rules)
    if merged is None and not nots:
        return None
    answer = _answer(definition, gathered, merged, now) if merged else _only_refused(definition.key, nots)
    if nots:
        answer = replace(answer, nots=tuple(told for told, _ in nots))
    if any(negative.special for _, negative in nots):
        answer = replace(answer, special=True)
    if explain:
        lost = [_loser(candidate, code) for candidate, code in (*fallen, *(merged.lost if merged else ()))]
        answer = replace(answer, losers=(*lost, *gathered.aside))
    return answer


def _answer(definition: Definition, gathered: Gathered, merged: Merged, now: Moment) -> Effective:
    winner = merged.winner
    refused = refused_anywhere(definition, gathered.negatives)
    fitted = fit(definition, merged, refused, now)
    return Effective(
        definition.key,
        fitted.value,
        fitted.status,
        winner.layer,
        strength=None if winner.is_default else merged.strength,
        reason=fitted.reason,
        entered=fitted.entered,
        device_value=fitted.device_value,
        entry="" if winner.is_default else winner.id,
        special=any(candidate.special for candidate in merged.contributors),
    )


def _only_refused(key: str, nots: Sequence[tuple[Negative, Candidate]]) -> Effective:
    """A key with nothing but negatives: no value, and the strongest of them speaks (resolving rule 10)."""
    strongest, candidate = nots[0]
    return Effective(key, None, Status.APPLIED, strongest.layer, strength=strongest.strength, entry=candidate.id)


def _loser(candidate: Candidate, code: str) -> Loser:
    return Loser(candidate.id, candidate.layer, candidate.stated, candidate.strength, code, candidate.context)
