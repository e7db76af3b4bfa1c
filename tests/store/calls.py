"""One call of every method of the port, for tests that try them all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prefs.core.changes import Cursor
from prefs.core.enrolment import Changes, Credential, Kind
from prefs.core.entries import Identifier
from prefs.core.erasure import Tombstone
from prefs.core.revocations import Revocable, Revocation
from prefs.ports import Lookup, Once, Store
from tests.store.samples import NOW, entry, name, newborn, put, stay

type Call = Callable[[Store], Awaitable[object]]

TOMBSTONE = Tombstone("d1", NOW, "rcp_1")
READS: dict[str, Call] = {
    "get": lambda store: store.get("gst_1"),
    "get_many": lambda store: store.get_many(["gst_1", "gst_2"]),
    "find": lambda store: store.find(Identifier("pms", "1")),
    "history": lambda store: store.history("gst_1", 10),
    "look_up": lambda store: store.look_up(Lookup(["gst_1"], ["gst_1"], ["htl_1"], True)),
    "live": lambda store: store.live(stay("sty_1", "gst_1", "htl_1")),
    "stay": lambda store: store.stay("sty_1"),
    "stays_of": lambda store: store.stays_of(["gst_1"]),
    "property": lambda store: store.property("htl_1"),
    "properties": lambda store: store.properties(10),
    "extensions": lambda store: store.extensions(),
    "usage": lambda store: store.usage("bed.type"),
    "guests_with": lambda store: store.guests_with("bed.type", 10),
    "guests": lambda store: store.guests(10),
    "guests_at": lambda store: store.guests_at("htl_1", 10),
    "feed.page": lambda store: store.feed.page(Cursor(), 10),
    "feed.end": lambda store: store.feed.end(),
    "papers": lambda store: store.papers("gst_1"),
    "tombstone": lambda store: store.tombstone("d1"),
    "tombstones": lambda store: store.tombstones(),
    "ping": lambda store: store.ping(),
    "credentials.get": lambda store: store.credentials.get(Kind.LINK, "lnk_1"),
    "credentials.of_property": lambda store: store.credentials.of_property(Kind.DEVICE, "htl_1", NOW, 10),
    "credentials.revocations": lambda store: store.credentials.revocations(NOW),
}
WRITES: dict[str, Call] = {
    "erase": lambda store: store.erase("gst_1", TOMBSTONE),
    "bury": lambda store: store.bury([TOMBSTONE]),
    "rewrite_history": lambda store: store.rewrite_history("gst_1", []),
    "drop_waiting": lambda store: store.drop_waiting(NOW, 10),
    "forget_answers": lambda store: store.forget_answers(),
    "keep_receipt": lambda store: store.keep_receipt("d1", "signed"),
    "create": lambda store: store.create(newborn(name("gst")), Once("caller", name("key"), "f")),
    "write": lambda store: store.write("gst_1", put("prf_a", 1)),
    "put_live": lambda store: store.put_live(stay("sty_1", "gst_1", "htl_1"), [entry("prf_a")]),
    "put_stay": lambda store: store.put_stay(stay("sty_1", "gst_1", "htl_1")),
    "put_property": lambda store: store.put_property("htl_1", {}),
    "delete_property": lambda store: store.delete_property("htl_1"),
    "put_extension": lambda store: store.put_extension("spa.oil", {}),
    "feed.trim": lambda store: store.feed.trim(NOW, 10),
    "credentials.add": lambda store: store.credentials.add(Credential(Kind.LINK, name("lnk"), {}, NOW), NOW),
    "credentials.change": lambda store: store.credentials.change(
        Kind.LINK, "lnk_1", lambda found: Changes(found, [Credential(Kind.LINK, "lnk_1", {}, NOW)])
    ),
    "credentials.revoke": lambda store: store.credentials.revoke([Revocation(Revocable.TOKEN, "1", NOW, NOW)], NOW),
}
ALL = READS | WRITES
