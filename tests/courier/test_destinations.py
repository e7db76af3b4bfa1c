"""P27: whatever a webhook's URL is and whatever its name stands for, nothing inside is connected to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from prefs.core.destinations import Destination, may_connect, networks, take_apart, url_faults
from prefs.courier import post
from prefs.courier.post import HttpCourier
from prefs.ports import Posted
from tests.receiver import Receiver, certificate, receiving

# Each leads somewhere inside, by itself or by what resolvers make of it; {port} is that of a listener on loopback.
INSIDE = """
https://127.0.0.1/            https://127.0.0.1:8443/       https://127.1/                https://127.0.1/
https://2130706433/           https://0x7f000001/           https://0x7f.0.0.1/           https://0177.0.0.1/
https://017700000001/         https://127.0.0.1.:443/       https://0.0.0.0/              https://0/
https://localhost/            https://LOCALHOST/            https://localhost.localdomain/ https://ip6-localhost/
https://[::1]/                https://[::]/                 https://[0:0:0:0:0:0:0:1]/    https://[::ffff:127.0.0.1]/
https://[::ffff:7f00:1]/      https://[::127.0.0.1]/        https://[64:ff9b::127.0.0.1]/ https://[64:ff9b::7f00:1]/
https://[2002:7f00:1::]/      https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/             https://[fe80::1]/
https://[fe80::1%25lo]/       https://[fc00::1]/            https://[fd00:ec2::254]/      https://[fec0::1]/
https://[ff02::1]/            https://[100::1]/             https://[2001:db8::1]/        https://[64:ff9b:1::1]/
https://10.0.0.1/             https://10.255.255.255/       https://172.16.0.1/           https://172.31.255.254/
https://192.168.0.1/          https://192.168.255.255/      https://100.64.0.1/           https://169.254.169.254/latest
https://169.254.0.1/          https://[::ffff:169.254.169.254]/ https://198.18.0.1/       https://192.0.0.8/
https://192.0.2.1/            https://198.51.100.1/         https://203.0.113.1/          https://192.88.99.1/
https://224.0.0.1/            https://255.255.255.255/      https://240.0.0.1/            https://[::ffff:10.0.0.1]/
http://127.0.0.1:{port}/      https://127.0.0.1:{port}/     http://localhost:{port}/      http://[::1]:{port}/
http://2130706433:{port}/     http://0x7f.1:{port}/         http://127.1:{port}/          http://[::ffff:127.0.0.1]:{port}/
https://user@127.0.0.1:{port}/ https://user:word@localhost:{port}/ https://hotel.example@127.0.0.1:{port}/
https://127.0.0.1:{port}\\@hotel.example/ https://127.0.0.1:{port}#@hotel.example/ http://127.0.0.1:{port}?x
https://hotel.example:25/     https://hotel.example:6379/   https://hotel.example:5432/   http://hotel.example/
ftp://127.0.0.1:{port}/       file:///etc/passwd            gopher://127.0.0.1:{port}/_x  //127.0.0.1:{port}/
https://                      https:///path                 https://:443/                 https://127.0.0.1:0/
https://127.0.0.1:99999/      https://host_name.example/    https://-a.example/           https://①②⑦.0.0.1/
""".split()
BROKEN = [
    "https://hotel.example/\r\nx-header: yes",
    "https://hotel.example/a b",
    "https://hotel.example\r\n\r\nGET / HTTP/1.1",
    "https://hotel.example/\x00",
    "https://hotel.example/" + "a" * 1000,
    "https://hôtel.example/",
]


async def sends(courier: HttpCourier, url: str) -> Posted:
    return await courier.post(url, {"content-type": "application/json"}, b"{}")


async def nobody(host: str, port: int) -> Sequence[str]:
    """No name of these tests may be asked for in the world outside."""
    return ["127.0.0.1"]


@pytest.mark.parametrize("url", [*INSIDE, *BROKEN])
async def test_nothing_inside_is_connected_to(url: str) -> None:
    async with receiving() as canary:
        posted = await sends(HttpCourier(resolve=nobody), url.format(port=canary.port))
        assert canary.connections == 0
    assert posted.status == 0 and posted.error in ("BAD_URL", "ADDRESS_REFUSED")


def test_there_are_as_many_as_were_promised() -> None:
    assert len(INSIDE) + len(BROKEN) >= 60


@pytest.mark.parametrize("url", [one for one in (*INSIDE, *BROKEN) if "localhost" not in one.lower()])
def test_what_cannot_be_meant_is_refused_when_it_is_put(url: str) -> None:
    assert [fault.pointer for fault in url_faults(url.format(port=49152), ())] == ["/url"]


async def test_names_that_stand_for_something_inside_are_refused() -> None:
    async with receiving() as canary:
        for found in (["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["fe80::1%lo"], ["93.184.215.14", "127.0.0.1"], []):

            async def resolve(host: str, port: int, found: Sequence[str] = found) -> Sequence[str]:
                return found

            posted = await sends(HttpCourier(resolve=resolve), "https://hotel.example/")
            assert posted.error == "ADDRESS_REFUSED", found
        assert canary.connections == 0


class Rebinding:
    """A name server that says something else each time it is asked: first where it may lead, then inside."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return [self.answers[min(self.asked, len(self.answers)) - 1]]


