"""CocoHub's settings, all read from the environment (or a `.env` file beside manage.py) and checked here.

With nothing set, an embedded PostgreSQL and Redis and local storage below `COCOHUB_HOME` serve a developer or a
newcomer. `COCOHUB_ENV=production` refuses to start on values that are unsafe there. `.env.example` explains each name.
"""

import re
import secrets
from datetime import timedelta
from pathlib import Path

from celery.schedules import crontab
from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

import cocohub.embedded as embedded
from accounts.addresses import networks
from cocohub import logs
from cocohub.environment import Environment

VERSION = "0.1.0"  # as pyproject.toml has it
BASE_DIR = Path(__file__).resolve().parent.parent
MIB = 1024 * 1024

env = Environment()
Environment.read_env(BASE_DIR / ".env")

PRODUCTION = env.str("COCOHUB_ENV", default="development") == "production"
HOME = Path(env.str("COCOHUB_HOME", default=str(BASE_DIR / "var"))).absolute()
# Building an image or type-checking needs settings but no servers.
EMBEDDED_SERVICES = env.bool("COCOHUB_EMBEDDED", default=not PRODUCTION)


def _kept_secret(name: str) -> str:
    """A secret made once for an installation without one in its environment, kept in a file only we can read."""
    path = HOME / name
    if not path.exists():
        HOME.mkdir(parents=True, exist_ok=True)
        draft = HOME / f"{name}.{secrets.token_hex(4)}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        try:
            path.hardlink_to(draft)  # fails where another process was first: then its secret counts
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def _secret(name: str, kept_as: str) -> str:
    value = env.str(name, default="")
    if value:
        if PRODUCTION and len(value) < 32:
            raise ImproperlyConfigured(f"{name} has {len(value)} characters; production needs 32 or more.")
        return value
    if PRODUCTION:
        raise ImproperlyConfigured(f"{name} is not set; production needs a secret of 32 characters or more.")
    return _kept_secret(kept_as)


# --- Core -----------------------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = _secret("SECRET_KEY", "secret_key")
LOCAL_HOSTS = ["127.0.0.1", "localhost", "[::1]", "testserver"]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else LOCAL_HOSTS)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
if PRODUCTION and DEBUG:
    raise ImproperlyConfigured("DEBUG is on; production must run with DEBUG=0.")
if PRODUCTION and (not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS):
    raise ImproperlyConfigured(f"ALLOWED_HOSTS is {ALLOWED_HOSTS!r}; production needs the names it is served by.")

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "accounts",  # before Django's, whose `changepassword` it replaces
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "corsheaders",
    "django_celery_beat",
    "django_filters",
    "django_prometheus",
    "django_structlog",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "projects",
    "assets",
    "annotations",
    "insights",
    "exports",
    "webhooks",
    "cocohub",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "cocohub.middleware.RequestIdMiddleware",
    "cocohub.middleware.any_host_for_probes",
    "django.middleware.security.SecurityMiddleware",
    "cocohub.headers.BrowserHeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "cocohub.middleware.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "cocohub.urls"
WSGI_APPLICATION = "cocohub.wsgi.application"
ASGI_APPLICATION = "cocohub.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- PostgreSQL and Redis -------------------------------------------------------------------------------------------
DATABASE_URL = env.str("DATABASE_URL", default="")
REDIS_URL = env.str("REDIS_URL", default="")
for _name, _value in (("DATABASE_URL", DATABASE_URL), ("REDIS_URL", REDIS_URL)):
    if PRODUCTION and not _value:
        raise ImproperlyConfigured(f"{_name} is not set; production does not use the embedded server.")
DATABASE_IS_EMBEDDED = not DATABASE_URL and EMBEDDED_SERVICES
if not DATABASE_URL:
    DATABASE_URL = embedded.database_url(HOME) if EMBEDDED_SERVICES else "postgresql://localhost/cocohub"
