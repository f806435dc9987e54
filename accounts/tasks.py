"""Housekeeping that the beat asks for."""

from celery import shared_task

from accounts import personal, tokens


@shared_task
def forget_expired_tokens() -> int:
    """Delete what is known of tokens that have run out."""
    return tokens.forget_expired() + personal.forget_expired()
