"""--engine ray with real Ray on this machine: the bytes of the local engine, whatever happens to the workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from coco_files import many, read
from fakes import FakeFinder, FakeFound, FakeLabeler, FakeOpened

from app.convert import Settings, convert
from app.convert.engines import LocalEngine, PhotoWorker, Work
from app.convert.plan import make_plan
from app.convert.result import PhotoResult
from app.convert.run import task_of
from app.convert.summary import Summary
from app.errors import UsageError
from app.propose import Settings as ProposeSettings
from app.propose import propose
from labelers.journal import JournalMismatch, journal_path
from labelers.protocol import LabelerSpec
from labelers.records import Photo

ray = pytest.importorskip("ray")
from app.convert import ray_pool  # noqa: E402
from app.convert.ray_engine import connect, plan_workers  # noqa: E402

ROOT = Path(__file__).parents[2]
PHOTOS, BOXES = 24, 3

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One cluster for all tests that run in this process; the engine uses what is connected."""
    path = os.environ.get("PYTHONPATH")
    # what pytest put on its own import path the workers have to find as well
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "app")])
    try:
        assert connect(None, workers=3)
    finally:
        os.environ.pop("PYTHONPATH")
        if path is not None:
            os.environ["PYTHONPATH"] = path
    yield
    ray.shutdown()


@dataclass(frozen=True)
class Noting(FakeLabeler):
    """Notes in ``folder`` which process opened which photo, and dies as told.

    ``poison`` kills its process always, ``fragile`` only the first time it is seen. No photo is opened before ``crew``
    workers have come.
    """

    folder: Path = Path()
    poison: frozenset[str] = frozenset()
    fragile: frozenset[str] = frozenset()
    crew: int = 1
    spec: LabelerSpec = field(default_factory=lambda: LabelerSpec("fake", "1"))

    def open(self, photo: Photo) -> FakeOpened:
        deadline = time.monotonic() + 120
        while len(list(self.folder.glob("built-*"))) < self.crew and time.monotonic() < deadline:
            time.sleep(0.01)
        seen = opened(self.folder)[photo.key]
        with (self.folder / f"opened-{os.getpid()}").open("a") as notes:
            notes.write(photo.key + "\n")
        if photo.key in self.poison or (photo.key in self.fragile and not seen):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open(photo)


@dataclass(frozen=True)
class Builder:
    """Makes the labeler in a worker."""

    folder: Path
    poison: frozenset[str] = frozenset()
    fragile: frozenset[str] = frozenset()
    delay: float = 0.0
    crew: int = 1

    def __call__(self) -> Noting:
        (self.folder / f"built-{os.getpid()}").touch()
        return Noting(folder=self.folder, poison=self.poison, fragile=self.fragile, delay=self.delay, crew=self.crew)


def opened(folder: Path) -> Counter[str]:
    """How often each photo was opened, by all workers together."""
    return Counter(key for notes in folder.glob("opened-*") for key in notes.read_text().split())


def pids(folder: Path) -> list[int]:
    return [int(notes.name.removeprefix("opened-")) for notes in folder.glob("opened-*")]


def local(tmp_path: Path, **options: object) -> bytes:
    source = many(tmp_path / "local", photos=PHOTOS, boxes=BOXES)
    convert(Settings.of(source=source, output=None, tighten=True, **options), labeler=FakeLabeler())
    return source.with_name("data.masks.json").read_bytes()


def on_ray(source: Path, build: Builder, *, workers: int = 2, **options: object) -> Summary:
    settings = Settings.of(source=source, output=None, tighten=True, engine="ray", workers=workers, **options)
    return convert(settings, build=build)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"clip": True, "overlap": "argmax", "min_quality": 0.05}])
def test_the_output_is_that_of_the_local_engine(tmp_path: Path, workers: int, options: dict[str, object]) -> None:
    source = many(tmp_path / "ray", photos=PHOTOS, boxes=BOXES)
    summary = on_ray(source, Builder(tmp_path, delay=0.05, crew=workers), workers=workers, **options)
    assert source.with_name("data.masks.json").read_bytes() == local(tmp_path, **options)
    assert summary.photos["asked"] == PHOTOS
    assert not journal_path(source.with_name("data.masks.json")).exists()
    assert opened(tmp_path) == Counter(str(row) for row in range(PHOTOS))
    assert len(pids(tmp_path)) == workers  # each did some of it


