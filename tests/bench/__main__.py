"""Run both measurements."""

import multiprocessing

from tests.bench import keep_ratio, latency

multiprocessing.set_start_method("spawn")
keep_ratio.main()
latency.main()
