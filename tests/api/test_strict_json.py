"""The strict reading of bodies: what other readers guess at is refused here, with a pointer."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.schemas import strict_json
from prefs.core.errors import InvalidEdit


@pytest.mark.parametrize(
    ("raw", "pointer", "code"),
    [
        (b"", "", "NO_BODY"),
        (b" \n", "", "NO_BODY"),
        (b"{", "", "NOT_JSON"),
        (b"{}x", "", "NOT_JSON"),
        (b"{'a': 1}", "", "NOT_JSON"),
        (b"\xff{}", "", "NOT_UTF8"),
        (b'{"a": "\xc3\x28"}', "", "NOT_UTF8"),
        (b'{"a": "\xed\xa0\x80"}', "", "NOT_UTF8"),
        ("\ufeff{}".encode(), "", "NOT_JSON"),
        (b'{"a": {"b": NaN}}', "/a/b", "NOT_A_NUMBER"),
        (b"[Infinity]", "/0", "NOT_A_NUMBER"),
        (b"-Infinity", "", "NOT_A_NUMBER"),
        (b'{"a": 1, "a": 2}', "/a", "DUPLICATE_MEMBER"),
        (b'{"x": [{"a/b": 1, "a/b": 2}]}', "/x/0/a~1b", "DUPLICATE_MEMBER"),
        (b'{"a": ' + b"9" * 5000 + b"}", "/a", "NUMBER_TOO_LONG"),
        (b'{"a": 1e400}', "/a", "NUMBER_TOO_LONG"),
        (b'{"a": 1e-400}', "/a", "NUMBER_TOO_LONG"),
        (b'{"a": 1e99999999999999999999}', "/a", "NUMBER_TOO_LONG"),
        (b'{"a": 0.' + b"1" * 500 + b"}", "/a", "NUMBER_TOO_LONG"),
        (b'{"a": "x\\u0000"}', "/a", "BAD_TEXT"),
        (b'{"a": "\\ud800"}', "/a", "BAD_TEXT"),
        (b'{"a\\udfff": 1}', "/a?", "BAD_TEXT"),
        (b"[" * 21 + b"]" * 21, "", "TOO_DEEP"),
        (b'{"a":' * 30_000, "", "TOO_DEEP"),
    ],
)
def test_what_is_refused_says_where_and_why(raw: bytes, pointer: str, code: str) -> None:
    with pytest.raises(InvalidEdit) as refused:
        strict_json.read(raw)
    assert [(fault.pointer, fault.code) for fault in refused.value.faults] == [(pointer, code)]


def test_every_fault_is_listed() -> None:
    with pytest.raises(InvalidEdit) as refused:
        strict_json.read(b'{"a": NaN, "b": [1e999, "\\u0000"], "a": 1}')
    found = [(fault.pointer, fault.code) for fault in refused.value.faults]
    assert found == [
        ("/a", "NOT_A_NUMBER"),
        ("/b/0", "NUMBER_TOO_LONG"),
        ("/b/1", "BAD_TEXT"),
        ("/a", "DUPLICATE_MEMBER"),
    ]


def test_fractions_keep_every_digit() -> None:
    assert strict_json.read(b'{"a": 68.10, "b": 1e2, "c": 7}') == {"a": Decimal("68.10"), "b": Decimal("1e2"), "c": 7}
    assert isinstance(strict_json.read(b"7"), int)


def test_twenty_levels_are_enough_and_strings_do_not_count() -> None:
    assert strict_json.read(b"[" * 20 + b"]" * 20) is not None
    assert strict_json.read(json.dumps({"a": "[{" * 100 + '\\"'}).encode()) == {"a": "[{" * 100 + '\\"'}


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(PLAIN)
def test_what_any_other_reader_takes_alike_is_taken(data: Any) -> None:
    assert strict_json.read(json.dumps(data).encode()) == data


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        read = strict_json.read(raw)
    except InvalidEdit as refused:
        assert refused.faults
    else:
        assert read == json.loads(raw, parse_float=Decimal)
