"""Storage in a bucket of S3 or of what speaks like it: links that browsers can follow and that serve no page."""

import threading
import time
from functools import lru_cache
from typing import Any

from botocore.config import Config
from storages.backends.s3 import S3Storage

from assets.storage import content_type, download_name

CONNECT_SECONDS = 5
ATTEMPTS = 3
KEPT = 50_000  # links; signing one takes as long as reading five rows
PARTS = 8  # of a link's life, for one of which the same link is given again


class BucketStorage(S3Storage):
    """A bucket. `public_endpoint_url` is the bucket's server as browsers see it, where that differs from ours;
    `timeout_seconds` is how long it may be silent before it is asked again, or given up."""

    client_config: Any  # of S3Storage

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # Without these, S3's client waits for minutes: a request, or a lease, would not last so long.
        patience = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=self.timeout_seconds,
            retries={"mode": "standard", "max_attempts": ATTEMPTS},
        )
        self.client_config = self.client_config.merge(patience)
        self._public = threading.local()
        self._link = lru_cache(maxsize=KEPT)(self._sign)

    def get_default_settings(self) -> dict[str, Any]:
        """Those of S3Storage, and ours."""
        return {**super().get_default_settings(), "public_endpoint_url": None, "timeout_seconds": 20.0}

    def url(self, name: str, parameters: Any = None, expire: int | None = None, http_method: str | None = None) -> str:
        """A signed link; who has it may read this one file until it runs out.

        It lasts at least seven eighths of `querystring_expire`: meanwhile the same link is given again, so that
        browsers keep what they have read. The bucket answers with a type that follows from our key, and offers what is
        no picture for download; it cannot be told to send `nosniff`.
        """
        if parameters or expire or http_method:
            return str(super().url(name, parameters, expire, http_method))
        return self._link(name, int(time.time() * PARTS / self.querystring_expire))

    def _sign(self, name: str, part: int) -> str:
        file_name = download_name(name)
        disposition = f'attachment; filename="{file_name}"' if file_name else "inline"
        params = {
            "Bucket": self.bucket_name,
            "Key": self._normalize_name(name),
            "ResponseContentType": content_type(name),
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": f"private, max-age={self.querystring_expire}, immutable",
        }
        client: Any = self._public_client()
        return str(client.generate_presigned_url("get_object", Params=params, ExpiresIn=self.querystring_expire))

    def _public_client(self) -> Any:
        if not self.public_endpoint_url:
            return self.connection.meta.client
        if not hasattr(self._public, "client"):
            self._public.client = self._create_session().client(
                "s3",
                region_name=self.region_name,
                use_ssl=self.use_ssl,
                endpoint_url=self.public_endpoint_url,
                config=self.client_config,
                verify=self.verify,
            )
        return self._public.client
