# One image, three roles: `docker build --target api|worker|beat .`
# The version is pinned to the patch; raise both lines together.
FROM python:3.13.5-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements.txt /tmp/requirements.txt
RUN /venv/bin/pip install --require-hashes -r /tmp/requirements.txt

FROM python:3.13.5-slim-bookworm AS base
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    COCOHUB_ENV=production COCOHUB_EMBEDDED=0 COCOHUB_HOME=/var/lib/cocohub
RUN useradd --system --uid 10001 --home-dir /var/lib/cocohub --create-home cocohub
# Charts as PNG, with Korean names.
RUN apt-get update && apt-get install -y --no-install-recommends fonts-nanum && rm -rf /var/lib/apt/lists/*
COPY --from=build /venv /venv
WORKDIR /srv/cocohub
COPY . .
# Static files need settings, but no servers; these secrets are used for nothing else.
RUN SECRET_KEY=$(python -c "import secrets; print(secrets.token_urlsafe(48))") \
    JWT_SECRET=$(python -c "import secrets; print(secrets.token_urlsafe(48))") \
    ALLOWED_HOSTS=build DATABASE_URL=postgresql://build/build REDIS_URL=redis://build COCOHUB_HOME=/tmp/build \
    python manage.py collectstatic --noinput && rm -rf /tmp/build
USER cocohub
VOLUME /var/lib/cocohub

FROM base AS api
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/api/v1/health/ready', timeout=4)"
CMD ["uvicorn", "cocohub.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--workers", "2", "--no-proxy-headers", "--lifespan", "off"]

FROM base AS worker
# Queues scale alone: run several of these, each with the queues that it is to serve. All of them serve `sweeps`.
ENV QUEUES=imports,thumbnails,insights,exports CONCURRENCY=2
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s \
    CMD celery -A cocohub inspect ping -d "celery@$HOSTNAME" -t 10
CMD ["sh", "-c", "exec celery -A cocohub worker -Q $QUEUES,sweeps -c $CONCURRENCY -l info --without-gossip --without-mingle"]

FROM base AS beat
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s CMD python manage.py check_health beat
CMD ["celery", "-A", "cocohub", "beat", "-l", "info", "--pidfile="]