if not REDIS_URL:
    REDIS_URL = embedded.redis_url(HOME) if EMBEDDED_SERVICES else "redis://localhost"

DATABASES = {"default": Environment.db_url_config(DATABASE_URL, engine="django.db.backends.postgresql")}
DATABASES["default"] |= {
    "CONN_MAX_AGE": env.int("DATABASE_CONN_MAX_AGE", default=60),
    "CONN_HEALTH_CHECKS": True,
    "ATOMIC_REQUESTS": False,
}
# Most connections of one web process, which its requests share (0: each request opens one of its own), and how long
# a request waits for one (seconds) before it is told to come back.
DATABASE_POOL_SIZE = env.int("DATABASE_POOL_SIZE", default=10)
DATABASE_POOL_TIMEOUT = env.float("DATABASE_POOL_TIMEOUT", default=10)
if DATABASE_POOL_SIZE < 0 or DATABASE_POOL_SIZE == 1:
    raise ImproperlyConfigured(f"DATABASE_POOL_SIZE is {DATABASE_POOL_SIZE}; expected 2 or more, or 0 for no pool.")
if not 0 < DATABASE_POOL_TIMEOUT < float("inf"):
    raise ImproperlyConfigured(f"DATABASE_POOL_TIMEOUT is {DATABASE_POOL_TIMEOUT}; expected seconds, more than 0.")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        # Every call of the API counts there: a Redis that does not answer must not keep them all.
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
    },
    # Of each process: what queries found at a revision (annotations/remembering.py), at most 8 KB each.
    "memory": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "TIMEOUT": 3600,
        "OPTIONS": {"MAX_ENTRIES": 2000},
    },
}

# A query of the filter language that takes longer is refused with "narrow it".
QUERY_TIMEOUT_MS = env.int("QUERY_TIMEOUT_MS", default=10_000)
# What was there before a bulk edit is kept so long (days); afterwards it cannot be undone. 0: for ever.
UNDO_DAYS = env.int("UNDO_DAYS", default=30)
if UNDO_DAYS < 0:
    raise ImproperlyConfigured(f"UNDO_DAYS is {UNDO_DAYS}; expected a number of days, or 0 for ever.")
# Reading figures waits so long for fresh ones; after that it gives the last ones, marked as stale.
METRIC_WAIT_MS = env.int("METRIC_WAIT_MS", default=1_500)
# A font file with Hangul for charts as PNG, where the system has none of the usual ones.
CHART_FONT = env.str("CHART_FONT", default="")

# --- Celery ---------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = embedded.celery_broker_url(REDIS_URL)
CELERY_RESULT_BACKEND = None  # the Task row holds the result
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 200
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_TIME_LIMIT = 6 * 3600
# A worker that gives no sign of life for so long (seconds) is taken for dead; every so often beat looks for what dead
# workers have left and what the broker has lost, and has it done again. Together they stay below half a minute.
TASK_LEASE_SECONDS = env.float("TASK_LEASE_SECONDS", default=15)
TASK_SWEEP_SECONDS = env.float("TASK_SWEEP_SECONDS", default=5)
# The first pause before work is tried again that an unwell server has ended; each is three times the one before.
TASK_RETRY_SECONDS = env.float("TASK_RETRY_SECONDS", default=10)
for _name, _value in (
    ("TASK_LEASE_SECONDS", TASK_LEASE_SECONDS),
    ("TASK_SWEEP_SECONDS", TASK_SWEEP_SECONDS),
    ("TASK_RETRY_SECONDS", TASK_RETRY_SECONDS),
):
    if not 0.1 <= _value <= 3600:
        raise ImproperlyConfigured(f"{_name} is {_value}; expected seconds, from 0.1 to 3600.")
