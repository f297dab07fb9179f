"""The newest baselines, as the live detector reads them back."""

import logging

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from streaming.contracts import names
from streaming.contracts.settings import Settings
from streaming.detection.limits import Limits
from streaming.spark import delta_tables

log = logging.getLogger(__name__)


class StoredLimits:
    """The newest baselines, read again when there is a newer version."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self._spark, self._settings = spark, settings
        self._limits = Limits(time_zone=settings.time_zone)
        self._commit: int | None = None
        self._complaint = ""

    def get(self) -> Limits:
        """Return the newest limits; the last good ones, or none at all, when unreadable."""
        try:
            commit = delta_tables.latest_version(self._spark, self._settings, names.BASELINES)
            if commit == self._commit:
                return self._limits
            table = delta_tables.read_table(self._spark, self._settings, names.BASELINES)
            version = table.agg(F.max("version")).collect()[0][0]
            if version is not None and version != self._limits.version:
                rows = table.where(F.col("version") == version).collect()
                self._limits = Limits((row.asDict() for row in rows), self._settings.time_zone)
                log.info("baselines version %d: %d rows", version, len(rows))
            self._commit, self._complaint = commit, ""
        except Exception as error:
            # Whatever is wrong with the table, the stream goes on with what it has.
            complaint = _sentence(error)
            if complaint != self._complaint:
                known = self._limits.version
                used = f"version {known}" if known else "static thresholds"
                log.warning("baselines cannot be read (%s); going on with %s", complaint, used)
            self._complaint = complaint
        return self._limits


def _sentence(error: Exception) -> str:
    """What went wrong first; Py4J itself says only the number of the call."""
    if not isinstance(error, Py4JJavaError):
        return str(error).splitlines()[0]
    cause = error.java_exception
    while cause.getCause() is not None:
        cause = cause.getCause()
    return str(cause.toString()).splitlines()[0]