def test_photos_that_can_not_be_read_are_reported_alike(tmp_path: Path) -> None:
    summaries = []
    for name in ("local", "ray"):
        source = many(tmp_path / name, photos=6, boxes=2)
        (source.parent / "photo2.png").unlink()
        (source.parent / "photo4.png").write_bytes((source.parent / "photo4.png").read_bytes()[:300])
        settings = Settings.of(source=source, output=None, engine=name, workers=2 if name == "ray" else None)
        found = convert(settings, build=Builder(tmp_path)).as_dict()
        summaries.append(json.dumps(found).replace(str(source.parent), ""))
    assert summaries[0] == summaries[1]
    assert json.loads(summaries[0])["photos"]["unreadable"] == 2


def test_a_worker_that_is_killed_costs_the_photos_in_its_hands(tmp_path: Path) -> None:
    source = many(tmp_path / "ray", photos=PHOTOS, boxes=BOXES)
    journal = journal_path(source.with_name("data.masks.json"))
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 6):
            time.sleep(0.01)
        killed.append(pids(tmp_path)[0])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    summary = on_ray(source, Builder(tmp_path, delay=0.1, crew=2))
    killer.join()
    assert killed
    assert summary.exit_code == 0
    assert source.with_name("data.masks.json").read_bytes() == local(tmp_path)
    assert len(pids(tmp_path)) == 3  # another took its place
    again = sum(opened(tmp_path).values()) - PHOTOS
    assert again <= ray_pool.IN_HAND


def test_a_photo_that_kills_its_worker_once_is_converted(tmp_path: Path) -> None:
    source = many(tmp_path / "ray", photos=PHOTOS, boxes=BOXES)
    summary = on_ray(source, Builder(tmp_path, fragile=frozenset({"3", "17"})))
    assert summary.exit_code == 0
    assert source.with_name("data.masks.json").read_bytes() == local(tmp_path)


def test_poison_is_given_up_after_two_tries_and_nothing_else_is(tmp_path: Path) -> None:
    source = many(tmp_path / "ray", photos=PHOTOS, boxes=BOXES)
    summary = on_ray(source, Builder(tmp_path, poison=frozenset({"0", "5", "6"})))
    assert summary.exit_code == 1
    assert summary.annotations == {"converted": (PHOTOS - 3) * BOXES, "failed": 3 * BOXES}
    assert {problem.file for problem in summary.problems} == {"photo1.png", "photo6.png", "photo7.png"}
    assert all("2 workers died" in problem.reason for problem in summary.problems)
    tries = opened(tmp_path)
    # a worker may die of its other photo before it opens this one, which then has one try, alone
    assert all(tries[key] in (1, 2) for key in ("0", "5", "6"))
    expected, found = json.loads(local(tmp_path)), read(source.with_name("data.masks.json"))
    for before, after in zip(expected["annotations"], found["annotations"], strict=True):
        if after["image_id"] in (1, 6, 7):
            assert "segmentation" not in after
        else:
            assert after == before


def test_a_run_goes_on_with_the_other_engine(tmp_path: Path) -> None:
    """The journal of one is the journal of the other; only what is missing is done."""

    class Stopping(FakeLabeler):
        def open(self, photo: Photo) -> FakeOpened:
            if len(self.opened) == 10:
                raise KeyboardInterrupt
            return super().open(photo)

    source = many(tmp_path / "ray", photos=PHOTOS, boxes=BOXES)
    with pytest.raises(KeyboardInterrupt):
        convert(Settings.of(source=source, output=None, tighten=True), labeler=Stopping())
    with pytest.raises(JournalMismatch, match="clip was false, now true"):
        on_ray(source, Builder(tmp_path), clip=True)
    summary = on_ray(source, Builder(tmp_path))
    assert summary.photos["resumed"] == 10
    assert opened(tmp_path) == Counter(str(row) for row in range(10, PHOTOS))
    assert source.with_name("data.masks.json").read_bytes() == local(tmp_path)


def test_few_photos_are_under_way_at_a_time(tmp_path: Path) -> None:
    plan = make_plan(Settings.of(source=many(tmp_path / "ray", photos=PHOTOS, boxes=BOXES), output=None))
    work, taken, most = Work.of(plan), 0, 0

    def tasks() -> Iterator[object]:
        nonlocal taken
        for _ in range(20):
            for row in plan.todo.tolist():
                taken += 1
                yield task_of(plan, row)

    with plan.document:
        pool = ray_pool.Pool(lambda: PhotoWorker(work, FakeLabeler()), workers=2, needs=ray_pool.Needs())
        try:
            for done, _ in enumerate(pool.map(tasks(), lost=lambda task, reason: None), start=1):
                most = max(most, taken - done)
        finally:
            pool.close()
    assert done == 20 * PHOTOS
    assert most <= ray_pool.LEAST_AHEAD + 1


