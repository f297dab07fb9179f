"""When a query should rather start anew than go on where it was."""

import logging
import time
from typing import Any

from pyspark.sql import SparkSession

log = logging.getLogger(__name__)


def forget_older(spark: SparkSession, checkpoint: str, seconds: float) -> None:
    """Remove a checkpoint whose last batch was committed more than `seconds` ago.

    Moved away first, so that an end in the middle leaves a whole checkpoint or none.
    Raises `RuntimeError` when it cannot be moved.
    """
    jvm: Any = spark._jvm
    hadoop = jvm.org.apache.hadoop.fs
    path = hadoop.Path(checkpoint)
    files = path.getFileSystem(spark._jsc.hadoopConfiguration())
    commits = hadoop.Path(path, "commits")
    listed = files.listStatus(commits) if files.exists(commits) else []
    newest = max((file.getModificationTime() / 1000 for file in listed), default=time.time())
    if time.time() - newest <= seconds:
        return
    old = path.suffix(".old")
    files.delete(old, True)
    if not files.rename(path, old):
        raise RuntimeError(f"the checkpoint {checkpoint} could not be moved away; remove it")
    files.delete(old, True)
    log.info("%s was too old to go on from", checkpoint)
