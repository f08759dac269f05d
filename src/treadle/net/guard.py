"""The guard: which addresses a request may go to.

What is not on the public internet is refused: loopback, private, link-local (there stand the metadata services of clouds), shared, multicast and
reserved addresses, in IPv4, in IPv6, and where an IPv6 address carries an IPv4 one. `http.allow` lists what may be reached all the same. The
guard judges addresses, never names: a name says nothing about where it leads.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORT_MAX: Final = 65_535
# Public by their number, and yet within some cloud's own network: there stand metadata services too.
_METADATA: Final = (ipaddress.IPv4Network("168.63.129.16/32"), ipaddress.IPv4Network("192.0.0.0/24"))
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """One entry of `http.allow`: a host by name, or a network; without a port any."""

    text: str
    host: str = ""
    network: Network | None = None
    port: int | None = None

    def admits(self, host: str, address: Address, port: int) -> bool:
        """Tell whether a connection is meant."""
        if self.port is not None and self.port != port:
            return False
        return address in self.network if self.network is not None else self.host == host


def read_allowed(text: str) -> Allowed:
    """Read an entry such as `127.0.0.1:8080`, `10.0.0.0/8`, `[::1]:8080` or `host.example:443`. Raises ValueError."""
    host, port = _divided(text)
    try:
        return Allowed(text=text, network=ipaddress.ip_network(host), port=port)
    except ValueError as error:
        if "/" in host:
            raise ValueError(f"`{text}` is no network: {error}") from error
    name = host.lower().rstrip(".")
    if not name or any(not (sign.isalnum() or sign in "-._") for sign in name) or not name.isascii():
        raise ValueError(f"`{text}` is no address, network or host; write for example `127.0.0.1:8080`, `10.0.0.0/8` or `host.example:443`")
    return Allowed(text=text, host=name, port=port)


def why_refused(host: str, address: str, port: int, allowed: Sequence[Allowed]) -> str:
    """Say what kind of address it is that may not be reached; empty where it may."""
    found = ipaddress.ip_address(address)
    inner = _carried(found)
    if any(each.admits(host, one, port) for each in allowed for one in {found, inner}):
        return ""
    return _kind(inner)


def _divided(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"`{text}` has no `]` before its port")
        return host, _port(text, rest[1:]) if rest else None
    if text.count(":") != 1:
        return text, None
    host, _, port = text.partition(":")
    return host, _port(text, port)


def _port(text: str, port: str) -> int:
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) <= PORT_MAX:
        raise ValueError(f"`{text}` names no port between 1 and {PORT_MAX}")
    return int(port)


def _carried(address: Address) -> Address:
    """Give the IPv4 address that an IPv6 one carries, else itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _kind(address: Address) -> str:
    kinds = (
        ("a loopback address", address.is_loopback),
        ("a link-local address, where metadata services of clouds are", address.is_link_local),
        ("a multicast address", address.is_multicast),
        ("a metadata service of a cloud", any(address in network for network in _METADATA)),
        ("an unspecified address", address.is_unspecified),
        ("a private address", address.is_private or getattr(address, "is_site_local", False)),
        ("a reserved address", address.is_reserved or not address.is_global),
    )
    # What stands for an IPv4 address within IPv6 is judged by that; by itself it is as public as the way there.
    return next((kind for kind, holds in kinds if holds), "")
