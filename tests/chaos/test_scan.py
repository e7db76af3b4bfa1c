"""P24: a word of its own under every key of every class; everybody asks everything; no word is where it may not be.

Beside the words, an answer must not so much as name a preference key that its reader may not know of, unless it
says the same of a guest of whom nothing is known.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.api.samples import all_operations
from tests.chaos import leaky, live, marks, sinks
from tests.chaos.grounds import Grounds
from tests.chaos.marked import GUESTS, Asker, Marked
from tests.chaos.marks import DEFINITIONS
from tests.chaos.permitted import TELLS, may_tell
from tests.chaos.walk import Walk

pytestmark = pytest.mark.timeout(600)
DOCUMENT = json.loads((Path(__file__).parents[2] / "clients" / "openapi.json").read_text(encoding="utf-8"))
PRODUCT, LEAKY = "api.app:create_app", "tests.chaos.leaky:create_app"
FEW = {
    *("guest ana guest_app", "guest ana kiosk", "link ana guest_app", "device tv dallas", "device kiosk dallas"),
    *("staff housekeeping dallas", "staff front_desk dallas", "staff food cleveland", "service guest_app"),
    *("service tv", "operator guest_app", "service guest_app without permission"),
}

# What reads nothing of any guest; deliveries name one, and no key.
SILENT = {
    *("get_catalogue", "list_properties", "get_property", "get_device_grant", "list_devices", "get_server_metadata"),
    *("get_keys", "livez", "readyz", "get_version", "metrics"),
    *("get_receipt_keys", "get_export_schema", "get_receipt_schema"),
    *("list_webhooks", "get_webhook", "list_deliveries"),
}
FEWER = {"guest ana guest_app", "guest ana kiosk", "device tv dallas", "service tv", "staff housekeeping dallas"}


# ---- what was found ----


def unseen(walk: Walk, askers: Sequence[Asker]) -> list[str]:
    """What somebody may see as a value and was told nowhere: a scan of answers that tell nothing finds nothing."""
    missing = []
    for asker in askers:
        if walk.seen[asker.name, "get_preferences"] and not walk.seen[asker.name, "get_changes"]:
            missing.append(f"{asker.name}: streams tell nothing")
        for operation in ("get_preferences", "get_guest"):
            for mark in walk.stage.marks:
                if mark.layer != "now" or not marks.has_room(DEFINITIONS[mark.key].kind):
                    continue
                if "cnry" not in may_tell(walk.verdicts, asker, operation, mark):
                    continue
                if ("cnry", mark.id) not in walk.seen[asker.name, operation]:
                    missing.append(f"{asker.name}: {operation} does not tell {mark}")
    return missing


def sunk(stage: Marked, overheard: sinks.Overheard, hooks: live.Hooks) -> dict[str, set[str]]:
    """Where else words were found that nobody is told there; every such place, with the ids of what it holds."""
    stage.http.get("/v1/guests/gst_none")
    names, held = sinks.of_redis(stage.grounds)
    rows, count = sinks.of_tables(stage.grounds)
    texts = {
        "log": sinks.settled(stage.grounds),
        "metrics": stage.http.get("/metrics").text,
        "redis keys": names,
        "redis": held,
        "redis traffic": overheard.text(),
        "tables": rows,
        "files": sinks.of_files(stage.grounds),
        "webhooks": hooks.text(),
        "webhooks' log": hooks.log(),
    }
    assert count > 100 and names.count("c:") > 5 and "evalsha" in texts["redis traffic"].lower(), "nothing was kept"
    assert texts["webhooks"].count("guest.changed") > 5 and texts["webhooks' log"].count("guest.changed") > 5
    assert '"level": "info"' in texts["log"] and "guestprefs_" in texts["metrics"], texts["log"][:500]
    return {where: {id for _, id in marks.found(text)} for where, text in texts.items()}


def test_every_read_of_the_document_is_asked() -> None:
    reads = {one.id for one in all_operations(DOCUMENT) if one.method.upper() == "GET"}
    unknown = reads - TELLS.keys() - SILENT
    assert not unknown, f"say in TELLS what {unknown} tell of a guest, or in SILENT that they tell nothing"


def scan(
    folder: Path, guests: Sequence[str], few: Collection[str], application: str
) -> tuple[Walk, dict[str, set[str]]]:
    with ExitStack() as stack:

        def begin(grounds: Grounds) -> None:
            begun.append(stack.enter_context(live.Hooks(grounds)))

        begun: list[live.Hooks] = []
        stage = Marked(folder, guests, application, begin)
        stack.push(stage)
        stage.__enter__()
        overheard = stack.enter_context(sinks.Overheard(stage.grounds.valkey.port))
        before, askers = stage.versions_now(), [one for one in stage.askers() if not few or one.name in few]
        assert len(askers) == len(few) or not few
        walk = Walk(stage, [name for name in guests if name != "fay"]).go(askers)
        assert stage.versions_now() == before, "a request that should have been refused was not"
        assert unseen(walk, askers) == []
        assert live.keep_copies(walk, askers, folder / "copies") >= 5
        assert live.tell_live(walk, askers) == []
        (hooks,) = begun
        hooks.wait_until_told(stage.ids[live.SPEAKER], stage.versions[live.SPEAKER, "live"][-1])
        faults, count = hooks.named(stage, walk.names)
        walk.faults += faults
        assert count > 100, "webhooks are told of nothing"
        return walk, sunk(stage, overheard, hooks)


def summary(walk: Walk) -> str:
    """The first fault of every kind, and how many there are."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for fault in walk.faults:
        kinds[" ".join(fault.split()[:6])].append(fault)
    return "\n".join(f"{len(of)} x {of[0]}" for of in kinds.values())


