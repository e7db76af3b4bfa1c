"""The ear of the local tier: one subscription a process, on a thread of its own, so that a busy event loop cannot
delay it and an overload does not switch the local tier off.

Every 30 ms it sends PING with the time over the subscription itself. The server answers in order, so an answer proves
that every invalidation published before that time was heard. (Publishing the heartbeat and reading it back proves the
same and costs every other process a message.) redis-py would reconnect silently and lose messages; here any error, and
anything that is neither an invalidation nor an answer, distrusts all that is kept and begins anew.
"""

import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import RedisError
from redis.retry import Retry

from prefs.cache.keys import Heard, channel, namespace_of, read_message
from prefs.cache.lines import connection_options
from prefs.cache.local import LocalTier

BEAT_S = 0.03
SILENCE_MAX_S = 1.0  # then the connection counts as dead; its entries lapsed long before
CONNECT_TIMEOUT_S = 0.5
PAUSE_S = 0.1
STOP_TIMEOUT_S = 2.0
_KINDS: dict[str, Any] = {"rediss": SSLConnection, "unix": UnixDomainSocketConnection}


class Heartbeat:
    """Start it once a process. `heard` is told of every invalidation too, on the heartbeat's thread."""

    def __init__(
        self,
        url: str,
        local: LocalTier,
        heard: Callable[[Heard], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._local = local
        self._heard = heard
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cache-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)
        self._local.distrust("closed")

    def _run(self) -> None:
        while not self._stopping.is_set():
            connection = self._connection()
            try:
                self._listen(connection)
            except (RedisError, OSError, ValueError, KeyError):
                self._local.distrust()
                self._stopping.wait(PAUSE_S)
            finally:
                connection.disconnect()

    def _connection(self) -> Any:
        options = connection_options(self._url)
        options["retry"] = Retry(NoBackoff(), 0)  # the one for threads
        options["socket_timeout"] = options["socket_connect_timeout"] = CONNECT_TIMEOUT_S
        return _KINDS.get(urlsplit(self._url).scheme, Connection)(**options)

    def _listen(self, connection: Any) -> None:
        connection.connect()
        connection.send_command("INFO", "server")
        facts = dict(line.split(":", 1) for line in connection.read_response().decode().splitlines() if ":" in line)
        namespace = namespace_of(facts["run_id"])
        connection.send_command("SUBSCRIBE", channel(namespace))
        if connection.read_response()[0] != b"subscribe":
            raise ValueError("not subscribed")
        self._local.subscribe(namespace)
        beat_at = answered_at = self._monotonic()
        while not self._stopping.is_set():
            now = self._monotonic()
            if now >= beat_at:
                connection.send_command("PING", repr(now), check_health=False)
                beat_at = now + BEAT_S
            if now - answered_at > SILENCE_MAX_S:
                raise TimeoutError("silent")
            if connection.can_read(max(0.0, beat_at - now)) and self._hear(connection.read_response()):
                answered_at = self._monotonic()

    def _hear(self, said: Any) -> bool:
        """True for the answer to a heartbeat. Raises ValueError for anything unexpected."""
        match said:
            case [b"pong", sent]:
                self._local.vouch(float(sent))
                return True
            case [b"message", _, data]:
                heard = read_message(data)
                self._local.hear(heard.key, heard.version, purge=heard.purge)
                if self._heard is not None:
                    self._heard(heard)
                return False
            case _:
                raise ValueError("unexpected on a subscription")
