"""What Prometheus reads: `/metrics` of this process, `/metrics/installation` of everything together.

The second is the same whichever web process answers, so it is scraped at one of them, once.
"""

import hmac
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address

import redis
from django.conf import settings
from django.db import Error
from django.db.models import Count, Min
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from accounts import metering
from accounts.addresses import address_of, networks
from accounts.metering import METERS, Field, Meter
from cocohub.health.parts import QUEUES
from projects.models import Task

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def of_process(request: HttpRequest) -> HttpResponse:
    """Requests, statements and memory of this process (of all of this host, with PROMETHEUS_MULTIPROC_DIR)."""
    _require_reader(request)
    return ExportToDjangoView(request)


@never_cache
@require_safe
def of_installation(request: HttpRequest) -> HttpResponse:
    """Jobs, queues, CVAT, caches and figures, of all processes together."""
    _require_reader(request)
    registry = CollectorRegistry()
    registry.register(Installation())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class Installation:
    """What is known of the installation at this moment, as Prometheus' families."""

    def collect(self) -> Iterator[Metric]:
        """Counters from Redis, queues as they are. What cannot be asked is left out, and `cocohub_answers` says so."""
        up = {}
        for part, families in (("counts", self._counted), ("broker", self._messages), ("database", self._queues)):
            try:
                yield from list(families())
                up[part] = 1.0
            except (redis.RedisError, Error, OSError) as error:
                logger.warning("Metrics without the %s: %s", part, error)
                up[part] = 0.0
        yield _gauge("cocohub_answers", "Whether this part could be asked.", up, "part")

    def _counted(self) -> Iterator[Metric]:
        metering.flush()
        found: dict[str, dict[Field, float]] = defaultdict(dict)
        for field, number in metering.read().items():
            found[field[0]][field] = number
        for meter in METERS.values():
            yield _FAMILIES[meter.kind](meter, found[meter.name])

    def _messages(self) -> Iterator[Metric]:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
            waiting = {name: float(client.llen(name)) for name in QUEUES}
        yield _gauge("cocohub_queue_messages", "Messages that no worker has taken yet.", waiting, "queue")

    def _queues(self) -> Iterator[Metric]:
        now, kinds = timezone.now(), Task.Kind.values
        states = {"waiting": Task.Status.QUEUED, "running": Task.Status.RUNNING}
        for state, status in states.items():
            rows = Task.objects.filter(status=status).order_by().values("kind")
            found = {row["kind"]: row for row in rows.annotate(number=Count("pk"), first=Min("created_at"))}
            numbers = {kind: float(found[kind]["number"]) if kind in found else 0.0 for kind in kinds}
            yield _gauge(f"cocohub_jobs_{state}", f"Jobs that are {state}.", numbers, "kind")
            if state == "waiting":
                ages = {kind: (now - found[kind]["first"]).total_seconds() if kind in found else 0.0 for kind in kinds}
                yield _gauge("cocohub_queue_oldest_seconds", "How long the oldest job has waited.", ages, "kind")


def _counter(meter: Meter, found: dict[Field, float]) -> Metric:
    family = CounterMetricFamily(meter.name, meter.help, labels=meter.labels)
    for (_, values, _part), number in sorted(found.items()):
        family.add_metric(values, number)
    return family


def _histogram(meter: Meter, found: dict[Field, float]) -> Metric:
    family = HistogramMetricFamily(meter.name, meter.help, labels=meter.labels)
    for values in sorted({values for _, values, _ in found}):
        parts = {part: number for (_, of, part), number in found.items() if of == values}
        buckets = [(str(bound), parts.get(str(bound), 0.0)) for bound in metering.SECONDS]
        family.add_metric(values, [*buckets, ("+Inf", parts.get("count", 0.0))], parts.get("sum", 0.0))
    return family


_FAMILIES = {"counter": _counter, "histogram": _histogram}


def _gauge(name: str, text: str, numbers: Mapping[str, float], label: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for value, number in numbers.items():
        family.add_metric((value,), number)
    return family


def _require_reader(request: HttpRequest) -> None:
    """Let in who has METRICS_TOKEN or comes from METRICS_NETWORKS; to others there is nothing here."""
    given = request.headers.get("Authorization", "").encode()
    if settings.METRICS_TOKEN and hmac.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode()):
        return
    if not _is_within(address_of(request), tuple(settings.METRICS_NETWORKS)):
        raise Http404


def _is_within(address: str, places: tuple[str, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return address in places  # `unix`
    return any(found in network for network in _networks(places))


_networks = lru_cache(maxsize=4)(networks)
