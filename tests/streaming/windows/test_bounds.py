"""A crowd of clients and URLs makes no profile larger than its bounds, and hides no attacker."""

import pytest

from streaming.windows.clients import MAX_CLIENTS, MAX_CLIENTS_WITH_404S
from streaming.windows.traffic_profile import MAX_ROUTES
from tests.bench.crowd import ATTACKER, sizes

pytestmark = pytest.mark.unit


def test_ten_times_the_clients_and_urls_need_no_more_memory() -> None:
    few, many = sizes(2_000, 2), sizes(20_000, 2)
    assert (few["clients"], many["clients"]) == (2_002, 20_002)
    assert few["named"] == many["named"] == [ATTACKER]
    # The list of the profile, of which the detector takes only those with some load.
    assert many["top_clients"] == few["top_clients"] == MAX_CLIENTS
    assert many["clients_with_404s"] <= MAX_CLIENTS_WITH_404S
    assert many["routes"] == few["routes"] == MAX_ROUTES
    assert many["bytes_of_memory"] < 1.1 * few["bytes_of_memory"]
    assert many["series"] <= few["series"] + 1
