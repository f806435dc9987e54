"""Where this installation may send requests: to hosts that it allows, and to no address inside its own network.

Who answers for a name can change (DNS rebinding), so the address of each connection is looked at once it stands,
before anything is sent over it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network
from socket import SHUT_RDWR, socket
from threading import Lock, Timer
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from urllib3 import connection, connectionpool

PORTS = {"http": 80, "https": 443}


def fault_of(url: str, hosts: Iterable[str]) -> str:
    """Why the address may not be asked; "" if it may: http or https, one of `hosts` (`host` or `host:port`), no
    credentials, no query.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "the URL cannot be read."
    if parts.scheme.lower() not in PORTS or not parts.hostname:
        return f"expected http://... or https://..., found {_shown(parts)!r}."
    if parts.username is not None or parts.password is not None:
        return "the URL carries a user name or password; give the token separately."
    if parts.query or parts.fragment or re.search(r"[\s\\\x00-\x1f]", url):
        return f"{_shown(parts)!r} has a query, a fragment or blanks; expected an address only."
    own = port or PORTS[parts.scheme.lower()]
    names = [_split(host) for host in hosts]
    if not any(_host(parts.hostname) == name and wanted in (None, own) for name, wanted in names):
        return f"the host {parts.hostname!r} is not among those that this installation allows."
    return ""


def address_check(
    url: str, networks: Sequence[str], setting: str, error: Callable[[str], Exception]
) -> Callable[[str], None]:
    """What to hold each connection's address against: public ones, those in `networks`, and the one that the URL itself
    names. For all others, private, link-local (where clouds keep their secrets) and our own, the check raises `error`
    of a message that names `setting`.
    """
    allowed = [ip_network(network, strict=False) for network in networks]
    host = urlsplit(url).hostname or ""

    def check(address: str) -> None:
        found = ip_address(address.partition("%")[0])  # fe80::1%eth0
        found = getattr(found, "ipv4_mapped", None) or found
        public = found.is_global and not found.is_multicast
        if not (public or any(found in network for network in allowed) or _same(host, str(found))):
            raise error(
                f"{host!r} leads to {found}, which is not a public address; who runs the installation can allow its "
                f"network by {setting}."
            )

    return check


def checked_pools(check: Callable[[str], None], guard: Callable[[socket], None] = lambda _: None) -> dict[str, Any]:
    """Pools of urllib3 whose connections are checked once they stand, so that no second look-up of a name differs.

    `guard` is given each connection that stood the check, before anything is sent over it, TLS included.
    """

    def checked(new: socket) -> socket:
        try:
            check(new.getpeername()[0])
            guard(new)
        except BaseException:
            new.close()
            raise
        return new

    class Plain(connection.HTTPConnection):
        def _new_conn(self) -> socket:
            return checked(super()._new_conn())

    class Secure(connection.HTTPSConnection):
        def _new_conn(self) -> socket:
            return checked(super()._new_conn())

    class PlainPool(connectionpool.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(connectionpool.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class Cut:
    """Cuts connections once a time is over, whatever still comes.

    Time-outs of sockets begin anew with every byte: who sends one now and then would hold a worker for hours.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._watched: list[socket] = []
        self._lock = Lock()
        self._timer = Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._watched:
                each.close()
            self._watched.clear()

    def guard(self, connection: socket) -> None:
        """Cut this one, too."""
        with self._lock:
            self._watched.append(connection.dup())  # TLS takes the socket itself away
        if self.over:
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            for each in self._watched:
                with suppress(OSError):  # closed by the other side
                    each.shutdown(SHUT_RDWR)


def _same(host: str, address: str) -> bool:
    try:
        return ip_address(host) == ip_address(address)
    except ValueError:
        return False


def _split(entry: str) -> tuple[str, int | None]:
    bracketed = re.fullmatch(r"\[(.+)\](?::(\d+))?", entry.strip())
    plain = re.fullmatch(r"([^:]+)(?::(\d+))?", entry.strip())
    found = bracketed or plain
    if found is None:  # a bare IPv6 address
        return _host(entry.strip()), None
    return _host(found[1]), int(found[2]) if found[2] else None


def _host(name: str) -> str:
    return name.lower().rstrip(".")


def _shown(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{parts.path}"[:200]
