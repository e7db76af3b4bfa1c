"""The product, in which every worker can be asked what it still holds: which living objects hold words that are looked
for. What was freed is no object any more, so nothing that merely has not been overwritten is found here."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from fastapi import FastAPI

from api.app import create_app as real_app
from api.cli import supervisor
from prefs.cache.local import LocalTier
from prefs.core.webhooks import Message
from prefs.services import deliveries
from prefs.services.changes import Stream
from prefs.services.messages import Messages
from prefs.services.tellings import Told
from prefs.services.tombstones import Tombstones
from prefs.store import erasure
from tests.chaos import stamped

ASKED = Path("data", "held.ask")  # the words backwards, so that who looks for them does not hold them
LOOK_S = 0.05
DEFLATED = b"\x78"
ROOTS_MAX = 6  # containers named on the way to what holds a word


def answer_of(pid: int) -> Path:
    return ASKED.with_name(f"held-{pid}.json")


def ask(folder: Path, words: Sequence[str], pids: Sequence[int], timeout_s: float = 60.0) -> dict[int, list[str]]:
    """By process: what living objects hold these words, each with the way to it."""
    answers = {pid: folder / answer_of(pid) for pid in pids}
    for path in answers.values():
        path.unlink(missing_ok=True)
    question = folder / ASKED
    question.with_suffix(".new").write_text("\n".join(word[::-1] for word in words), encoding="utf-8")
    question.with_suffix(".new").rename(question)
    until = time.monotonic() + timeout_s
    while not all(path.exists() for path in answers.values()):
        assert time.monotonic() < until, "a worker does not say what it holds"
        time.sleep(LOOK_S)
    question.unlink()
    return {pid: json.loads(path.read_text(encoding="utf-8")) for pid, path in answers.items()}


def _answer_for_ever() -> None:
    answered = ""
    while True:
        time.sleep(LOOK_S)
        with contextlib.suppress(FileNotFoundError):
            question = f"{ASKED.stat().st_mtime_ns}"
            if question == answered:
                continue
            answered = question
            words = [line[::-1].encode() for line in ASKED.read_text(encoding="utf-8").splitlines()]
            found = sorted(set(holders(words)))
            path = answer_of(os.getpid())
            path.with_suffix(".new").write_text(json.dumps(found), encoding="utf-8")
            path.with_suffix(".new").rename(path)


def holders(words: Sequence[bytes]) -> Iterator[str]:
    """A walk over all objects that live, from every container and every frame; what is packed is unpacked."""
    gc.collect()  # what only rings of garbage hold is freed at the next collection
    mine = {id(words), *map(id, words), *map(id, _frames_of(sys._getframe()))}
    stack: list[tuple[Any, Any]] = [(one, None) for one in (*gc.get_objects(), *sys._current_frames().values())]
    mine |= {id(stack), id(mine)}
    seen, come_from = set[int](), dict[int, Any]()
    mine |= {id(seen), id(come_from)}
    while stack:
        held, holder = stack.pop()
        if id(held) in seen or id(held) in mine:
            continue
        seen.add(id(held))
        if isinstance(held, str | bytes | bytearray | memoryview):
            if holder is not None and any(word in raw for raw in _raw(held) for word in words):
                yield _way(held, holder, come_from)
        elif not isinstance(held, ModuleType | int | float):
            come_from[id(held)] = holder
            stack += [(one, held) for one in gc.get_referents(held) if id(one) not in seen]


def _frames_of(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _raw(held: str | bytes | bytearray | memoryview) -> Iterator[bytes]:
    if isinstance(held, str):
        yield held.encode("utf-8", "surrogatepass")
        return
    raw = bytes(held)
    yield raw
    for at in (0, 1):  # the local tier puts one byte in front, which says how
        if raw[at : at + 1] == DEFLATED:
            with contextlib.suppress(zlib.error):
                yield zlib.decompress(raw[at:])


def _way(held: Any, holder: Any, come_from: dict[int, Any]) -> str:
    names = [type(held).__name__]
    while holder is not None and len(names) < ROOTS_MAX:
        named = getattr(holder, "__qualname__", "")
        names.append(f"{type(holder).__qualname__} {getattr(holder, '__module__', '')} {named}".strip())
        holder = come_from.get(id(holder))
    return " < ".join(names)


# ---- the product, and the product with what an erasure must not leave ----


def create_app() -> FastAPI:
    supervisor._keep_for_good = lambda: None  # what is frozen is not listed
    threading.Thread(target=_answer_for_ever, daemon=True).start()
    stamped.stamp()
    return real_app()


def answers_left() -> FastAPI:
    """Answers kept for repeats are not erased."""
    drop, none = erasure._drop, erasure.IDEMPOTENCY.c.key == "no such key"
    erasure._drop = lambda table: drop(table).where(none) if table is erasure.IDEMPOTENCY else drop(table)
    erasure._DROP_OWN_ANSWERS = erasure._DROP_OWN_ANSWERS.where(none)
    return create_app()


def tier_left() -> FastAPI:
    """The local tier keeps what it is told to let go of, and no process looks for what it holds of the erased."""
    heard = LocalTier.hear

    def hear(self: LocalTier, key: str, version: int, *, purge: bool = False) -> None:
        heard(self, key, version)

    async def sweep(self: Tombstones) -> None:
        return

    LocalTier.hear = hear  # type: ignore[method-assign]
    Tombstones.sweep = sweep  # type: ignore[method-assign]
    return create_app()


LATE_S = 1.0  # later than any erasure is acknowledged


def told_on() -> FastAPI:
    """Streams tell the erased guest's last answer once more instead of the erasure; messages to webhooks say the name,
    and their log keeps the id where no erasure looks for it."""
    app = create_app()
    tell, say = Stream._told, Messages.of_event
    last: dict[str, dict[str, Any]] = {}

    async def tell_on(self: Stream, guest: str, due: Any, outcomes: Any) -> Told | None:
        if due.erased:
            await asyncio.sleep(LATE_S)
            return Told("change", last[guest])
        told = await tell(self, guest, due, outcomes)
        if told is not None and told.data is not None:
            last[guest] = told.data
        return told

    async def say_more(self: Messages, endpoint: Any, event: Any) -> Message | None:
        message = await say(self, endpoint, event)
        document = await self.store.get(event.guest) if message and "version" in message.data else None
        return (
            Message(message.kind, {**message.data, "name": document.display_name}) if message and document else message
        )

    Stream._told = tell_on  # type: ignore[method-assign]
    Messages.of_event = say_more  # type: ignore[method-assign]
    deliveries.event_fields = lambda event, kind: {"place": event.guest, "version": event.version}
    return app
