"""The promises of `Store`, kept by a store under tiers as by the bare one: the same tests over other fixtures."""

from __future__ import annotations

from prefs.cache.loader import Freshness
from tests.store import test_contract, test_contract_facts, test_contract_races

SUITE = {
    name: test
    for module in (test_contract, test_contract_facts, test_contract_races)
    for name, test in vars(module).items()
    if name.startswith("test_")
}
globals().update(SUITE)


def test_the_whole_suite_is_here() -> None:
    assert len(SUITE) > 40
    assert Freshness.DEFAULT < Freshness.SHARED < Freshness.STORE
