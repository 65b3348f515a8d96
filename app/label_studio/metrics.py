"""Numbers for whoever watches the backend, in the text form of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0)


class Metrics:
    """One backend's numbers; a registry of its own, so that two in one process don't mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "openseed_requests", "Requests by path and status", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "openseed_request_seconds", "Time to answer", ["path"], buckets=_SECONDS, registry=self._registry
        )
        self._tasks = Counter("openseed_tasks", "Tasks answered", ["mode", "outcome"], registry=self._registry)
        self._regions = Counter("openseed_regions", "Regions made", ["mode"], registry=self._registry)
        self._ready = Gauge("openseed_model_ready", "1 when the model is loaded", registry=self._registry)
        self._queue = Gauge("openseed_queue_length", "Events that wait for work", registry=self._registry)

    def request(self, path: str, status: int, seconds: float) -> None:
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def task(self, mode: str, *, regions: int, failed: bool) -> None:
        """``mode``: batch, click or event."""
        self._tasks.labels(mode, "failed" if failed else "labelled" if regions else "empty").inc()
        self._regions.labels(mode).inc(regions)

    def text(self, *, ready: bool, waiting: int) -> bytes:
        self._ready.set(ready)
        self._queue.set(waiting)
        return generate_latest(self._registry)
