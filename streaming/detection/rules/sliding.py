"""Sums over the last seconds, moved on by what comes and what expires."""

from collections import deque


class SlidingSum:
    """The sum of the counts of the last `seconds`, of windows in ascending order of time."""

    __slots__ = ("_total", "counts", "seconds")

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.counts: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, second: int, count: int) -> None:
        """Take the count of the window at an epoch second."""
        self.counts.append((second, count))
        self._total += count

    def at(self, second: int) -> int:
        """Return the sum of the last `seconds` as of the window at an epoch second."""
        counts, until = self.counts, second - self.seconds
        while counts and counts[0][0] <= until:
            self._total -= counts.popleft()[1]
        return self._total
