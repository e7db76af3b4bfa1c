"""Language matching: Accept-Language (RFC 9110), Lookup (RFC 4647 section 3.4) and its one extension."""

import pytest

from prefs.core.labels import lookup, lookup_extended, ranges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("th", ["th"]),
        ("en;q=0.5, lo", ["lo", "en"]),
        ("ka;q=0, vi;q=0.2", ["vi"]),
        ("vi;q=abc, ar", ["ar"]),
        ("de, en;q=0.8, fr;q=0.9", ["de", "fr", "en"]),
    ],
)
def test_ranges_come_best_first(header: str, expected: list[str]) -> None:
    assert ranges(header) == expected


@pytest.mark.parametrize(
    ("wanted", "available", "expected"),
    [
        (["lo-LA"], ["en", "lo"], "lo"),
        (["zh-Hant-x-private"], ["zh-Hant", "zh"], "zh-Hant"),
        (["PT-br"], ["pt-BR"], "pt-BR"),
        (["de", "th"], ["en", "th"], "th"),
        (["de"], ["en"], None),
        ([], ["en"], None),
    ],
)
def test_lookup_shortens_from_the_right(wanted: list[str], available: list[str], expected: str | None) -> None:
    assert lookup(wanted, available) == expected


def test_another_region_is_found_before_the_next_wish() -> None:
    available = ["pt-PT", "en"]

    assert lookup_extended(["pt-BR", "en"], available) == "pt-PT"
    assert lookup(["pt-BR", "en"], available) == "en"


def test_nothing_related_is_nothing() -> None:
    assert lookup_extended(["lo"], ["en", "th"]) is None