def test_a_labeler_that_can_not_be_built_raises_what_it_raised(tmp_path: Path) -> None:
    def broken() -> FakeLabeler:
        raise UsageError("no such weights")

    source = many(tmp_path / "ray", photos=3, boxes=1)
    settings = Settings.of(source=source, output=None, engine="ray", workers=2)
    with pytest.raises(UsageError, match=r"^no such weights$"):
        convert(settings, build=broken)
    assert not journal_path(source.with_name("data.masks.json")).exists()


def test_workers_that_die_at_the_start_end_the_run(tmp_path: Path) -> None:
    def dying() -> FakeLabeler:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    source = many(tmp_path / "ray", photos=3, boxes=1)
    with pytest.raises(UsageError, match="die before they are ready, 3 in a row"):
        convert(Settings.of(source=source, output=None, engine="ray", workers=2), build=dying)


def test_a_place_where_workers_die_at_the_start_is_left_to_itself(tmp_path: Path) -> None:
    """A machine with a broken driver, say: the others do its work."""

    @dataclass(frozen=True)
    class OneGood:
        folder: Path

        def __call__(self) -> Noting:
            try:
                (self.folder / "good").mkdir()
            except FileExistsError:
                os.kill(os.getpid(), signal.SIGKILL)
            return Noting(folder=self.folder, delay=0.3, crew=0)

    source = many(tmp_path / "ray", photos=PHOTOS, boxes=BOXES)
    settings = Settings.of(source=source, output=None, tighten=True, engine="ray", workers=2)
    assert convert(settings, build=OneGood(tmp_path)).exit_code == 0
    assert len(pids(tmp_path)) == 1
    assert source.with_name("data.masks.json").read_bytes() == local(tmp_path)


def test_workers_that_fit_on_no_machine_are_refused(tmp_path: Path) -> None:
    source = many(tmp_path / "ray", photos=3, boxes=1)
    settings = Settings.of(source=source, output=None, engine="ray", workers=2, gpus_per_worker=64.0)
    with pytest.raises(UsageError, match=r"a worker needs 1 CPU and 64 GPU.*change --gpus-per-worker"):
        convert(settings)


def test_cores_are_shared_evenly() -> None:
    cores = int(ray.cluster_resources()["CPU"])
    assert plan_workers(None, 0.0) == (1, ray_pool.Needs(cpus=cores))
    assert plan_workers(cores, 0.0) == (cores, ray_pool.Needs(cpus=1))
    assert plan_workers(100, 0.0) == (100, ray_pool.Needs(cpus=1))  # they come as room is made
    assert plan_workers(None, 0.5) == (1, ray_pool.Needs(cpus=1, gpus=0.5))


@pytest.mark.parametrize(("given", "threads"), [(None, "3"), ("1", "1"), ("8", "3"), ("x", "3")])
def test_a_worker_uses_the_threads_that_it_claims(
    monkeypatch: pytest.MonkeyPatch, given: str | None, threads: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given or "")
    ray_pool.Worker(lambda: PhotoWorker(None, FakeLabeler()), 3)  # type: ignore[arg-type]
    assert os.environ["OMP_NUM_THREADS"] == threads


def test_a_worker_gives_what_the_local_engine_gives(tmp_path: Path) -> None:
    plan = make_plan(Settings.of(source=many(tmp_path, photos=3, boxes=2), output=None, clip=True))
    (tmp_path / "photo2.png").unlink()
    with plan.document:
        work, tasks = Work.of(plan), [task_of(plan, row) for row in plan.todo.tolist()]
        results: dict[str, PhotoResult] = {}
        LocalEngine(FakeLabeler(), work).label(tasks, on_result=results.__setitem__)
        worker = PhotoWorker(work, FakeLabeler())
        assert {task.key: worker.answer(worker.prepare(task)) for task in tasks} == results


