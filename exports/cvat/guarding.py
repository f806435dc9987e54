"""At which addresses CVAT may be, whatever its name leads to today: no way into the installation's own network."""

from collections.abc import Callable, Sequence

from accounts import outbound
from exports.cvat.errors import WrongAddress


def check_for(url: str, networks: Sequence[str]) -> Callable[[str], None]:
    """What to hold each connection's address against (accounts/outbound.py). The check raises WrongAddress."""
    return outbound.address_check(url, networks, "CVAT_ALLOWED_NETWORKS", lambda message: WrongAddress(0, message))
