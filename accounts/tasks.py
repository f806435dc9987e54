"""Housekeeping that the beat asks for."""

from celery import shared_task

from accounts import once, personal, tokens


@shared_task
def forget_expired_tokens() -> int:
    """Delete what is known of tokens that have run out."""
    return tokens.forget_expired() + personal.forget_expired()


@shared_task
def forget_old_answers() -> int:
    """Delete what calls with an Idempotency-Key were answered more than a day ago."""
    return once.forget_old()