# ---- the scan ----


def test_no_word_is_where_it_may_not_be(tmp_path: Path) -> None:
    walk, elsewhere = scan(tmp_path, ("ana", "bea", "fay"), FEW, PRODUCT)
    assert not walk.faults, summary(walk)
    assert not any(elsewhere.values()), elsewhere
    assert walk.told["cnry"] > 5000 and walk.told["sdry"] > 500 and walk.tiers.keys() >= {"local", "shared"}


@pytest.mark.prove
def test_p24_everybody_about_everybody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    walk, elsewhere = scan(tmp_path, GUESTS, (), PRODUCT)
    with capsys.disabled():
        asked = sum(walk.statuses.values())
        print(  # noqa: T201 - the figures of this row
            f"{len(walk.stage.marks)} words under {len(DEFINITIONS)} keys; {len(walk.seen)} pairs of caller and"
            f" operation, {asked} answers ({dict(walk.tiers)}); found {dict(walk.told)}, {len(walk.faults)} where they"
            f" may not be; elsewhere: { {where: len(found) for where, found in elsewhere.items()} }"
        )
    assert not walk.faults, summary(walk)
    assert not any(elsewhere.values()), elsewhere


@pytest.mark.prove
def test_the_scan_sees_what_is_planted(tmp_path: Path) -> None:
    walk, elsewhere = scan(tmp_path, ("ana", "fay"), FEWER, LEAKY)
    assert [where for where, words in elsewhere.items() if not words] == []
    shown = {" ".join(fault.split()[:-1]).partition(" {")[0] for fault in walk.faults if leaky.SHOWN in fault}
    assert {
        "device tv dallas: get_guest",
        "service tv: get_guest",
        "staff housekeeping dallas: get_preferences",
        "staff housekeeping dallas: get_changes",
    } <= shown
    for how in (live.LIVE, live.KEPT):  # an event while the stream was open, a client's file
        asked = {fault.partition(":")[0] for fault in walk.faults if str(how) in fault}
        assert "staff housekeeping dallas" in asked, how
    assert any(f"webhook at tv: is told of {leaky.SHOWN}" in fault for fault in walk.faults)
    told = [fault for fault in walk.faults if "edit_preferences" in fault or "revert_change" in fault]
    assert {fault.partition(":")[0] for fault in told} >= {"guest ana kiosk"}
