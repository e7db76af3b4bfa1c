"""Where webhooks may go: the form that an address must have, and which network addresses may be connected to.

The form is looked at when an endpoint is put. What a host's name stands for can change at any moment, so the network
address is looked at whenever something is sent, by who connects to that very address.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from prefs.core.errors import Fault

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

URL_LENGTH_MAX = 1000
PUBLIC_PORTS = (443, 8443)  # a mail server or a database that listens elsewhere hears nothing of us
_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?([/?][\x21-\x7e]*)?")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

# Public as the registries say it, and yet they lead back to somewhere inside, or nowhere.
_NEVER_PUBLIC: Sequence[Network] = (
    ip_network("192.88.99.0/24"),
    ip_network("2002::/16"),
    ip_network("3fff::/20"),
)
_PUBLIC_V6 = ip_network("2000::/3")


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL taken apart; `host` is a name or a literal address, without brackets."""

    tls: bool
    host: str
    port: int
    path: str

    @property
    def literal(self) -> Address | None:
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        named = f"[{self.host}]" if ":" in self.host else self.host
        return named if self.port == (443 if self.tls else 80) else f"{named}:{self.port}"


def networks(text: str) -> tuple[Network, ...]:
    """Networks written as `127.0.0.0/8 10.1.2.0/24`. Raises ValueError."""
    return tuple(ip_network(one) for one in text.split())


def take_apart(url: str) -> Destination | str:
    """The destination, or what is wrong with the URL."""
    if len(url) > URL_LENGTH_MAX:
        return f"must have at most {URL_LENGTH_MAX} characters"
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
    if "@" in authority:
        return "must not hold a name or password"
    if "#" in url or "\\" in url:
        return "must hold neither a fragment nor a backslash"
    found = _URL.fullmatch(url)
    if found is None:
        return "must be as https://hotel.example/hook, in ASCII and without spaces"
    tls, host = found[1] == "https", found[2].strip("[]").lower()
    port = int(found[3] or (443 if tls else 80))
    if not 0 < port < 65536:
        return "must name a port from 1 to 65535"
    if not _is_host(host, bracketed=found[2].startswith("[")):
        return "must name a host, or an address in its usual form"
    path = found[4] or "/"
    return Destination(tls, host, port, path if path.startswith("/") else f"/{path}")


def _is_host(host: str, *, bracketed: bool) -> bool:
    """Numbers that are no usual address are what resolvers make inner addresses of: 2130706433, 0x7f.1, 0177.0.0.1."""
    labels = host.split(".")
    if bracketed or _NUMBER.fullmatch(labels[-1]):
        try:
            return (ip_address(host).version == 6) is bracketed
        except ValueError:
            return False
    return all(_LABEL.fullmatch(label) for label in labels)


def url_faults(url: str, own: Sequence[Network]) -> list[Fault]:
    """What is wrong with the URL of an endpoint. `own` are networks of the operator's that may be reached beside the
    public internet, there also without TLS and at any port."""
    destination = take_apart(url)
    if isinstance(destination, str):
        return [Fault("/url", "BAD_URL", destination)]
    if not own and not destination.tls:
        return [Fault("/url", "TLS_REQUIRED", "must begin with https://")]
    if not own and destination.port not in PUBLIC_PORTS:
        return [Fault("/url", "PORT_REFUSED", f"must name no port, or one of {', '.join(map(str, PUBLIC_PORTS))}")]
    if (literal := destination.literal) is not None and not may_connect(literal, destination, own):
        return [Fault("/url", "ADDRESS_REFUSED", "names an address that webhooks may not reach")]
    return []


def may_connect(address: Address, destination: Destination, own: Sequence[Network]) -> bool:
    """Whether a connection may be made to this network address on behalf of that destination."""
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
    if plain.is_link_local or plain.is_multicast or plain.is_unspecified:
        return False  # the metadata of clouds, and what is nobody's in particular: not even where own networks hold it
    if any(plain in network for network in own):
        return True
    return destination.tls and destination.port in PUBLIC_PORTS and _is_public(plain)


def _is_public(address: Address) -> bool:
    if address.version == 6 and address not in _PUBLIC_V6:
        return False
    return address.is_global and not address.is_reserved and not any(address in network for network in _NEVER_PUBLIC)
