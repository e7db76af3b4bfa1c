"""Waiting for work nobody may cancel: what counts as a sign of life, and what does not."""

from __future__ import annotations

import asyncio

import pytest

from prefs.core.errors import StoreUnavailable
from prefs.store.engines import Unit
from prefs.store.waiting import PROBE_S, Waiter

FAILURES_MAX = 40


async def _dead(_: Unit) -> None:
    await asyncio.sleep(30)


async def _gives_up(_: Unit) -> None:
    await asyncio.sleep(0.15)
    raise OSError("connection reset")


async def _answers(_: Unit) -> None:
    await asyncio.sleep(0.15)


async def test_work_that_fails_is_no_sign_of_life() -> None:
    """A frozen server makes older work fail one by one; that must not keep later callers waiting."""
    waiter, failures = Waiter(silent_slices_max=3), 0

    async def fail_again_and_again() -> None:
        nonlocal failures
        while failures < FAILURES_MAX:
            with pytest.raises(OSError, match="reset"):
                await waiter.wait(_gives_up)
            failures += 1

    others = asyncio.create_task(fail_again_and_again())
    with pytest.raises(StoreUnavailable):
        await waiter.wait(_dead)
    others.cancel()
    await asyncio.gather(others, return_exceptions=True)

    assert failures < FAILURES_MAX


async def test_answers_to_others_keep_a_caller_waiting() -> None:
    waiter = Waiter(silent_slices_max=3)
    slow = asyncio.create_task(waiter.wait(lambda _: asyncio.sleep(1.2, "late")))
    for _ in range(7):
        await waiter.wait(_answers)

    assert await slow == "late"


async def test_after_silence_one_finds_out_and_nobody_else_waits() -> None:
    waiter, asked = Waiter(silent_slices_max=2), 0

    async def ask(_: Unit) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(30)

    with pytest.raises(StoreUnavailable):
        await waiter.wait(ask)
    others = [asyncio.create_task(waiter.wait(ask)) for _ in range(50)]
    refused = await asyncio.gather(*others, return_exceptions=True)
    assert asked == 2, "the first, and one of the others to find out"
    assert all(isinstance(one, StoreUnavailable) for one in refused)

    await asyncio.sleep(PROBE_S)
    await waiter.wait(_answers)
    assert await asyncio.gather(*(waiter.wait(_answers) for _ in range(50))) == [None] * 50
