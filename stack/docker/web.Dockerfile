# The nginx servers, the shop behind them and its visitors.
FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends nginx-light \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /tmp loglake \
    && install -d -o loglake -m 0700 \
        /var/lib/loglake /var/lib/loglake/nginx /var/lib/loglake/secrets
WORKDIR /opt/loglake
COPY pyproject.toml README.md ./
COPY orchestration orchestration
COPY streaming streaming
COPY batch batch
COPY stack stack
COPY flume flume
RUN pip install --no-cache-dir --root-user-action=ignore -e .
ENV LOGLAKE_HOME=/var/lib/loglake PYTHONUNBUFFERED=1
USER loglake
ENTRYPOINT ["python", "-m", "stack.docker.run"]
