# Tollbridge as one image: `serve` is the API, `worker` delivers. Runs as a user without rights, on a read-only root:
#   docker build -t tollbridge .
#   docker run --read-only --tmpfs /tmp --env-file tollbridge.env tollbridge migrate
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/tollbridge
COPY requirements.lock ./
RUN /opt/tollbridge/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY tollbridge ./tollbridge
RUN /opt/tollbridge/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/tollbridge --create-home --shell /usr/sbin/nologin tollbridge
COPY --from=build /opt/tollbridge /opt/tollbridge
ENV PATH=/opt/tollbridge/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    TOLLBRIDGE_HOME=/var/lib/tollbridge TOLLBRIDGE_HOST=0.0.0.0
USER 10001
WORKDIR /var/lib/tollbridge
# Only what the embedded database and a key file need: with TOLLBRIDGE_DATABASE_URL and TOLLBRIDGE_KEY it stays empty.
VOLUME /var/lib/tollbridge
EXPOSE 8400
# SIGTERM: runs under way are finished first, for which TOLLBRIDGE_DRAIN gives the time.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tollbridge"]
CMD ["serve"]
