"""How the service tells what it does: one JSON object a line on stdout, and the numbers that Prometheus collects.

What guests say never reaches either, at no level. Of an exception its kind and where it was raised are told, never its
words: a driver quotes rows in them. Libraries are heard from warnings on, and only their first line: below that they
tell statements and results. A guest's id is struck out of the finished line, whoever wrote it.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, ClassVar

import structlog
from prometheus_client import Counter, Gauge, Histogram, generate_latest

_GUEST = re.compile(r"gst_[0-9a-zA-Z-]+")

REQUEST: ContextVar[str] = ContextVar("request", default="")  # the id of the request that is being answered

# Buckets around the aims of design section 11: most reads end far below a millisecond, a write near ten.
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)

REQUESTS = Counter("guestprefs_requests", "Answers given.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "guestprefs_request_seconds",
    "Time from the request's head to the answer's end.",
    ["method", "route"],
    buckets=BUCKETS,
)
IN_FLIGHT = Gauge("guestprefs_requests_in_flight", "Requests being answered now.")
KEY_FETCHES = Counter("guestprefs_key_fetches", "Times an OpenID provider was asked for its keys.", ["outcome"])
PROBLEMS = Counter("guestprefs_problems", "Problem documents sent.", ["code"])


class Tally:
    """A counter for what happens a hundred thousand times between two looks: adding costs nothing to speak of, and what
    was added is told when `expose` is asked. For one thread."""

    __slots__ = ("_counter", "_told", "count")
    _all: ClassVar[list["Tally"]] = []

    def __init__(self, counter: Counter) -> None:
        self._counter, self._told, self.count = counter, 0, 0
        self._all.append(self)

    @classmethod
    def tell(cls) -> None:
        for tally in cls._all:
            count = tally.count
            tally._counter.inc(count - tally._told)
            tally._told = count


def expose() -> bytes:
    """All numbers of this process as Prometheus reads them."""
    Tally.tell()
    return generate_latest()


# Without the values of local variables: those are tokens, guests and what they prefer.
_TRACES = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
_WORDS = ("exc_value", "exc_notes", "syntax_error")
LINE_MAX = 200  # characters of what a library says
_ours: set[str] = set()
_level = logging.INFO


def _wordless(trace: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [{name: held for name, held in one.items() if name not in _WORDS} for one in trace]
    for one in kept:
        one["exceptions"] = [_wordless(inner) for inner in one.get("exceptions", ())]
    return kept


TRACEBACKS = structlog.processors.ExceptionRenderer(lambda exc_info: _wordless(_TRACES(exc_info)))


def _first_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Of what a library says: asyncio goes on with the words of the exception that nobody took."""
    event["event"] = str(event.get("event", "")).partition("\n")[0][:LINE_MAX]
    return event


def strike_guests(line: str) -> str:
    return _GUEST.sub("gst_*", line)


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    rendered = structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False)(_logger, _method, event)
    return strike_guests(rendered if isinstance(rendered, str) else rendered.decode())


def configure(level: str = "info") -> None:
    """Send everything that is logged, by this code or by a library, to stdout in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        TRACEBACKS,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _first_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
        )
    )
    global _level
    _level = logging.getLevelNamesMapping()[level.upper()]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_level, logging.WARNING))
    for name in _ours:
        logging.getLogger(name).setLevel(_level)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger of this code, which the set level is for."""
    _ours.add(name)
    logging.getLogger(name).setLevel(_level)
    found: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return found
