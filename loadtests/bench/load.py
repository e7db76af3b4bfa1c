"""Putting load on a server from the generator's core: wrk where it is installed, else the own generator.

Writes and everything that is timed from its intended moment always go through the own one: wrk knows neither.
"""

import base64
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.bench.cores import GENERATOR_CORE, Times, on_core, ran_s, ran_share, times_of, wanted_share
from loadtests.bench.percentiles import Counts, merged
from loadtests.bench.wire import Request

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = 16
WRK = shutil.which("wrk")
# At its start and its end a run is not yet, or no longer, what it is in between.
EDGE_S = 0.25
COUNTED_MAX_S = 240.0  # a run that is to send so many ends after that all the same

_LUA = """
local paths = {%s}
local n = 0
wrk.method = %s
wrk.body = %s
%s
local ready = {}
init = function() for i, path in ipairs(paths) do ready[i] = wrk.format(nil, path) end end
request = function() n = n %% #ready + 1; return ready[n] end
done = function(summary, latency)
  local e = summary.errors
  io.write("RESULT {\\"answers\\":", summary.requests, ",\\"micro\\":", summary.duration, ",\\"wrong\\":",
    e.status + e.connect + e.read + e.write + e.timeout, ",\\"at\\":[")
  for i = 1, 1000 do io.write(i > 1 and "," or "", latency:percentile(i == 1000 and 100 or i / 10)) end
  io.write("]}\\n")
end
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One run against one server."""

    rate: float
    counts: Counts
    wrong: int
    generator: float  # share of its core that the generator wanted
    server: float  # share of a core that the server's processes ran
    unanswered: int = 0
    retried: int = 0  # told to try again, and did: part of what the answers counted cost
    cpu_us: float = math.nan  # that the server's processes ran for each answer; databases and caches not counted