async def rebound(courier_of: type[HttpCourier]) -> tuple[Receiver, Receiver]:
    """127.0.0.2 stands for what may be reached, 127.0.0.1 for what is inside: the same port, the same name."""
    async with receiving("127.0.0.2") as meant, receiving("127.0.0.1", meant.port) as inside:
        names = Rebinding("127.0.0.2", "127.0.0.1")
        courier = courier_of(networks("127.0.0.2/32"), resolve=names)
        await sends(courier, f"http://hotel.example:{meant.port}/")
        assert (await sends(courier, f"http://hotel.example:{meant.port}/")).error in ("ADDRESS_REFUSED", "")
        return meant, inside


async def test_a_name_that_changes_its_mind_leads_nowhere_else() -> None:
    meant, inside = await rebound(HttpCourier)
    assert (len(meant.received), inside.connections) == (1, 0)


class LooksTwice(HttpCourier):
    """Planted: the name is judged, and then looked at once more to connect."""

    async def _address(self, destination: Destination) -> post.Address:
        await super()._address(destination)
        return ip_address((await self._resolve(destination.host, destination.port))[0])


async def test_a_courier_that_looks_twice_is_noticed() -> None:
    meant, inside = await rebound(LooksTwice)
    assert inside.connections > 0


async def test_redirects_are_not_followed() -> None:
    async with receiving() as inside, receiving("127.0.0.2") as meant:
        location = f"HTTP/1.1 307 Elsewhere\r\nlocation: {inside.url()}\r\ncontent-length: 0\r\n\r\n".encode()
        meant.answer = lambda _: location
        posted = await sends(HttpCourier(networks("127.0.0.2/32")), meant.url(host="127.0.0.2"))
        assert (posted.status, inside.connections) == (307, 0)


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as meant:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url("/"))
        posted = await sends(HttpCourier(networks("127.0.0.0/8")), meant.url())
        assert (posted.status, proxy.connections) == (204, 0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000 + b"\r\n\r\n", "BAD_ANSWER"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "BAD_ANSWER"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "BAD_ANSWER"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, "BAD_ANSWER"),
        (b"", "BAD_ANSWER"),
    ],
)
async def test_what_is_no_answer_is_none(answer: bytes, error: str) -> None:
    async with receiving() as receiver:
        receiver.answer = lambda _: answer
        posted = await sends(HttpCourier(networks("127.0.0.0/8")), receiver.url())
        assert (posted.status, posted.error) == (0, error)


async def test_an_answer_without_end_is_not_read() -> None:
    async with receiving() as receiver:
        receiver.answer = lambda _: b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50_000_000
        assert (await sends(HttpCourier(networks("127.0.0.0/8")), receiver.url())).status == 200


async def test_who_never_answers_is_hung_up_on() -> None:
    async with receiving() as receiver:
        receiver.holds = asyncio.Event()
        courier = HttpCourier(networks("127.0.0.0/8"), total_s=0.2)
        assert (await sends(courier, receiver.url())).error == "TIMED_OUT"
        assert len(receiver.received) == 1


async def test_nobody_there_is_told_as_such() -> None:
    async with receiving() as receiver:
        url = receiver.url()
    assert (await sends(HttpCourier(networks("127.0.0.0/8")), url)).error == "NOT_REACHED"


async def test_only_the_receiver_that_was_named_is_spoken_to_over_tls() -> None:
    served, trusted = certificate("hotel.example")

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with receiving(tls=served) as receiver:
        own = networks("127.0.0.0/8")
        knowing = HttpCourier(own, resolve=resolve, trusted=trusted)
        assert (await sends(knowing, receiver.url(host="hotel.example"))).status == 204
        assert (await sends(knowing, receiver.url(host="other.example"))).error == "TLS_FAILED"
        assert (await sends(knowing, receiver.url())).error == "TLS_FAILED"
        assert (
            await sends(HttpCourier(own, resolve=resolve), receiver.url(host="hotel.example"))
        ).error == "TLS_FAILED"
        assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("address", "may"),
    [("93.184.215.14", True), ("2606:2800:21f:cb07::1", True), ("::ffff:93.184.215.14", True), ("10.1.2.3", False)],
)
def test_the_public_internet_may_be_reached(address: str, may: bool) -> None:
    destination = take_apart("https://hotel.example/hook")
    assert isinstance(destination, Destination)
    assert may_connect(ip_address(address), destination, ()) is may
    assert may_connect(ip_address("10.1.2.3"), destination, networks("10.1.2.0/24"))
    assert not may_connect(ip_address("169.254.169.254"), destination, networks("0.0.0.0/0"))
