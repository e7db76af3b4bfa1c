"""What every use case hands back: a plain JSON body, with the versions a face needs for its headers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prefs.core.catalogue import Catalogue
from prefs.core.changes import Coherence, Written
from prefs.core.consents import lapsed, without_values
from prefs.core.sightings import Sighting
from prefs.ports import ANSWERS_KEPT


@dataclass(frozen=True, slots=True)
class Answer:
    """`version` is that of the document, record or catalogue the body was made from; None where there is none."""

    body: dict[str, Any]
    version: int | None = None
    valid_until: datetime | None = None
    replayed: bool = False
    coherence: Coherence = Coherence.WHOLE
    effective_by: datetime | None = None  # done, but until then it may not be seen everywhere
    holds_until: datetime | None = None  # an answer about now is the same until then, unless something is written
    sighting: Sighting | None = None  # what has to be in the ledger whenever these bytes are told


def answered(written: Written, catalogue: Catalogue, now: datetime) -> Answer:
    """What a write answers. A repeat hears what was answered first, but for what rested on a consent that has ended
    since."""
    body = dict(written.answer)
    if written.replayed:
        body = without_values(body, lapsed(catalogue, written.document, now, now - ANSWERS_KEPT))
    version = body.get("version")
    known = version if isinstance(version, int) else written.document.version
    return Answer(body, known, replayed=written.replayed, coherence=written.coherence)
