"""Where CVAT is, who we are there, and which hosts may be asked at all."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from accounts import outbound
from exports.cvat.errors import WrongAddress

Scheme = Literal["Bearer", "Token"]

ORGANIZATION = re.compile(r"[\w-]{1,64}", re.ASCII)
TOKEN = re.compile(r"[!-~]{1,1024}")


@dataclass(frozen=True)
class Timeouts:
    """In seconds: `connect` for the connection, `read` for each silence, `total` for one call with all its answer."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 600.0


@dataclass(frozen=True)
class Account:
    """An address of CVAT's API with what it takes to be let in.

    `url` is CVAT's address, with or without `/api`. `scheme` is Bearer for personal access tokens (CVAT 2.48 and later)
    and Token for login keys of older servers. `organization` is a slug, "" for the personal sandbox, None for every
    context the user sees. `allowed_hosts` (`host` or `host:port`) are the only ones that are ever asked.
    Raises WrongAddress or ValueError for what cannot be used, without repeating the token.
    """

    url: str
    token: str = field(repr=False)
    scheme: Scheme = "Bearer"
    organization: str | None = None
    allowed_hosts: frozenset[str] = frozenset()
    ca_file: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)

    def __post_init__(self) -> None:
        allowed(self.url, self.allowed_hosts)
        if not TOKEN.fullmatch(self.token):
            raise ValueError("The CVAT token is empty, or has blanks or characters that no token has.")
        if self.scheme not in ("Bearer", "Token"):
            raise ValueError(f"The scheme of the CVAT token is {self.scheme!r}; expected 'Bearer' or 'Token'.")
        if self.organization and not ORGANIZATION.fullmatch(self.organization):
            raise ValueError(f"{self.organization!r} is not the slug of a CVAT organization.")

    @property
    def web_url(self) -> str:
        """Where people go: without `/api` and without a slash at the end."""
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/").removesuffix("/api").rstrip("/")
        return f"{parts.scheme.lower()}://{parts.netloc.lower()}{path}"

    @property
    def api_url(self) -> str:
        """Where calls go, without a slash at the end."""
        return f"{self.web_url}/api"

    @property
    def headers(self) -> dict[str, str]:
        """Who we are. There are no cookies: with a token they only confuse CVAT."""
        headers = {"Authorization": f"{self.scheme} {self.token}"}
        if self.organization is not None:
            headers["X-Organization"] = self.organization
        return headers


def allowed(url: str, hosts: Iterable[str]) -> None:
    """Raise WrongAddress unless the address may be asked: http or https, one of the hosts, no credentials in it."""
    if fault := outbound.fault_of(url, hosts):
        raise WrongAddress(0, fault)


def host_of(url: str) -> str:
    """The `host:port` of an address, as `allowed_hosts` takes it; "" if there is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or outbound.PORTS.get(parts.scheme.lower())
    except ValueError:
        return ""
    if not host or port is None:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
