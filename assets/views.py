"""Signed links to stored files of a local storage: who has one may read one file until it runs out."""

from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from accounts.api.streaming import stored_file
from assets.storage import LINK_SALT, content_type, download_name


@require_safe
def media(request: HttpRequest, signed: str) -> HttpResponseBase:
    """The file that a signed link names. Its type is the one of our key, whatever the uploader called it."""
    try:
        key = signing.TimestampSigner(salt=LINK_SALT).unsign_object(
            signed, max_age=timedelta(seconds=settings.MEDIA_LINK_SECONDS)
        )
        content = default_storage.open(key, "rb")
    except (signing.BadSignature, FileNotFoundError):
        raise Http404("This link is not valid any more, or the file is gone.") from None
    response = stored_file(request, content, content_type(key), download_name(key))
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    # Web applications of the allowed origins show pictures too; the signed link is the permission.
    response["Cross-Origin-Resource-Policy"] = "cross-origin" if settings.CORS_ALLOWED_ORIGINS else "same-origin"
    response["Cache-Control"] = f"private, max-age={settings.MEDIA_LINK_SECONDS}, immutable"
    return response
