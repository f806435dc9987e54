"""Traces by OpenTelemetry, for operators who name a collector: OTEL_EXPORTER_OTLP_ENDPOINT, as the standard has it.

Without one nothing of tracing is imported or wrapped; redis-py alone looks for OpenTelemetry, some 30 ms as a process
starts. A trace goes from the request through its statements and the message into the worker, and on to CVAT.
Statements are told without their values, addresses without what stands behind `?`.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
from typing import Any

from django.conf import settings

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def wanted() -> bool:
    """Whether the environment asks for traces."""
    return any(map(os.environ.get, ENDPOINTS)) and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true"


def start(part: str) -> bool:
    """Trace what this process (`web`, `worker`) does from now on, if that is wanted; whether it is.

    To be called after a fork, since spans are sent by a thread, and before Django's middleware is put together.
    """
    if not wanted():
        return False
    # Here, so that who traces nothing pays nothing.
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", f"cocohub-{part}")
    resource = Resource.create({"service.name": name, "service.version": settings.VERSION})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(
        request_hook=_without_query, excluded_urls="health/live,health/ready,metrics,static"
    )
    PsycopgInstrumentor().instrument()
    CeleryInstrumentor().instrument()
    URLLib3Instrumentor().instrument(url_filter=lambda url: url.partition("?")[0])
    return True


def _without_query(span: Any, request: Any) -> None:
    """Tickets and signatures stand there; and the whole of a signed link is one."""
    path = "/media/" if request.path.startswith("/media/") else request.path
    for name in ("http.url", "url.full"):
        span.set_attribute(name, f"{request.scheme}://{request.get_host()}{path}")
    for name in ("http.target", "url.path"):
        span.set_attribute(name, path)
    span.set_attribute("url.query", "")
