"""`serve`: what its processes are told of where they listen."""

import pytest
from django.conf import LazySettings

from cocohub import serving


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:8123"), ("0.0.0.0", "http://127.0.0.1:8123"), ("::", "http://[::1]:8123")],  # noqa: S104
    ids=["loopback", "all", "all-v6"],
)
def test_links_lead_to_where_it_listens(host: str, address: str, settings: LazySettings) -> None:
    settings.PUBLIC_URL = settings.PUBLIC_URL_UNSAID
    assert serving.environment(host, 8123)["PUBLIC_URL"] == address


def test_links_lead_to_where_people_come_from_if_that_is_said(settings: LazySettings) -> None:
    settings.PUBLIC_URL = "https://cocohub.example.org"
    assert serving.environment("127.0.0.1", 8123).get("PUBLIC_URL") != "http://127.0.0.1:8123"
