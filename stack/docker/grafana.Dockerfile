# Grafana with the dashboards and alert rules of this repository.
FROM grafana/grafana:12.3.2
USER root
RUN install -d -o 10001 -g 0 -m 0700 \
    /var/lib/loglake /var/lib/loglake/grafana /var/lib/loglake/secrets
COPY grafana /opt/loglake/grafana
USER 10001:0
ENV LOGLAKE_HOME=/var/lib/loglake LOGLAKE_GRAFANA_HOME=/usr/share/grafana
ENTRYPOINT ["/bin/sh", "/opt/loglake/grafana/start.sh"]
