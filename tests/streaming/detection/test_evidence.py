"""Which lines of the access log an incident shows."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from streaming.contracts import frames
from streaming.detection.evidence import COLUMNS, MAX_INCIDENTS, SPAN, samples, wanted
from streaming.detection.incidents import Incident
from streaming.detection.model import Evaluation
from streaming.detection.rows import utc

pytestmark = pytest.mark.unit

START = 1_767_600_000
CLIENT = "203.0.113.9"


def incident(kind: str, entity: str = "", server: str = "web1", second: int = START) -> Incident:
    evaluation = Evaluation(kind, server, entity, second, 60, 9.0, 1.0, 5.0, 80.0)
    return Incident(f"{kind}-{second}", second, second + 60, None, evaluation)


def line(number: int, after: float = 5.0, **values: Any) -> dict[str, Any]:
    usual = {
        "event_time": utc(START) + timedelta(seconds=after),
        "event_id": f"{number:03}",
        "server_address": "web1",
        "client_address": CLIENT,
        "http_request_method": "GET",
        "url_path": f"/{number}",
        "http_response_status_code": 404,
        "http_route": "/cart",
    }
    return {**usual, **values}


def logs(*lines: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(lines, schema={name: frames.ACCESS_LOGS[name] for name in COLUMNS})


def numbers(incident_: Incident, *lines: dict[str, Any]) -> list[str]:
    (found,) = samples(logs(*lines), [incident_])
    return [text.split("/")[1].split()[0] for text in found.samples]


ON_PATH_SCAN = incident("path_scan", CLIENT)


@pytest.mark.parametrize(
    ("about", "lines", "chosen"),
    [
        pytest.param(
            ON_PATH_SCAN,
            [line(n, 9.0 - n) for n in range(5)],
            ["4", "3", "2"],
            id="the first three",
        ),
        pytest.param(
            ON_PATH_SCAN, [line(2), line(1), line(3)], ["1", "2", "3"], id="of one time by id"
        ),
        pytest.param(
            ON_PATH_SCAN,
            [line(1, -0.1), line(2, 0.0), line(3, SPAN - 0.1), line(4, SPAN)],
            ["2", "3"],
            id="of a minute",
        ),
        pytest.param(
            ON_PATH_SCAN, [line(1, client_address="192.0.2.1"), line(2)], ["2"], id="of the client"
        ),
        pytest.param(
            ON_PATH_SCAN,
            [line(n, http_response_status_code=s) for n, s in enumerate((200, 399, 400, 499, 500))],
            ["2", "3"],
            id="that missed",
        ),
        pytest.param(
            ON_PATH_SCAN, [line(1, server_address="web2"), line(2)], ["2"], id="of the server"
        ),
        pytest.param(
            incident("ip_spike", CLIENT, "*"),
            [line(1, server_address="web2"), line(2), line(3, client_address=None)],
            ["1", "2"],
            id="of all servers",
        ),
        pytest.param(
            incident("error_surge"),
            [line(n, http_response_status_code=s) for n, s in enumerate((499, 500, 504, None))],
            ["1", "2"],
            id="that failed",
        ),
        pytest.param(
            incident("error_surge", "/cart"),
            [line(n, http_response_status_code=502, http_route=r) for n, r in enumerate("/ab")]
            + [line(7, http_response_status_code=502)],
            ["7"],
            id="that failed on the route",
        ),
        pytest.param(
            incident("server_flood"),
            [line(1, client_address=None), line(2, http_response_status_code=200)],
            ["1", "2"],
            id="any of a flood",
        ),
        pytest.param(incident("traffic_drop"), [line(1)], [], id="none of a drop"),
    ],
)
def test_lines_that_are_chosen(
    about: Incident, lines: list[dict[str, Any]], chosen: list[str]
) -> None:
    assert numbers(about, *lines) == chosen


@pytest.mark.parametrize(
    ("values", "text"),
    [
        pytest.param({}, f"2026-01-05T08:00:05Z web1 {CLIENT} GET /1 404", id="plain"),
        pytest.param(
            {"url_query": "a=b"}, f"2026-01-05T08:00:05Z web1 {CLIENT} GET /1?a=b 404", id="query"
        ),
        pytest.param(
            {"http_request_method": None, "url_path": None},
            f"2026-01-05T08:00:05Z web1 {CLIENT}  404",
            id="malformed",
        ),
        pytest.param(
            {"url_path": "/" + "é" * 400},
            f"2026-01-05T08:00:05Z web1 {CLIENT} GET /{'é' * 299} 404",
            id="cut",
        ),
    ],
)
def test_text_of_a_sample(values: dict[str, Any], text: str) -> None:
    (found,) = samples(logs(line(1, 5.999, **values)), [ON_PATH_SCAN])
    assert found.samples == (text,)


def test_only_so_many_incidents_get_samples() -> None:
    many = [incident("ip_spike", CLIENT, second=START + n) for n in range(MAX_INCIDENTS + 1)]
    found = samples(logs(line(1, MAX_INCIDENTS + 1)), many)
    assert [bool(i.samples) for i in found[-3:]] == [True, True, False]


@pytest.mark.parametrize(
    ("incidents", "edges", "clients"),
    [
        pytest.param([], None, None, id="nothing"),
        pytest.param([incident("traffic_drop")], None, None, id="nothing of a drop"),
        pytest.param(
            [incident("ip_spike", "a"), incident("path_scan", "b", second=START + 600)],
            (0, 600 + SPAN),
            {"a", "b"},
            id="of clients",
        ),
        pytest.param(
            [incident("ip_spike", "a"), incident("server_flood")], (0, SPAN), None, id="of anyone"
        ),
    ],
)
def test_what_has_to_be_read(
    incidents: list[Incident], edges: tuple[int, int] | None, clients: set[str] | None
) -> None:
    found = wanted(incidents)
    if found is None:
        assert edges is None
        return
    assert (found.start, found.stop) == tuple(utc(START + edge) for edge in edges or ())
    assert found.clients == clients
