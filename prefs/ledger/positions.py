"""How records, their moments and their places in a listing are told outside, and how accesses become records."""

import re
from datetime import UTC, datetime, timedelta

from prefs.core.accesses import Access, Chained, Recorded
from prefs.telemetry import strike_guests

POSITION = re.compile(r"(\d{1,17})\.([0-9a-f]{8}-\d{1,3})\.(\d{1,15})")
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def place_of(position: str | None) -> tuple[int, str, int] | None:
    """Raises ValueError for what is no position."""
    if position is None:
        return None
    found = POSITION.fullmatch(position)
    if found is None:
        raise ValueError("not a position in the ledger")
    return int(found[1]), found[2], int(found[3])


def fields_of(access: Access, writer: str, seq: int, pseudonym: str) -> tuple[str | int, ...]:
    """All of a record but its hash. A guest who acts for themselves is nobody else than whom the record is about."""
    actor = "" if access.actor == access.guest else strike_guests(_plain(access.actor))
    return (
        writer,
        seq,
        microseconds(access.at),
        actor,
        access.role,
        _plain(access.surface),
        _plain(access.property),
        access.act,
        access.outcome,
        pseudonym,
        access.version,
        " ".join(access.keys),
        " ".join(access.purposes),
        strike_guests(_plain(access.request)),
    )


def _plain(text: str) -> str:
    """As every database can hold it."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def recorded(row: Chained, guest: str) -> Recorded:
    access = Access(
        at=moment(row.at),
        actor=row.actor,
        role=row.role,
        surface=row.surface,
        act=row.act,
        outcome=row.outcome,
        property=row.property,
        guest=guest,
        version=row.version,
        keys=tuple(row.keys.split()),
        purposes=tuple(row.purposes.split()),
        request=row.request,
    )
    return Recorded(access, f"{row.at}.{row.writer}.{row.seq}")
