#!/bin/sh
# Starts Grafana with this repository's provisioning, natively and in the container.
# Needs LOGLAKE_HOME, LOGLAKE_INFLUX_URL, LOGLAKE_INFLUX_ORG, the LOGLAKE_…_PORTs and
# LOGLAKE_GRAFANA_HOME (the installation); takes LOGLAKE_ALERT_… and any GF_….
set -eu
umask 077

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
secrets=$LOGLAKE_HOME/secrets

# In the environment, since the official image sets these there, where they win over grafana.ini.
export GF_PATHS_DATA="$LOGLAKE_HOME/grafana"
export GF_PATHS_LOGS="$GF_PATHS_DATA/log"
export GF_PATHS_PLUGINS="$GF_PATHS_DATA/plugins"
export GF_PATHS_PROVISIONING="$GF_PATHS_DATA/provisioning"
export LOGLAKE_GRAFANA_DASHBOARDS="$GF_PATHS_DATA/dashboards"
export LOGLAKE_BIND_ADDRESS="${LOGLAKE_BIND_ADDRESS:-127.0.0.1}"
: "${LOGLAKE_ALERT_WEBHOOK_URL:=http://127.0.0.1:$LOGLAKE_WEBHOOK_PORT/alerts}"
export LOGLAKE_ALERT_WEBHOOK_URL

# Only this process and its children see them: no file but the secret's own holds a token.
LOGLAKE_INFLUX_READ_TOKEN=$(cat "$secrets/influx_read_token")
GF_SECURITY_ADMIN_PASSWORD=$(cat "$secrets/grafana_admin_password")
export LOGLAKE_INFLUX_READ_TOKEN GF_SECURITY_ADMIN_PASSWORD

mkdir -p "$GF_PATHS_DATA"
rm -rf "$GF_PATHS_PROVISIONING" "$LOGLAKE_GRAFANA_DASHBOARDS"
cp -R "$here/provisioning" "$GF_PATHS_PROVISIONING"
cp -R "$here/dashboards" "$LOGLAKE_GRAFANA_DASHBOARDS"

# Grafana refuses a file with an empty address, so each receiver is added only when it is set.
contact_points=$GF_PATHS_PROVISIONING/alerting/contact-points.yaml
[ -z "${LOGLAKE_ALERT_EMAIL:-}" ] || cat "$here/contact-points/email.yaml" >>"$contact_points"
[ -z "${LOGLAKE_ALERT_SLACK_URL:-}" ] || cat "$here/contact-points/slack.yaml" >>"$contact_points"

# Links are read by a browser, which knows no variables of this process.
for file in "$LOGLAKE_GRAFANA_DASHBOARDS"/*.json "$GF_PATHS_PROVISIONING/alerting/rules.yaml"; do
  sed -i \
    -e "s|http://127.0.0.1:13070|http://127.0.0.1:$LOGLAKE_DAGSTER_PORT|g" \
    -e "s|http://127.0.0.1:18099|http://127.0.0.1:$LOGLAKE_WEBHOOK_PORT|g" "$file"
done

exec "$LOGLAKE_GRAFANA_HOME/bin/grafana" server \
  --homepath "$LOGLAKE_GRAFANA_HOME" --config "$here/grafana.ini"
