from collections.abc import Iterator

import pytest

from tests.webhooks.receiver import Receiver, listening
from webhooks import services


@pytest.fixture
def receiver(settings) -> Iterator[Receiver]:
    """A receiver that the installation allows."""
    settings.WEBHOOK_ALLOWED_HOSTS = ["127.0.0.1"]
    with listening() as found:
        yield found


@pytest.fixture
def made(receiver, project, manager):
    """A webhook to the receiver for all events of imports and exports, and its secret."""
    events = ["import.succeeded", "import.failed", "export.succeeded"]
    return services.create(user=manager, project=project, url=receiver.url, events=events)


@pytest.fixture
def webhook(made):
    return made[0]
