"""A file under a seal: what rests cannot be read, moved or quietly lost, and everything else is as without one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from guestprefs_client import GuestPrefs, SQLiteStore, WrongSeal
from guestprefs_client.ports import Record, Seal, Store
from guestprefs_client.testing import FakeServer

from tests.clients.surroundings import MiddleChance, MovedClock

ANA, BEN = "gst_ana", "gst_ben"


def record(kind: str, guest: str, name: str, data: str, account: str = "a-guest") -> Record:
    return Record(kind, account, guest, name, data.encode())


STEPS: tuple[Callable[[Store], Any], ...] = (
    lambda store: store.put(record("edit", ANA, "1", "one")),
    lambda store: store.put(record("edit", BEN, "2", "two")),
    lambda store: store.put(record("edit", ANA, "3", "three")),
    lambda store: store.put(record("edit", ANA, "1", "one again")),
    lambda store: store.put(record("edit", ANA, "4", "of another account", "b-guest")),
    lambda store: store.get("edit", "a-guest", ANA, "1"),
    lambda store: store.listed("edit", "a-guest"),
    lambda store: store.listed("edit", "a-guest", ANA),
    lambda store: store.drop("edit", "a-guest", ANA, "3"),
    lambda store: store.listed("edit", "a-guest"),
    lambda store: [store.put(record("answer", BEN, name, name)) for name in "abc"],
    lambda store: store.listed("answer", "a-guest"),
    lambda store: store.drop("answer", "a-guest"),
    lambda store: store.listed("answer", "a-guest"),
    lambda store: store.wipe(ANA),
    lambda store: [store.listed("edit", account) for account in ("a-guest", "b-guest")],
    lambda store: store.wipe(),
    lambda store: store.listed("edit", "a-guest"),
    lambda store: store.put(record("seen", BEN, "version", "3")),
    lambda store: store.get("seen", "a-guest", BEN, "version"),
)


@pytest.fixture
def seal() -> Fernet:
    return Fernet(Fernet.generate_key())


def rows(path: Path, words: str, *given: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        return file.execute(words, given).fetchall()


def test_under_a_seal_a_file_does_what_it_does_without_one(seal: Seal, tmp_path: Path) -> None:
    plain = SQLiteStore(tmp_path / "plain.db", answers_max=2)
    sealed = SQLiteStore(tmp_path / "sealed.db", seal=seal, answers_max=2)
    with plain, sealed:
        assert [step(sealed) for step in STEPS] == [step(plain) for step in STEPS]


def test_no_name_and_no_value_can_be_read_where_it_rests(seal: Seal, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with SQLiteStore(path, seal=seal) as store:
        store.put(record("answer", ANA, '{"keys":["accessibility.hearing"]}', "a word"))
        held = path.read_bytes()
    assert [word for word in (b"gst_", b"a-guest", b"accessibility", b"a word") if word in held] == []


def test_a_value_that_was_moved_to_another_record_does_not_open_and_is_forgotten(seal: Seal, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with SQLiteStore(path, seal=seal) as store:
        store.put(record("answer", ANA, "all", "of ana"))
        store.put(record("answer", BEN, "all", "of ben"))
        (ana, _), (_, of_ben) = rows(path, "SELECT place, data FROM records WHERE kind = 'answer' ORDER BY place")
        rows(path, "UPDATE records SET data = ? WHERE place = ?", of_ben, ana)
        assert store.get("answer", "a-guest", ANA, "all") is None
        assert store.get("answer", "a-guest", BEN, "all") == b"of ben"
        assert rows(path, "SELECT count(*) FROM records WHERE kind = 'answer'") == [(1,)]


def test_an_edit_that_does_not_open_is_told_as_given_up_and_the_others_go_on(seal: Seal, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    server = FakeServer()
    ana, ben = server.add_guest(), server.add_guest()
    more: dict[str, Any] = {"clock": MovedClock(), "chance": MiddleChance(), "account": "a-guest"}
    with server.client(store=SQLiteStore(path, seal=seal), outbox=True, offline=True, **more) as client:
        client.edit(ana, {"room.quiet": True})
        client.edit(ben, {"room.quiet": True})
        ((place, guest, data), _) = rows(path, "SELECT place, guest, data FROM records WHERE kind = 'edit' ORDER BY 1")
        rows(path, "UPDATE records SET data = ? WHERE place = ?", data[:-8] + b"AAAAAAA=", place)
        assert [one.guest for one in client.waiting()] == [ben]
        assert [(one.reason, one.patch) for one in client.given_up(ana)] == [("UNREADABLE", {})]
        client.offline = False
        assert client.flush().waiting == 0
        assert server.values(ben) == {"room.quiet": True}
        (letter,) = client.given_up()
        (_, data), *_ = rows(path, "SELECT place, data FROM records WHERE kind = 'dead'")
        rows(path, "UPDATE records SET data = 'nothing' WHERE kind = 'dead'")
        (again,) = client.given_up()  # what says so may be damaged too
        assert (letter.reason, again.reason) == ("UNREADABLE", "UNREADABLE")
        client.discard(again)
        assert client.given_up() == []
        client.wipe(ana)
        assert rows(path, "SELECT count(*) FROM records WHERE guest = ?", guest) == [(0,)]


def test_another_key_is_refused_and_changes_nothing(seal: Seal, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with SQLiteStore(path, seal=seal) as store:
        store.put(record("edit", ANA, "1", "one"))
    before = path.read_bytes()
    with pytest.raises(WrongSeal, match="another key: open it with that one, or remove the file and with it 1 edits"):
        SQLiteStore(path, seal=Fernet(Fernet.generate_key()))
    with pytest.raises(WrongSeal, match="is sealed: give SQLiteStore the seal="):
        SQLiteStore(path)
    assert path.read_bytes() == before
    with SQLiteStore(path, seal=seal) as store:
        assert [one.data for one in store.listed("edit", "a-guest")] == [b"one"]


def test_what_was_kept_without_a_seal_is_sealed_in_place_in_its_order(seal: Seal, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with SQLiteStore(path) as plain:
        for guest, name in ((ANA, "1"), (BEN, "2"), (ANA, "3")):
            plain.put(record("edit", guest, name, name))
    assert b"gst_" in path.read_bytes()
    with SQLiteStore(path, seal=seal) as store:
        assert [one.data for one in store.listed("edit", "a-guest")] == [b"1", b"2", b"3"]
        assert b"gst_" not in path.read_bytes()


def test_a_file_of_which_only_values_were_sealed_is_sealed_whole(seal: Seal, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with SQLiteStore(path) as before:
        before.put(Record("edit", "a-guest", ANA, "1", seal.encrypt(b'{"room.quiet": true}')))
    shutil.copy(path, tmp_path / "b.db")
    with pytest.raises(WrongSeal):
        SQLiteStore(tmp_path / "b.db", seal=Fernet(Fernet.generate_key()))
    with SQLiteStore(path, seal=seal) as store:
        assert [(one.guest, one.data) for one in store.listed("edit", "a-guest")] == [(ANA, b'{"room.quiet": true}')]
        assert b"gst_" not in path.read_bytes()


def test_a_seal_that_cannot_say_now_loses_nothing(seal: Seal, tmp_path: Path) -> None:
    class Keychain:
        locked = False

        def encrypt(self, data: bytes) -> bytes:
            return seal.encrypt(data)

        def decrypt(self, token: bytes) -> bytes:
            if self.locked:
                raise PermissionError("the device is locked")
            return seal.decrypt(token)

    keychain = Keychain()
    with SQLiteStore(tmp_path / "a.db", seal=keychain) as store:
        store.put(record("answer", ANA, "all", "one"))
        keychain.locked = True
        with pytest.raises(PermissionError):
            store.get("answer", "a-guest", ANA, "all")
        keychain.locked = False
        assert store.get("answer", "a-guest", ANA, "all") == b"one"


def test_processes_that_open_a_file_at_once_agree_on_its_names(seal: Seal, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with SQLiteStore(path, seal=seal) as one, SQLiteStore(path, seal=seal) as other:
        one.put(record("edit", ANA, "1", "one"))
        assert other.get("edit", "a-guest", ANA, "1") == b"one"
        other.wipe()
        one.put(record("edit", BEN, "2", "two"))
        assert [record.guest for record in other.listed("edit", "a-guest")] == [BEN]


def test_a_client_with_a_seal_that_changed_says_so_at_once(seal: Seal, tmp_path: Path) -> None:
    with GuestPrefs("http://127.0.0.1:9", store=SQLiteStore(tmp_path / "a.db", seal=seal)) as client:
        assert client.waiting() == []
    with pytest.raises(WrongSeal):
        GuestPrefs("http://127.0.0.1:9", store=SQLiteStore(tmp_path / "a.db", seal=Fernet(Fernet.generate_key())))
