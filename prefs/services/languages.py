"""Which of the catalogue's languages a caller reads: RFC 4647 Lookup over what they sent, English when none fits."""

from prefs.core.catalogue import Catalogue
from prefs.core.labels import FALLBACK_LANGUAGE, Labels, lookup, ranges


def spoken(catalogue: Catalogue, accept_language: str) -> Labels:
    """Labels in the best language for an Accept-Language header, or for a plain language tag."""
    found = lookup(ranges(accept_language), list(catalogue.labels)) or FALLBACK_LANGUAGE
    return catalogue.labels.get(found) or Labels(FALLBACK_LANGUAGE, "English")
