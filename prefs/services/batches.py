"""What a batch hands back: an item per guest, in the order asked, each an answer or a problem of its own."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

from prefs.core.errors import InvalidEdit, PrefsError
from prefs.services.answers import Answer


@dataclass(frozen=True, slots=True)
class Item:
    """One guest of a batch: the answer, or the problem of this guest as code and detail."""

    guest: str
    answer: Answer | None = None
    problem: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        return self.answer.body if self.answer else {"guest": self.guest, "problem": dict(self.problem)}


class Batch(list[Item]):
    """`recorded` says whether what the batch shows is in the ledger; if not, it was kept back from the items."""

    recorded: bool

    @classmethod
    def of(cls, items: Iterable[Item], *, recorded: bool) -> Self:
        batch = cls(items)
        batch.recorded = recorded
        return batch


@contextmanager
def named_in_body() -> Iterator[None]:
    """Faults of what is elsewhere a query parameter, told as the body members they are in a batch."""
    try:
        yield
    except InvalidEdit as refused:
        raise InvalidEdit([replace(fault, pointer=f"/{fault.pointer}") for fault in refused.faults]) from None


def problem(error: PrefsError) -> dict[str, str]:
    return {"code": error.code, "detail": str(error)}
