"""A guest who objects to being noticed (GDPR Art. 21): nothing observed or guessed about them is recorded or used.

The objection is the guest's own word under a key of the catalogue. For one property or stay it keeps staff there from
writing anything down; for the profile it also sets aside what was written down before. Needs and wishes that were
stated, and what other systems told, are untouched.
"""

from datetime import datetime

from prefs.core.entries import Document, Entry, ProvenanceKind, ScopeKind

OPT_OUT = "privacy.observation_opt_out"
NOTICED = frozenset({ProvenanceKind.OBSERVED, ProvenanceKind.INFERRED})


def _says_so(entry: Entry, at: datetime) -> bool:
    return entry.value is True and (entry.expires_at is None or at < entry.expires_at)


def may_be_noticed(document: Document, at: datetime) -> bool:
    """Whether anything observed or guessed may be recorded."""
    return not any(_says_so(entry, at) for entry in document.of(OPT_OUT))


def is_personalised(document: Document, at: datetime) -> bool:
    """Whether what was observed or guessed may be used."""
    return not any(_says_so(e, at) and e.scope.kind is ScopeKind.PROFILE for e in document.of(OPT_OUT))