@dataclass(frozen=True)
class Finding(FakeFinder):
    """Finds, and dies of photo 1 of a COCO file, or of ``photo2.png`` in a folder, where it is told to."""

    deadly: bool = False

    def open(self, photo: Photo) -> FakeFound:
        if self.deadly and photo.key in ("1", "photo2.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open(photo)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("deadly", [False, True])
@pytest.mark.parametrize("from_folder", [False, True])
def test_propose_gives_the_files_of_the_local_engine(tmp_path: Path, deadly: bool, from_folder: bool) -> None:
    source = many(tmp_path / "photos", photos=6, boxes=2)
    (source.parent / "photo4.png").write_bytes(b"no photo")
    content = read(source)
    content["annotations"][0]["segmentation"] = [[1, 1, 20, 1, 20, 20, 1, 20]]
    source.write_text(json.dumps(content))
    outputs, summaries = [], []
    for engine in ("local", "ray"):
        settings = ProposeSettings.of(
            source=source.parent if from_folder else source,
            output=tmp_path / engine,
            vocabulary="person, car, sky (stuff)",
            tasks=("instances", "boxes", "panoptic", "semantic"),
            engine=engine,
            workers=2 if engine == "ray" else None,
        )
        found = propose(settings, make=partial(Finding, deadly=deadly and engine == "ray"))
        outputs.append(files_of(tmp_path / engine))
        summaries.append(found)
    assert summaries[0].exit_code == summaries[1].exit_code == 1
    if deadly:
        problems = [[text for text in map(str, one.problems) if "2 workers died" in text] for one in summaries]
        assert [len(texts) for texts in problems] == [0, 1]
        assert outputs[0].keys() >= outputs[1].keys()
    else:
        assert outputs[0] == outputs[1]


def command(*words: object, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, without the cluster of this one."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli.main", "convert-boxes", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_the_command_with_a_cluster_and_the_model(tmp_path: Path) -> None:
    """A head started by hand, two workers on it, the embedded model: the bytes of one process."""
    port, temporary = free_port(), tempfile.mkdtemp(prefix="ray", dir="/tmp")  # short: sockets lie in it
    start = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--num-cpus=2",
        f"--port={port}",
    ]
    start += ["--include-dashboard=false", "--object-store-memory=100000000", f"--temp-dir={temporary}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    head = subprocess.Popen(start, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        answers = []
        for name, more in (("local", []), ("ray", ["--engine", "ray", "--workers", 2])):
            source = many(tmp_path / name, photos=4, boxes=3)
            if name == "ray":
                wait_for(port)
                more += ["--ray-address", f"127.0.0.1:{port}"]
            done = command(source, "--json", "-q", *more)
            assert done.returncode in (0, 1), done.stderr
            answers.append((source.with_name("data.masks.json").read_bytes(), json.loads(done.stdout)["annotations"]))
        assert answers[0] == answers[1]
    finally:
        head.terminate()
        head.wait(60)
        shutil.rmtree(temporary, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("no Ray head")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:{free}", "no Ray cluster answers there"),
        ("ray://127.0.0.1:10001", "run the command on a machine of the cluster"),
        ("nonsense", "write host:port"),
    ],
)
def test_an_address_without_a_cluster_ends_with_2(tmp_path: Path, address: str, said: str) -> None:
    source = many(tmp_path, photos=2, boxes=1)
    words = ["--engine", "ray", "--ray-address", address.format(free=free_port()), "--labeler", "rectangle"]
    done = command(source, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not journal_path(source.with_name("data.masks.json")).exists()


def test_an_address_where_something_else_answers_ends_with_2(tmp_path: Path) -> None:
    """Ray's own dashboard, say: Ray would try for minutes."""
    site = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert site.stdout is not None
        port = site.stdout.readline().split(" port ")[1].split()[0]
        source = many(tmp_path, photos=2, boxes=1)
        done = command(source, "--engine", "ray", "--ray-address", f"127.0.0.1:{port}", timeout=60)
    finally:
        site.terminate()
        site.wait(30)
    assert done.returncode == 2
    assert f"something else does: is {port} the port of the head?" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "2"], "--workers only makes sense with --engine ray"),
        (["--ray-address", "auto"], "--ray-address only makes sense with --engine ray"),
        (["--engine", "ray", "-o", "{folder}/project.db"], "leave it out to convert a project"),
    ],
)
def test_options_that_contradict_each_other(tmp_path: Path, words: list[str], said: str) -> None:
    done = command(many(tmp_path, photos=1, boxes=1), *(word.format(folder=tmp_path) for word in words))
    assert done.returncode == 2
    assert said in done.stderr
