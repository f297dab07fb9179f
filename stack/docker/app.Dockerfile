# The Spark streams, the batch jobs and Dagster; also the receiver of alerts and the set-up.
FROM python:3.12-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless maven \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/loglake
COPY pyproject.toml README.md ./
COPY orchestration orchestration
COPY streaming streaming
COPY batch batch
COPY stack stack
COPY flume flume
COPY docs docs
COPY grafana/dashboards grafana/dashboards
RUN pip install --no-cache-dir --root-user-action=ignore -e '.[postgres]'
ENV LOGLAKE_CACHE=/opt/loglake/cache
RUN python -m stack.docker.image "spark JARs"

FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless procps \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /tmp loglake \
    && install -d -o loglake -m 0700 /var/lib/loglake /var/lib/loglake/secrets
COPY --from=build /usr/local /usr/local
COPY --from=build /opt/loglake /opt/loglake
ENV LOGLAKE_HOME=/var/lib/loglake LOGLAKE_CACHE=/opt/loglake/cache PYTHONUNBUFFERED=1
WORKDIR /opt/loglake
USER loglake
ENTRYPOINT ["python", "-m", "stack.docker.run"]
