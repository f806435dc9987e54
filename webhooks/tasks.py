"""What workers and beat do for webhooks."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from webhooks import sending
from webhooks.models import Delivery


@shared_task
def deliver(key: str) -> bool:
    """Send one delivery."""
    return sending.deliver(key)


@shared_task
def deliver_due() -> int:
    """Ring for deliveries whose next attempt is due, or whose worker died."""
    return sending.ring_for_due()


@shared_task
def forget_old() -> int:
    """Forget deliveries of long ago."""
    old = timezone.now() - timedelta(days=settings.WEBHOOK_LOG_DAYS)
    over = Delivery.objects.exclude(status=Delivery.Status.WAITING)
    return over.filter(created_at__lt=old).delete()[0]
