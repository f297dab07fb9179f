"""One colour for one thing on every board, told apart by colour-blind people too.

The hues are those of Okabe and Ito (2008), https://jfly.uni-koeln.de/color/.
"""

from typing import Final

BLUE: Final = "#0072B2"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
YELLOW: Final = "#F0E442"
ORANGE: Final = "#E69F00"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#999999"

GOOD, WARN, BAD = GREEN, ORANGE, VERMILLION

SERVERS: Final = {"web1": BLUE, "web2": ORANGE, "web3": PURPLE, "*": GREY}

STATUS: Final = {
    "1xx": GREY,
    "2xx": GREEN,
    "3xx": SKY,
    "4xx": ORANGE,
    "5xx": VERMILLION,
}

LATENCY: Final = {
    "mean": BLUE,
    "median": SKY,
    "p95": ORANGE,
    "p99": VERMILLION,
    "max": GREY,
}

BASELINE: Final = {"expected": GREY, "lower": GREY, "upper": GREY, "threshold": VERMILLION}

SEVERITIES: Final = {
    "debug": GREY,
    "info": GREY,
    "notice": SKY,
    "warn": ORANGE,
    "error": VERMILLION,
    "crit": PURPLE,
    "alert": BLUE,
    "emerg": YELLOW,
}

KINDS: Final = {
    "ip_spike": ORANGE,
    "server_flood": VERMILLION,
    "path_scan": PURPLE,
    "error_surge": YELLOW,
    "traffic_drop": BLUE,
    "latency_surge": SKY,
    "error_log_burst": GREEN,
    "new_error_pattern": GREY,
}

STREAMS: Final = {
    "stream_access metrics": BLUE,
    "stream_access lake": SKY,
    "stream_access detection": PURPLE,
    "stream_errors metrics": VERMILLION,
    "stream_errors lake": ORANGE,
    "stream_errors detection": GREEN,
}
