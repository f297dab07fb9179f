"""A program that behaves like a stream towards its surroundings, without Spark.

It writes the same progress file, obeys SIGTERM, and does what HOME/run/mood says:
`work`, `silent` (lives, never speaks again), `crash` (exits 1 after its start), `busy` (works, and
takes seconds to end its batch when it is stopped).
"""

import os
import signal
import sys
import time
from datetime import UTC, datetime

from streaming.contracts.progress import QueryProgress, StreamProgress, write_progress
from streaming.contracts.settings import Settings


def main(stream: str) -> None:
    settings = Settings()
    mood = settings.run_dir / "mood"

    def stop(*_: object) -> None:
        time.sleep(3 if mood.read_text().strip() == "busy" else 0)
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    started = datetime.now(UTC)
    for batch in range(1_000_000):
        match mood.read_text().strip():
            case "crash":
                sys.exit(f"{stream}: query lake ended: the disk is full")
            case "silent":
                time.sleep(3600)
            case "work" | "busy":
                write_progress(settings, progress(stream, started, batch))
        time.sleep(0.1)


def progress(stream: str, started: datetime, batch: int) -> StreamProgress:
    now = datetime.now(UTC)
    query = QueryProgress(
        batch_id=batch,
        committed_at=now,
        input_rows=100,
        input_rows_per_s=1000.0,
        lag_rows=0,
        batch_seconds=0.1,
        trigger_seconds=0.1,
    )
    return StreamProgress(
        stream=stream,
        pid=os.getpid(),
        started_at=started,
        heartbeat_at=now,
        queries={"lake": query, "metrics": query},
    )


if __name__ == "__main__":
    main(sys.argv[1])
