"""From which address a request comes, if there are proxies before us."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Network = IPv4Network | IPv6Network
UNIX_SOCKET = "unix"  # what TRUSTED_PROXIES calls a proxy that speaks to us over a socket file


def address_of(request: HttpRequest) -> str:
    """The address of the client: the last one that none of TRUSTED_PROXIES has.

    `X-Forwarded-For` is read from its end, and only as long as a trusted proxy has written there; what stands before
    that, anybody may have written. Without trusted proxies it is the address of who connected.
    """
    here = request.META.get("REMOTE_ADDR", "") or UNIX_SOCKET
    proxies = tuple(settings.TRUSTED_PROXIES)
    if not proxies:
        return here
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    while hops and _is_trusted(here, proxies):
        here = _without_port(hops.pop())
    return here


def networks(proxies: tuple[str, ...]) -> list[Network]:
    """Addresses and networks (`10.0.0.0/8`) of a setting. Raises ValueError for what is neither."""
    return [ip_network(proxy, strict=False) for proxy in proxies if proxy != UNIX_SOCKET]


_networks = lru_cache(maxsize=8)(networks)


def _is_trusted(address: str, proxies: tuple[str, ...]) -> bool:
    if address == UNIX_SOCKET:
        return UNIX_SOCKET in proxies
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in _networks(proxies))


def _without_port(hop: str) -> str:
    """Some proxies write `10.0.0.1:4711`, or `[::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
