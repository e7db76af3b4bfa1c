"""Ids that sort by the time they were made: a prefix that says what they name, and a UUIDv7 in hex."""

import re

import uuid_utils

GUEST = "gst"
ENTRY = "prf"
RECORD = "cns"
INVITATION = "inv"
WAITING = "imp"
RECEIPT = "rcp"
GUEST_ID = re.compile(r"gst_[0-9a-f]{32}")
NOBODY = "gst_" + "0" * 32  # asked for in place of a malformed id, so that it takes the same path as an absent one


def new_id(prefix: str) -> str:
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def guest_id(text: str) -> str:
    """The id itself, or that of nobody where it is none: whoever asks cannot tell the two apart."""
    return text if GUEST_ID.fullmatch(text) else NOBODY
