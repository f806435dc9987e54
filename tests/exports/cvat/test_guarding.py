"""Where CVAT may be: names are allowed by the installation, and so are the addresses they lead to."""

import socket

import pytest

from exports import connecting
from exports.cvat.account import Account
from exports.cvat.client import Client
from exports.cvat.errors import CvatError, WrongAddress
from exports.cvat.guarding import check_for
from exports.cvat.transport import Transport

NAME = "http://cvat.example.org"
INSIDE = [
    *("127.0.0.1", "10.0.0.5", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"),
    *("::1", "fe80::1", "fe80::1%eth0", "fd00::5", "::ffff:10.0.0.5", "::ffff:169.254.169.254", "ff02::1", "::"),
]


@pytest.mark.parametrize("address", INSIDE)
def test_a_name_that_leads_inside_is_refused(address):
    with pytest.raises(WrongAddress, match="CVAT_ALLOWED_NETWORKS"):
        check_for(NAME, [])(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_public_addresses_are_allowed(address):
    assert check_for(NAME, [])(address) is None


def test_networks_are_allowed_by_the_installation_alone():
    check = check_for(NAME, ["10.0.0.0/8", "fd00::/8"])
    assert check("10.0.0.5") is None
    assert check("::ffff:10.0.0.5") is None
    assert check("fd00::5") is None
    for address in ("192.168.1.1", "169.254.169.254", "127.0.0.1"):
        with pytest.raises(WrongAddress):
            check(address)


def test_an_address_that_the_url_itself_names_is_allowed():
    assert check_for("http://10.0.0.5:8080", [])("10.0.0.5") is None
    with pytest.raises(WrongAddress):
        check_for("http://10.0.0.5:8080", [])("10.0.0.6")


def test_a_name_that_is_rebound_gets_neither_token_nor_call(double, monkeypatch):
    """The name is public when it is first asked for; when the connection is made it leads to a server inside."""
    port = int(double.url.rpartition(":")[2])
    real, answers = socket.getaddrinfo, iter(["93.184.216.34", "127.0.0.1"])

    def rebinding(host, *arguments, **options):
        return real(next(answers) if host == "cvat.example.org" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = f"{NAME}:{port}"
    assert socket.getaddrinfo("cvat.example.org", port)[0][4][0] == "93.184.216.34"
    account = Account(url, double.token, allowed_hosts=frozenset({f"cvat.example.org:{port}"}))
    client = Client(Transport(account, address_check=check_for(url, []), pause=lambda seconds: None))
    with pytest.raises(CvatError, match=r"leads to 127\.0\.0\.1"):
        client.me()
    assert double.state.calls == []


def test_every_client_of_ours_is_held_to_it(settings, monkeypatch):
    settings.CVAT_API_URL, settings.CVAT_API_TOKEN = f"{NAME}:9", "t"
    settings.CVAT_ALLOWED_HOSTS, settings.CVAT_ALLOWED_NETWORKS = [], []
    real = socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *more, **options: real(*place, *more, **options))
        with connecting.open_client(connecting.account_of_installation(), pause=lambda seconds: None) as client:
            with pytest.raises(WrongAddress, match=r"leads to 127\.0\.0\.1"):
                client.me()


def test_nothing_else_of_ours_opens_connections_to_what_users_name():
    """User data names no address to fetch: CVAT's client, webhooks and what serves ourselves import such things."""
    import ast

    from tests.conftest import ROOT

    wanted = {"urllib.request", "urllib3", "requests", "httpx", "aiohttp", "http.client", "socket", "ftplib", "smtplib"}
    importing = {
        str(path.relative_to(ROOT))
        for app in ("accounts", "projects", "assets", "annotations", "insights", "exports", "webhooks", "cocohub")
        for path in (ROOT / app).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and wanted & {each.name for each in node.names})
        or (isinstance(node, ast.ImportFrom) and node.module in wanted)
    }
    own = {name for name in importing if name.startswith(("cocohub/embedded/", "exports/cvat/transport"))}
    checked = {"accounts/outbound.py", "webhooks/sending.py"}
    assert importing - own == {"cocohub/health/parts.py", *checked}  # the machine's name