@dataclass(slots=True)
class Rounds:
    """All runs against one server."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def best(self) -> Sample:
        """A disturbed round says what disturbs, the best one what the server can do."""
        return max(self.samples, key=lambda sample: sample.rate)

    @property
    def counts(self) -> Counts:
        return merged(sample.counts for sample in self.samples)

    @property
    def answers(self) -> int:
        return sum(self.counts.values()) + self.wrong

    @property
    def wrong(self) -> int:
        return sum(sample.wrong for sample in self.samples)

    @property
    def retried(self) -> int:
        return sum(sample.retried for sample in self.samples)

    @property
    def cpu_us(self) -> float:
        """Of the least disturbed round."""
        return min((sample.cpu_us for sample in self.samples if sample.cpu_us > 0), default=math.nan)


def closed(
    port: int, requests: Sequence[Request], seconds: float, pids: Sequence[int] = (), own: bool = False
) -> Sample:
    """As much as the server takes over 16 connections. wrk needs requests that differ in their path alone."""
    if WRK and not own and len({(each.method, each.headers, each.body) for each in requests}) == 1:
        return _wrk(port, requests, seconds, pids)
    return _own("closed", port, seconds, pids, requests=_encoded(each.as_bytes() for each in requests))


def opened(port: int, requests: Sequence[Request], seconds: float, rate: float, connections: int = 64) -> Sample:
    """A fixed rate, whatever the server does; latency from the intended moment."""
    packed = _encoded(each.as_bytes() for each in requests)
    return _own("open", port, seconds, (), requests=packed, rate=rate, connections=connections)


def chained(port: int, targets: Sequence[tuple[Request, Request]], seconds: float, pids: Sequence[int] = ()) -> Sample:
    """Writes, each with the entity tag that the read or the write before it answered."""
    pairs = [_encoded((read.as_bytes(), write.as_bytes())) for read, write in targets]
    return _own("chain", port, seconds, pids, targets=pairs, warmup=0.5)


def counted(
    port: int,
    count: int,
    requests: Sequence[Request] = (),
    targets: Sequence[tuple[Request, Request]] = (),
    connections: int = CONNECTIONS,
) -> Sample:
    """So many answers, all right, and no more: for what is looked at per answer rather than per second."""
    more = {"count": count, "warmup": 0.0, "connections": min(connections, count)}
    if targets:
        pairs = [_encoded((read.as_bytes(), write.as_bytes())) for read, write in targets]
        sample = _own("chain", port, COUNTED_MAX_S, (), targets=pairs, **more)
    else:
        packed = _encoded(each.as_bytes() for each in requests)
        sample = _own("closed", port, COUNTED_MAX_S, (), requests=packed, **more)
    if sample.wrong or sum(sample.counts.values()) < count:
        raise RuntimeError(f"port {port}: {sample.wrong} wrong answers, {sum(sample.counts.values())} of {count} right")
    return sample


def _encoded(items: Any) -> list[str]:
    return [base64.b64encode(item).decode() for item in items]


def _own(mode: str, port: int, seconds: float, pids: Sequence[int], **more: Any) -> Sample:
    plan = {"mode": mode, "port": port, "duration": seconds, "warmup": 0.3, "connections": CONNECTIONS, **more}
    command = [*on_core(GENERATOR_CORE), sys.executable, "-m", "loadtests.bench.generator"]
    ran_before = ran_s(pids)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(plan).encode())
        process.stdin.close()
        # The interpreter starts in the first second; what it does then is not asking.
        counts_only = "count" in plan
        generator, server = (0.0, 0.0) if counts_only else _watched(process.pid, pids, 0.9, max(seconds - 0.6, 0.4))
        said = json.loads(process.stdout.read() or b"null")
    if said is None:
        raise RuntimeError(f"the generator failed ({mode} on port {port})")
    counts = {int(latency): count for latency, count in said["counts"].items()}
    if said["wrong"]:
        sys.stderr.write(f"  port {port}: {said['wrong']} wrong answers: {said['statuses']}\n")
    return Sample(
        said["answers"] / seconds,
        counts,
        said["wrong"],
        generator,
        server,
        said.get("unanswered", 0),
        said["retried"],
        each_us(ran_s(pids) - ran_before, said["all"]),
    )


def _wrk(port: int, requests: Sequence[Request], seconds: float, pids: Sequence[int]) -> Sample:
    first = requests[0]
    headers = "".join(f"wrk.headers[{json.dumps(n)}] = {json.dumps(v)}\n" for n, v in first.headers)
    paths = ",".join(json.dumps(each.path) for each in requests)
    body = json.dumps(first.body.decode()) if first.body else "nil"
    with tempfile.TemporaryDirectory(prefix="guestprefs-bench-") as folder:
        script = Path(folder) / "ask.lua"
        script.write_text(_LUA % (paths, json.dumps(first.method), body, headers), encoding="utf-8")
        where = f"http://127.0.0.1:{port}/"
        shape = ["-t1", f"-c{CONNECTIONS}", f"-d{max(round(seconds), 1)}s", "--timeout", "10s", "-s", str(script)]
        ran_before = ran_s(pids)
        with subprocess.Popen(
            [*on_core(GENERATOR_CORE), str(WRK), *shape, where], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout
            generator, server = _watched(process.pid, pids, EDGE_S, max(seconds - 2 * EDGE_S, 0.3))
            output = process.stdout.read().decode()
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"wrk failed:\n{output}")
    said = json.loads(line.removeprefix("RESULT "))
    return _sample(said, generator, server, each_us(ran_s(pids) - ran_before, said["answers"]))


def each_us(ran: float, answers: int) -> float:
    """Microseconds for each answer; nan where the server's processes are not known."""
    return ran * 1e6 / answers if answers and ran > 0 else math.nan


def _sample(said: Mapping[str, Any], generator: float, server: float, cpu_us: float) -> Sample:
    """wrk tells a thousand percentiles; each stands for a thousandth of the answers."""
    each = max(said["answers"] // 1000, 1)
    counts = merged({int(latency): each} for latency in said["at"])
    good = said["answers"] - said["wrong"]
    return Sample(good / (said["micro"] / 1e6), counts, said["wrong"], generator, server, cpu_us=cpu_us)


def _watched(generator: int, servers: Sequence[int], wait: float, seconds: float) -> tuple[float, float]:
    """How busy both sides were during `seconds`."""
    time.sleep(wait)
    before = [times_of(pid) for pid in (generator, *servers)]
    time.sleep(seconds)
    after = [times_of(pid) for pid in (generator, *servers)]
    pairs: list[tuple[Times, Times]] = list(zip(before, after, strict=True))
    return min(wanted_share(*pairs[0]), 1.0), sum(ran_share(*pair) for pair in pairs[1:])
