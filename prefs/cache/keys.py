"""What is cached, under which key: one letter for the kind, then the id (`g:gst_...`).

In Redis a key becomes three: `c:NS:{KEY}:e` the entry, `:l` the lease of the one who may fill it, `:f` the fences of
those who are writing. The braces keep the three on one node of a cluster. NS is the beginning of the server's run_id,
so a server that was restarted or promoted starts empty by construction.
"""

import re
from typing import NamedTuple

GUEST, STAYS, PROPERTY, EXTENSIONS = "g", "s", "p", "x"
KINDS = {GUEST: "guest", STAYS: "stays", PROPERTY: "property", EXTENSIONS: "extensions"}
CATALOGUE = EXTENSIONS + ":all"  # the extension of the catalogue is one thing, read whole

# An id of another form is nobody's, or unfit for a key: the store behind answers for it, and no tier remembers.
_CACHEABLE = re.compile(r"[gspx]:[A-Za-z0-9_.:~-]{1,160}")


def cacheable(key: str) -> bool:
    return _CACHEABLE.fullmatch(key) is not None


def kind_of(key: str) -> str:
    return key[0]


def id_of(key: str) -> str:
    return key[2:]


class Names(NamedTuple):
    """The three Redis keys of a cache key."""

    entry: str
    lease: str
    fences: str


def names(namespace: str, key: str) -> Names:
    stem = f"c:{namespace}:{{{key}}}"
    return Names(stem + ":e", stem + ":l", stem + ":f")


def entry_name(namespace: str, key: str) -> str:
    return f"c:{namespace}:{{{key}}}:e"


def channel(namespace: str) -> str:
    return f"inv:{namespace}"


def namespace_of(run_id: str) -> str:
    return run_id[:8]


class Heard(NamedTuple):
    """An invalidation: what was written, to which version (0: unknown), and whether no copy at all may stay."""

    key: str
    version: int
    purge: bool


def message(key: str, version: int, purge: bool) -> str:
    return f"{'w' if purge else 'd'}{version} {key}"


def read_message(data: bytes) -> Heard:
    """Raises ValueError for anything that is not a message of ours."""
    head, _, key = data.decode("ascii").partition(" ")
    if head[:1] not in ("d", "w") or not cacheable(key):
        raise ValueError("not an invalidation")
    return Heard(key, int(head[1:]), head[0] == "w")