CELERY_TASK_SOFT_TIME_LIMIT = CELERY_TASK_TIME_LIMIT - 120
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": CELERY_TASK_TIME_LIMIT + 600}
CELERY_TASK_DEFAULT_QUEUE = "imports"
CELERY_TASK_ROUTES = {
    "annotations.tasks.*": {"queue": "imports"},
    "assets.tasks.*": {"queue": "thumbnails"},
    "insights.tasks.*": {"queue": "insights"},
    "exports.tasks.*": {"queue": "exports"},
    # A queue of its own that every worker serves: what is left behind in one queue must not wait for another's work.
    "projects.tasks.sweep": {"queue": "sweeps"},
    "webhooks.tasks.deliver_due": {"queue": "sweeps"},
    "webhooks.tasks.*": {"queue": "exports"},
    "projects.tasks.*": {"queue": "imports"},
    "cocohub.tasks.*": {"queue": "imports"},
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_SCHEDULE = {
    "re-publish waiting and abandoned tasks": {
        "task": "projects.tasks.sweep",
        "schedule": TASK_SWEEP_SECONDS,
        "options": {"expires": 2 * TASK_SWEEP_SECONDS},  # while no worker is there, one is as good as many
    },
    "forget what bulk edits changed long ago": {
        "task": "annotations.tasks.forget_old_undos",
        "schedule": crontab(minute=29),
    },
    "delete files that no row refers to": {"task": "cocohub.tasks.delete_orphans", "schedule": crontab(3, 23)},
    "forget uploads that have run out": {"task": "annotations.tasks.forget_uploads", "schedule": crontab(minute=41)},
    "refresh insights that are behind": {"task": "insights.tasks.refresh_behind", "schedule": 15.0},
    "look for what was saved in CVAT": {"task": "exports.tasks.look_at_cvat", "schedule": 60.0},
    "forget insights nobody asks for": {"task": "insights.tasks.forget_unread", "schedule": crontab(minute=47)},
    "send webhooks' deliveries that are due": {
        "task": "webhooks.tasks.deliver_due",
        "schedule": 15.0,
        "options": {"expires": 30.0},
    },
    "forget webhooks' deliveries of long ago": {"task": "webhooks.tasks.forget_old", "schedule": crontab(53, 4)},
    "forget expired tokens": {"task": "accounts.tasks.forget_expired_tokens", "schedule": crontab(minute=17)},
    "forget answers of calls long ago": {"task": "accounts.tasks.forget_old_answers", "schedule": crontab(minute=7)},
}

# --- Storage --------------------------------------------------------------------------------------------------------
S3_BUCKET = env.str("S3_BUCKET", default="")
S3_ENDPOINT = env.str("S3_ENDPOINT", default="")
# Where browsers reach the bucket's server, if that is not where we do: links to pictures lead there.
S3_PUBLIC_ENDPOINT = env.str("S3_PUBLIC_ENDPOINT", default="")
if S3_PUBLIC_ENDPOINT and not S3_PUBLIC_ENDPOINT.startswith(("http://", "https://")):
    raise ImproperlyConfigured(f"S3_PUBLIC_ENDPOINT is {S3_PUBLIC_ENDPOINT!r}; expected an address with http(s)://.")
if S3_BUCKET:
    _storage = {
        "BACKEND": "assets.buckets.BucketStorage",
        "OPTIONS": {
            "bucket_name": S3_BUCKET,
            "endpoint_url": S3_ENDPOINT or None,
            "public_endpoint_url": S3_PUBLIC_ENDPOINT or None,
            "access_key": env.str("S3_ACCESS_KEY", default="") or None,
            "secret_key": env.str("S3_SECRET_KEY", default="") or None,
            "region_name": env.str("S3_REGION", default="us-east-1"),
            "addressing_style": env.str("S3_ADDRESSING_STYLE", default="path"),
            "signature_version": "s3v4",
            "default_acl": None,
            "file_overwrite": True,
            # How long the bucket may be silent (seconds) before it is asked again, or given up.
            "timeout_seconds": env.float("S3_TIMEOUT_SECONDS", default=20),
            "max_memory_size": 8 * MIB,  # what is read beyond goes to a temporary file; 0 would be all into memory
            "querystring_expire": env.int("MEDIA_LINK_SECONDS", default=3600),
        },
    }
else:
    _storage = {
        "BACKEND": "assets.storage.LocalStorage",
        "OPTIONS": {"location": str(HOME / "storage")},
    }
STORAGES = {
    "default": _storage,
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Signed links to pictures and reports live this long.
MEDIA_LINK_SECONDS = env.int("MEDIA_LINK_SECONDS", default=3600)
# A picture with more pixels than this is refused before it is decoded (a decompression bomb).
MAX_IMAGE_PIXELS = env.int("MAX_IMAGE_PIXELS", default=120_000_000)
MAX_UPLOAD_BYTES = env.int("MAX_UPLOAD_BYTES", default=8 * 1024 * MIB)
# Uploads in parts, and what imports that succeeded have received, are forgotten after this time.
UPLOAD_HOURS = env.int("UPLOAD_HOURS", default=24)
# Imports may name what lies in storage below this prefix, put there by who runs the installation; empty: nothing.
IMPORT_PREFIX = env.str("IMPORT_PREFIX", default="incoming/").strip("/") + "/"
MAX_ARCHIVE_BYTES = env.int("MAX_ARCHIVE_BYTES", default=64 * 1024 * MIB)
MAX_ARCHIVE_ENTRIES = env.int("MAX_ARCHIVE_ENTRIES", default=1_000_000)
# With less than this left on the disk of a local storage, the server is not ready.
MIN_FREE_BYTES = env.int("MIN_FREE_BYTES", default=512 * MIB)
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * MIB
DATA_UPLOAD_MAX_NUMBER_FILES = 2_000
FILE_UPLOAD_TEMP_DIR = str(HOME / "uploads")
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
Path(FILE_UPLOAD_TEMP_DIR).mkdir(parents=True, exist_ok=True)

# --- CVAT -----------------------------------------------------------------------------------------------------------
# Of the installation; a project may have credentials of its own instead.
CVAT_API_URL = env.str("CVAT_API_URL", default="")
CVAT_API_TOKEN = env.str("CVAT_API_TOKEN", default="")
CVAT_TOKEN_SCHEME = env.str("CVAT_TOKEN_SCHEME", default="Bearer")
CVAT_ORGANIZATION = env.str("CVAT_ORGANIZATION", default="")
# Whether an outage of CVAT takes this server out of its load balancer, too.
CVAT_NEEDED_FOR_READINESS = env.bool("CVAT_NEEDED_FOR_READINESS", default=False)
CVAT_CA_FILE = env.str("CVAT_CA_FILE", default="")
# Only these (`host` or `host:port`) are ever asked, whatever a project's manager gives; default: CVAT_API_URL's.
CVAT_ALLOWED_HOSTS = env.list("CVAT_ALLOWED_HOSTS", default=[])
# Networks with addresses that are not public in which CVAT may be, besides one that CVAT_API_URL names by its number.
_PRIVATE = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8"]
CVAT_ALLOWED_NETWORKS = env.list("CVAT_ALLOWED_NETWORKS", default=[] if PRODUCTION else _PRIVATE)
# The number in CVAT of a cloud storage that is our S3_BUCKET: exports may let CVAT read the pictures there itself.
CVAT_CLOUD_STORAGE = env.int("CVAT_CLOUD_STORAGE", default=0)
# How long CVAT may take to make a task of its images before the worker does something else (seconds).
CVAT_CREATION_SECONDS = env.int("CVAT_CREATION_SECONDS", default=1800)
if CVAT_TOKEN_SCHEME not in ("Bearer", "Token"):
    raise ImproperlyConfigured(f"CVAT_TOKEN_SCHEME is {CVAT_TOKEN_SCHEME!r}; expected Bearer or Token.")
# Where people reach this server: CVAT's tasks link back to here.
PUBLIC_URL_UNSAID = "http://127.0.0.1:8000"
PUBLIC_URL = env.str("PUBLIC_URL", default=PUBLIC_URL_UNSAID).rstrip("/")
# Stored tokens are sealed under the first of these; the others still open what they sealed before.
CREDENTIALS_KEYS = env.list("CREDENTIALS_KEYS", default=[]) or [SECRET_KEY]

# --- Accounts and the API -------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
# `required`: whoever may use the admin has to set up a second factor before anything else, and is asked for it.
STAFF_SECOND_FACTOR = env.str("STAFF_SECOND_FACTOR", default="optional")
if STAFF_SECOND_FACTOR not in ("optional", "required"):
    raise ImproperlyConfigured(f"STAFF_SECOND_FACTOR is {STAFF_SECOND_FACTOR!r}; expected optional or required.")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# So many (per s, min, h or d; 0: no limit) and no more, each per user or email, and per address.
RATES = {
    "login": env.str("LOGIN_RATE", default="20/min"),
    "login-failures": env.str("LOGIN_FAILURE_RATE", default="50/h"),
    "member-misses": env.str("MEMBER_MISS_RATE", default="20/h"),
    "user": env.str("API_USER_RATE", default="6000/min"),
    "address": env.str("API_ADDRESS_RATE", default="600/min"),
    "token": env.str("API_TOKEN_RATE", default="1200/min"),
    "new-tokens": env.str("NEW_TOKEN_RATE", default="30/h"),
}
for _name, _value in RATES.items():
    if not re.fullmatch(r"0|[0-9]{1,9}/(s|sec|min|m|h|hour|d|day)", _value):
        raise ImproperlyConfigured(f"The rate of {_name} is {_value!r}; expected a rate such as 20/min, or 0.")
# Proxies in front of us (addresses, networks, or `unix`), which alone are believed when they say for whom they ask.
TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", default=[])
# Hosts (`host` or `host:port`) that webhooks may go to; none: there are no webhooks. Networks as with CVAT.
WEBHOOK_ALLOWED_HOSTS = env.list("WEBHOOK_ALLOWED_HOSTS", default=[])
WEBHOOK_ALLOWED_NETWORKS = env.list("WEBHOOK_ALLOWED_NETWORKS", default=[] if PRODUCTION else _PRIVATE)
# A webhook to which nothing has come through for so long is put out of action; its log is kept for so long (days).
WEBHOOK_GIVE_UP_DAYS = env.int("WEBHOOK_GIVE_UP_DAYS", default=5)
WEBHOOK_LOG_DAYS = env.int("WEBHOOK_LOG_DAYS", default=30)
for _name, _networks in (
    ("TRUSTED_PROXIES", TRUSTED_PROXIES),
    ("CVAT_ALLOWED_NETWORKS", CVAT_ALLOWED_NETWORKS),
    ("WEBHOOK_ALLOWED_NETWORKS", WEBHOOK_ALLOWED_NETWORKS),
):
    try:
        networks(tuple(_networks))
    except ValueError as _error:
        raise ImproperlyConfigured(f"{_name}: {_error}; expected addresses and networks (10.0.0.0/8).") from _error
# Personal tokens of scripts work so long if nothing is said (days), and so long at most.
TOKEN_MAX_DAYS = env.int("TOKEN_MAX_DAYS", default=366)
TOKEN_DAYS = env.int("TOKEN_DAYS", default=min(90, TOKEN_MAX_DAYS))
if not 1 <= TOKEN_DAYS <= TOKEN_MAX_DAYS:
    raise ImproperlyConfigured(f"TOKEN_DAYS is {TOKEN_DAYS}; expected 1 to TOKEN_MAX_DAYS ({TOKEN_MAX_DAYS}).")
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["accounts.api.rendering.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["accounts.api.parsing.JSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "URL_FORMAT_OVERRIDE": None,  # `?format=` is ours: reports as CSV
    "EXCEPTION_HANDLER": "cocohub.errors.exception_handler",
    "DEFAULT_THROTTLE_CLASSES": ["accounts.throttling.CallThrottle"],
    "DEFAULT_THROTTLE_RATES": RATES,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.int("JWT_ACCESS_MINUTES", default=15)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.int("JWT_REFRESH_DAYS", default=14)),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "ALGORITHM": "HS256",
    "SIGNING_KEY": _secret("JWT_SECRET", "jwt_secret"),
    "USER_ID_CLAIM": "sub",
    "UPDATE_LAST_LOGIN": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CocoHub API",
    "VERSION": "1.0.0",
    "DESCRIPTION": "COCO data sets in, look, filter, tag, fix, send to CVAT, COCO out again with nothing lost.",
    "SERVE_INCLUDE_SCHEMA": False,
    "DEFAULT_GENERATOR_CLASS": "accounts.api.generator.Generator",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "accounts.api.generator.null_is_an_alternative",
        "accounts.api.examples.add_to",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "TaskKindEnum": "projects.models.Task.Kind",
        "TaskStatusEnum": "projects.models.Task.Status",
        "ProjectStatusEnum": "projects.models.Project.Status",
        "ImageStatusEnum": "assets.models.ImageAsset.Status",
        "ReviewStatusEnum": ["approved", "in_review", "ready", "rejected"],
        "AnnotationKindEnum": ["objects", "captions", "panoptic"],
        "ImportWhatEnum": "annotations.models.ImportJob.What",
        "ExportTargetEnum": "exports.models.ExportJob.Target",
        "CvatPullPolicyEnum": "exports.pulling.models.CvatPull.Policy",
        "CvatApplyPolicyEnum": ["accept", "theirs", "ours"],
    },
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "TAGS": [
        {"name": "auth", "description": "Log in and out, and who you are."},
        {"name": "personal tokens", "description": "Tokens for scripts: scopes, an end, revoked at once."},
        {"name": "users", "description": "People and scripts that can log in. For global admins."},
        {"name": "projects", "description": "Bodies of images with their annotations, each worked on by one team."},
        {"name": "webhooks", "description": "Addresses that are told when long work has ended, and what was sent."},
        {"name": "members", "description": "Who is in a project's team, and as what."},
        {"name": "audit", "description": "Every write: who, what, when, by which door."},
        {"name": "tasks", "description": "Long work: follow it, stop it, have it done again."},
        {"name": "imports", "description": "COCO documents, pictures and predictions on their way in."},
        {"name": "images", "description": "Find images with the query language, look at them, tag them."},
        {"name": "bulk edits", "description": "One change to many images or annotations, which can be undone."},
        {"name": "annotations", "description": "Objects and their categories: read, draw, relabel, merge."},
        {"name": "insights", "description": "Figures and charts of a project, or of what a query finds."},
        {"name": "exports", "description": "COCO out again with nothing lost, and work sent to CVAT."},
        {"name": "pulls from CVAT", "description": "Corrections made in CVAT: read, compared, decided, applied."},
        {"name": "health", "description": "Whether the parts of the installation answer."},
    ],
}
CORS_ALLOWED_ORIGINS = env.list("ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/api/"
TUS_HEADERS = ["tus-resumable", "upload-length", "upload-metadata", "upload-offset", "upload-checksum"]
CORS_ALLOW_HEADERS = [*default_headers, "if-match", "idempotency-key", "last-event-id", *TUS_HEADERS]
RATE_HEADERS = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
CORS_EXPOSE_HEADERS = [
    "location", "etag", "x-request-id", "retry-after", "idempotency-replayed", "upload-expires", "tus-version",
    *RATE_HEADERS, *TUS_HEADERS,
]  # fmt: skip

# --- Metrics for Prometheus -----------------------------------------------------------------------------------------
# Who may read them: `Authorization: Bearer` of this token, and who asks from these networks (`unix`: a socket file).
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
METRICS_NETWORKS = env.list("METRICS_NETWORKS", default=[] if PRODUCTION else ["127.0.0.0/8", "::1"])
try:
    networks(tuple(METRICS_NETWORKS))
except ValueError as _error:
    raise ImproperlyConfigured(f"METRICS_NETWORKS: {_error}; expected addresses and networks.") from _error
if PRODUCTION and METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured(f"METRICS_TOKEN has {len(METRICS_TOKEN)} characters; production needs 16 or more.")

# --- Browser security -----------------------------------------------------------------------------------------------
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = PRODUCTION
if PRODUCTION:  # with this prefix browsers take them from this very host alone, and over TLS alone
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
SESSION_COOKIE_AGE = env.int("SESSION_HOURS", default=14 * 24) * 3600
LANGUAGE_COOKIE_HTTPONLY, LANGUAGE_COOKIE_SAMESITE = True, "Lax"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=PRODUCTION)
SECURE_REDIRECT_EXEMPT = [r"^api/v1/health/(live|ready)$", r"^metrics(/installation)?$"]  # asked from inside
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if PRODUCTION else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
CSRF_FAILURE_VIEW = "cocohub.errors.csrf_failure"
if env.bool("BEHIND_HTTPS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- Languages, static files, logs ----------------------------------------------------------------------------------
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
LANGUAGES = [("en", "English"), ("ko", "한국어")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["cocohub.formats"]
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = BASE_DIR / "static-root"
WHITENOISE_USE_FINDERS = not PRODUCTION
if not PRODUCTION:
    STATIC_ROOT = HOME / "static"  # empty: files are found where they lie
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}

LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_FORMAT = env.str("LOG_FORMAT", default="json" if PRODUCTION else "console")
if LOG_FORMAT not in ("json", "console"):
    raise ImproperlyConfigured(f"LOG_FORMAT is {LOG_FORMAT!r}; expected json or console.")
LOGGING = logs.configuration(LOG_LEVEL, as_json=LOG_FORMAT == "json")
DJANGO_STRUCTLOG_CELERY_ENABLED = True  # tasks go on with the request's context

# --- The admin's theme ----------------------------------------------------------------------------------------------
# Teal, in oklch as Unfold has its colours: lightness, chroma, hue.
_TEAL = {
    50: (98.0, 0.014), 100: (95.0, 0.035), 200: (90.5, 0.065), 300: (84.0, 0.095), 400: (75.5, 0.118),
    500: (66.5, 0.118), 600: (53.5, 0.100), 700: (48.0, 0.086), 800: (40.5, 0.070), 900: (35.0, 0.057),
    950: (25.0, 0.042),
}  # fmt: skip
UNFOLD = {
    "SITE_TITLE": "CocoHub",
    "SITE_HEADER": "CocoHub",
    "SITE_SYMBOL": "photo_library",
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "COLORS": {"primary": {str(name): f"oklch({light}% {chroma} 192)" for name, (light, chroma) in _TEAL.items()}},
    "ACCOUNT": {
        "navigation": [
            {"title": _("Personal tokens"), "link": reverse_lazy("workplace:tokens")},
            {"title": _("Second factor"), "link": reverse_lazy("workplace:second-factor")},
            {"title": _("Change password"), "link": reverse_lazy("admin:password_change")},
        ],
    },
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("workplace/icon.svg")},
    ],
    "STYLES": [lambda request: static("workplace/workplace.css")],
    "SCRIPTS": [
        lambda request: static("workplace/asking.js"),
        lambda request: static("workplace/once.js"),
    ],
    "SIDEBAR": {"navigation": "cocohub.workplace.navigation.sidebar"},
    "DASHBOARD_CALLBACK": "cocohub.workplace.home.dashboard",
}
