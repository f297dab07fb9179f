"""Dashboards and alert rules as code.

`python -m grafana` writes `dashboards/*.json` and `provisioning/alerting/rules.yaml`. Both are
committed, since Grafana reads them as they are, and a test requires that they are up to date.
"""
