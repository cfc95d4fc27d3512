"""What Prometheus reads: requests, their times, batches, what waits, reloads."""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The figures of one process, or of all workers where they share a folder for them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self._registry, "namespace": "mdsrec"}
        self._requests = Counter(
            "requests", "Requests by path and status", ["path", "status"], **own
        )
        self._seconds = Histogram(
            "request_seconds", "Time of an answer", ["path"], buckets=_SECONDS, **own
        )
        self._batch = Histogram("batch_requests", "Requests scored together", buckets=_SIZES, **own)
        self._waiting = Gauge(
            "waiting_requests", "Requests that wait", multiprocess_mode="livesum", **own
        )
        self._reloads = Counter("reloads", "Reloads of the model by outcome", ["ok"], **own)

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request that has been answered; ``path`` is that of the route, not of the request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, size: int) -> None:
        """Requests that are scored together."""
        self._batch.observe(size)

    def waiting(self, number: int) -> None:
        """How many requests wait."""
        self._waiting.set(number)

    def reload(self, done: bool) -> None:
        """A reload has ended."""
        self._reloads.labels("true" if done else "false").inc()

    def text(self) -> bytes:
        """All figures in Prometheus's text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        multiprocess.MultiProcessCollector(shared)
        return generate_latest(shared)
