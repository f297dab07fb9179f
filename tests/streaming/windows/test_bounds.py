"""A crowd of clients and URLs makes no profile larger than its bounds, and hides no attacker."""

import pytest
from pyspark.sql import SparkSession

from streaming.windows.traffic_profile import MAX_CLIENTS, MAX_CLIENTS_WITH_404S, MAX_ROUTES
from tests.bench.crowd import ATTACKER, sizes

pytestmark = pytest.mark.unit


def test_ten_times_the_clients_and_urls_need_no_more_memory(spark: SparkSession) -> None:
    few, many = sizes(spark, 2_000, 2), sizes(spark, 20_000, 2)
    assert (few["clients"], many["clients"]) == (2_002, 20_002)
    assert few["named"] == many["named"] == [ATTACKER]
    assert many["heavy"] <= MAX_CLIENTS
    assert many["clients_with_404s"] <= MAX_CLIENTS_WITH_404S
    assert many["routes"] == few["routes"] == MAX_ROUTES
    assert many["bytes_of_memory"] < 1.1 * few["bytes_of_memory"]
    assert many["series"] <= few["series"] + 1
