"""What `doctor` finds: a sentence, and whether all is well."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    fine: bool
    sentence: str
