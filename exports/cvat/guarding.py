"""At which addresses CVAT may be, whatever its name leads to today: no way into the installation's own network.

Names of hosts are allowed by the installation, but who answers for a name can change (DNS rebinding). So the address of
each connection is looked at once it stands, before anything is sent over it.
"""

from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from exports.cvat.errors import WrongAddress


def check_for(url: str, networks: Sequence[str]) -> Callable[[str], None]:
    """What to hold each connection's address against: public ones, those in `networks`, and the one that the URL itself
    names. The check raises WrongAddress for all others: private, link-local (where clouds keep their secrets), our own.
    """
    allowed = [ip_network(network, strict=False) for network in networks]
    host = urlsplit(url).hostname or ""

    def check(address: str) -> None:
        found = ip_address(address.partition("%")[0])  # fe80::1%eth0
        found = getattr(found, "ipv4_mapped", None) or found
        public = found.is_global and not found.is_multicast
        if not (public or any(found in network for network in allowed) or _same(host, str(found))):
            raise WrongAddress(
                0,
                f"{host!r} leads to {found}, which is not a public address; who runs the installation can allow its "
                "network by CVAT_ALLOWED_NETWORKS.",
            )

    return check


def _same(host: str, address: str) -> bool:
    try:
        return ip_address(host) == ip_address(address)
    except ValueError:
        return False
