"""``--engine ray``: the same run with workers on a Ray cluster, or on the cores and GPUs of this machine.

Each worker is an actor that loads the model once. Photos are read where they are labelled; only names, boxes and RLEs
travel. The journal and the output are written here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from app.convert.engines import OnResult, PhotoWorker, Work, lost
from app.convert.result import PhotoResult
from app.convert.run import PhotoTask
from app.errors import UsageError
from labelers.protocol import Labeler, LabelerSpec

try:
    import ray
except ModuleNotFoundError as error:
    raise UsageError('--engine ray needs Ray: pip install "openseed-label[ray]"') from error

from app.convert.ray_pool import Body, EngineError, Needs, Pool

T = TypeVar("T")
R = TypeVar("R")

_PORT = 6379
_CONNECT_SECONDS = 10.0
_LOCAL_STORE = 256 << 20  # bytes; results are RLEs and mostly travel without the object store


class Workers(Generic[T, R]):
    """Workers of a cluster; they start when ``pool`` is first asked for.

    Args:
        build: makes the body of each worker, there; has to be picklable.
        address: host:port of the cluster's head, or "auto" for the one this machine belongs to; None for
            workers on this machine, unless RAY_ADDRESS is set.
        workers: how many; None for one per GPU, or one per machine where there are no GPUs.
        gpus_per_worker: None for one where the cluster has any.
    """

    def __init__(
        self,
        build: Callable[[], Body],
        *,
        address: str | None = None,
        workers: int | None = None,
        gpus_per_worker: float | None = None,
    ) -> None:
        self._build = partial(_beside, str(Path.cwd()), build)
        self._address, self._workers, self._gpus = address, workers, gpus_per_worker
        self._pool: Pool[T, R] | None = None
        self._owns_ray = False

    @property
    def pool(self) -> Pool[T, R]:
        """Raises EngineError: no cluster, or no room in it."""
        if self._pool is None:
            self._owns_ray = connect(self._address, workers=self._workers)
            workers, needs = plan_workers(self._workers, self._gpus)
            self._pool = Pool(self._build, workers=workers, needs=needs)
        return self._pool

    def close(self) -> None:
        """End the workers, and Ray where it was started here. Closing twice is fine."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        if self._owns_ray:
            ray.shutdown()
            self._owns_ray = False


class RayEngine:
    """See ``app.convert.engines.Engine``. ``build`` makes the labeler, in each worker; ``options`` as ``Workers``."""

    def __init__(self, work: Work, build: Callable[[], Labeler], **options: Any) -> None:
        self._workers: Workers[PhotoTask, PhotoResult] = Workers(partial(_photo_worker, work, build), **options)

    @property
    def spec(self) -> LabelerSpec:
        return self._workers.pool.spec()

    def label(self, tasks: Iterable[PhotoTask], *, on_result: OnResult) -> None:
        for task, result in self._workers.pool.map(tasks, lost=lost):
            on_result(task.key, result)

    def close(self) -> None:
        self._workers.close()


def connect(address: str | None, *, workers: int | None = None) -> bool:
    """Join the cluster, or start workers on this machine; False where this process was connected already.

    Raises:
        EngineError: there is no cluster at that address, or it is no address.
    """
    if ray.is_initialized():
        return False
    address = address or os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unless somebody asks for it
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's coming default; it warns until one is set
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None or address == "local":
        # more workers than cores are the user's choice, and have to fit
        cpus = max(workers or 1, os.cpu_count() or 1)
        try:
            ray.init("local", num_cpus=cpus, include_dashboard=False, object_store_memory=_LOCAL_STORE, **quiet)
        except Exception as error:  # a plain one, where its processes take too long to start
            said = " ".join(str(error).split())
            raise EngineError(f"Ray does not start on this machine ({said}); is it too busy? Run again") from error
        return True
    _check_reachable(address)
    try:
        ray.init(address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise EngineError(f"{_no_cluster(address)} ({' '.join(str(error).split())})") from error
    return True


def plan_workers(workers: int | None, gpus_per_worker: float | None) -> tuple[int, Needs]:
    """How many workers, and what each claims: of what the cluster has now.

    A GPU worker claims one CPU beside its GPU. CPU workers share the cores evenly: each claims the largest number with
    which all of them fit.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = [machine.get("GPU", 0.0) for machine in machines]
    share = gpus_per_worker if gpus_per_worker is not None else float(any(gpus))
    if share:
        return workers or max(1, sum(int(n / share) for n in gpus)), Needs(cpus=1, gpus=share)
    cores = [int(machine.get("CPU", 0)) for machine in machines]
    count = workers or max(1, sum(n > 0 for n in cores))
    fitting = [c for c in range(1, max(cores, default=1) + 1) if sum(n // c for n in cores) >= count]
    return count, Needs(cpus=max(fitting, default=1))


def wanted_gpus(gpus_per_worker: float | None, *, labeler: str, device: str) -> float | None:
    """What the user asked for, and no GPU where none would be used."""
    return 0.0 if gpus_per_worker is None and (labeler != "conditioned" or device == "cpu") else gpus_per_worker


def _photo_worker(work: Work, build: Callable[[], Labeler]) -> PhotoWorker:
    return PhotoWorker(work, build())


def _beside(folder: str, build: Callable[[], Body]) -> Body:
    """In the worker's process: relative paths mean there what they mean here."""
    if Path(folder).is_dir():
        os.chdir(folder)
    return build()


def _check_reachable(address: str) -> None:
    """Before Ray tries, which takes its time and may end the process. Raises EngineError."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if address.startswith("ray://"):
        raise EngineError(
            f"--ray-address {address}: run the command on a machine of the cluster (`ray job submit`), and give "
            "host:port of its head, or auto"
        )
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise EngineError(f"--ray-address {address}: write host:port (the head of a cluster: {_PORT}), or auto")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS) as line:
            if os.environ.get("RAY_USE_TLS") != "1" and not _speaks_grpc(line):
                raise EngineError(f"{_no_cluster(address)} (something else does: is {port} the port of the head?)")
    except OSError as error:
        raise EngineError(f"{_no_cluster(address)} ({error})") from error


def _speaks_grpc(line: socket.socket) -> bool:
    """Whether the other side is an HTTP/2 server, as a Ray head is: it answers the preface with a SETTINGS frame.

    Ray itself would go on trying for minutes. Raises OSError.
    """
    settings, head = 4, 9
    line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, settings, 0, 0, 0, 0, 0]))
    answer = b""
    while len(answer) < head:
        part = line.recv(head - len(answer))
        if not part:
            return False
        answer += part
    return answer[3] == settings


def _no_cluster(address: str) -> str:
    return (
        f"--ray-address {address}: no Ray cluster answers there; start one (`ray start --head` prints its address), or "
        "leave the option out to use this machine"
    )
