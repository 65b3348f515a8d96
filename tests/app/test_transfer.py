"""Photos, input and output by URL give the file of the same run with paths; a bucket is a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from coco_files import many
from fakes import FakeLabeler

from app.cli.main import main
from app.convert import Settings, convert
from app.convert.transfer import staged
from app.errors import UsageError
from labelers import remote
from labelers.journal import journal_path
from labelers.remote import RemoteFolder

ROOT = Path(__file__).parents[2]
PHOTOS, BOXES = 5, 2


@pytest.fixture
def bucket() -> Iterator[str]:
    """An empty folder of fsspec's memory; its URL."""
    name = f"bucket-{uuid4().hex}"
    yield f"memory://{name}"
    memory = fsspec.filesystem("memory")
    if memory.exists(f"/{name}"):
        memory.rm(f"/{name}", recursive=True)


def upload(folder: Path, url: str) -> None:
    system, path = remote.system_of(url)
    for file in folder.iterdir():
        system.pipe_file(f"{path}/{file.name}", file.read_bytes())


def read(url: str) -> bytes:
    system, path = remote.system_of(url)
    return bytes(system.cat_file(path))


def expected(folder: Path) -> bytes:
    """What the run with paths writes."""
    source = many(folder, photos=PHOTOS, boxes=BOXES)
    assert main(["convert-boxes", str(source), "--labeler", "grabcut", "-q"]) == 0
    written = source.with_name("data.masks.json")
    content = written.read_bytes()
    written.unlink()
    return content


def run(*words: object, cwd: Path) -> int:
    before = Path.cwd()
    os.chdir(cwd)
    try:
        return main(["convert-boxes", *map(str, words), "--labeler", "grabcut", "-q"])
    finally:
        os.chdir(before)


def test_photos_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    wanted = expected(tmp_path / "here")
    upload(tmp_path / "here", f"{bucket}/photos")
    work = tmp_path / "work"
    work.mkdir()
    source = work / "data.json"
    source.write_bytes((tmp_path / "here" / "data.json").read_bytes())
    assert run(source, "--images", f"{bucket}/photos", cwd=work) == 0
    assert source.with_name("data.masks.json").read_bytes() == wanted


def test_everything_in_a_bucket(tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = expected(tmp_path / "here")
    upload(tmp_path / "here", bucket)
    work = tmp_path / "work"
    work.mkdir()
    target = f"{bucket}/masks/out.json"
    assert run(f"{bucket}/data.json", "-o", target, "--json", cwd=work) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["source"], found["output"]) == (f"{bucket}/data.json", target)
    assert read(target) == wanted
    assert list(work.iterdir()) == []  # no copy, no journal
    assert run(f"{bucket}/data.json", "-o", target, cwd=work) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(f"{bucket}/data.json", "-o", target, "--overwrite", cwd=work) == 0
    # without -o it goes here
    assert run(f"{bucket}/data.json", cwd=work) == 0
    assert (work / "data.masks.json").read_bytes() == wanted
    assert [path.name for path in work.iterdir()] == ["data.masks.json"]


def test_a_photo_that_is_missing_in_the_bucket_is_its_own_problem(
    tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = many(tmp_path / "here", photos=PHOTOS, boxes=BOXES)
    (source.parent / "photo2.png").unlink()
    (source.parent / "photo3.png").write_bytes(b"no photo")
    upload(source.parent, bucket)
    assert run(source, "--images", bucket, "--json", cwd=tmp_path) == 1
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [problem["file"] for problem in problems] == ["photo2.png", "photo3.png"]
    assert f"photo 'photo2.png': there is no such file in {bucket}" in problems[0]["reason"]
    assert f"{bucket}/photo3.png: it is no image" in problems[1]["reason"]


def test_an_interrupted_run_goes_on(tmp_path: Path, bucket: str) -> None:
    class Stopping(FakeLabeler):
        def open(self, photo):  # type: ignore[no-untyped-def]
            if len(self.opened) == 3:
                raise KeyboardInterrupt
            return super().open(photo)

    upload(many(tmp_path / "here", photos=PHOTOS, boxes=BOXES).parent, bucket)
    again = FakeLabeler()
    for labeler in (Stopping(), again):
        places = {"source": RemoteFolder(f"{bucket}/data.json"), "output": RemoteFolder(f"{bucket}/out.json")}
        os.chdir(tmp_path)
        try:
            with staged(**places, images_json=None, images=None, overwrite=False) as files:
                settings = Settings.of(source=files.source, output=files.output, images=files.images)
                files.delivered(convert(settings, labeler=labeler), part=False)
        except KeyboardInterrupt:
            assert journal_path(tmp_path / "out.json.upload").exists()
        finally:
            os.chdir(ROOT)
    assert 0 < len(again.opened) < PHOTOS
    assert len(json.loads(read(f"{bucket}/out.json"))["annotations"]) == PHOTOS * BOXES


def test_parts_by_url_keep_their_journals_here(tmp_path: Path, bucket: str) -> None:
    wanted = expected(tmp_path / "here")
    upload(tmp_path / "here", bucket)
    work = tmp_path / "work"
    work.mkdir()
    words = [f"{bucket}/data.json", "-o", f"{bucket}/out.json"]
    assert [run(*words, "--part", part, cwd=work) for part in ("1/2", "2/2")] == [0, 0]
    assert len(list(work.iterdir())) == 2
    assert run(*words, "--merge", 2, cwd=work) == 0
    assert read(f"{bucket}/out.json") == wanted


def test_what_can_not_be_written_stays_here(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_AGAIN_AFTER", 0.0)
    source = many(tmp_path, photos=1, boxes=1)
    monkeypatch.chdir(tmp_path)
    target = RemoteFolder(f"{bucket}/out.json")

    def refuse(*_: object) -> None:
        raise PermissionError("no room")

    with staged(source=source, output=target, images_json=None, images=None, overwrite=False) as files:
        settings = Settings.of(source=files.source, output=files.output)
        summary = convert(settings, labeler=FakeLabeler())
        monkeypatch.setattr(type(fsspec.filesystem("memory")), "put_file", refuse)
        with pytest.raises(UsageError, match=r"out.json.upload is finished, but can't be written to .* \(no room\)"):
            files.delivered(summary, part=False)
    assert (tmp_path / "out.json.upload").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{bucket}/gone.json"], "gone.json: no such file; check the URL"),
        (["{bucket}/data.json", "--in-place"], "--in-place replaces files of this machine"),
        (["{here}", "-o", "https://example.invalid/out.json"], "a web server takes no files"),
        (["{here}", "--images", "nonsense://bucket"], "nonsense:// is not known"),
        (["{here}", "--images", "{bucket}/elsewhere"], "none of the first 6 photos can be read"),
        (["{bucket}/project.db"], "no such file"),
        (["{here}", "-o", "{work}/p.db", "--images", "{bucket}"], "a project takes files of this machine"),
    ],
)
def test_what_can_not_work_ends_with_2(
    tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    source = many(tmp_path / "here", photos=6, boxes=1)
    upload(source.parent, bucket)
    try:
        code = run(*(word.format(bucket=bucket, here=source, work=tmp_path) for word in words), cwd=tmp_path)
    except SystemExit as error:  # argparse
        code = int(str(error.code))
    assert code == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a real server that speaks S3's protocol; its URL."""
    s3fs = pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    yield "s3://bucket"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def command(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli.main", "convert-boxes", *map(str, words), "--labeler", "grabcut"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_the_command_with_a_bucket(tmp_path: Path, s3: str) -> None:
    wanted = expected(tmp_path / "here")
    (tmp_path / "here" / "photo5.png").rename(tmp_path / "here" / "ph\u00f6to?5#.png")
    text = (tmp_path / "here" / "data.json").read_text().replace("photo5.png", "ph\u00f6to?5#.png")
    (tmp_path / "here" / "data.json").write_text(text)
    upload(tmp_path / "here", f"{s3}/data")
    work = tmp_path / "work"
    work.mkdir()
    done = command(f"{s3}/data/data.json", "-o", f"{s3}/masks/out.json", "-q", "--json", cwd=work)
    assert done.returncode == 0, done.stderr
    assert read(f"{s3}/masks/out.json") == wanted.decode().replace("photo5.png", "ph\u00f6to?5#.png").encode()
    assert list(work.iterdir()) == []
    done = command(tmp_path / "here" / "data.json", "--images", "s3://no-such-bucket", cwd=work)
    assert done.returncode == 1  # five photos may all be missing
    assert "there is no such file in s3://no-such-bucket" in done.stderr
    ray = pytest.importorskip("ray")
    assert ray
    words = [tmp_path / "here" / "data.json", "--images", f"{s3}/data", "--engine", "ray", "--workers", 2, "-q"]
    done = command(*words, "-o", work / "ray.json", cwd=work)
    assert done.returncode == 0, done.stderr
    assert (work / "ray.json").read_bytes() == read(f"{s3}/masks/out.json")


def test_help_and_import_need_no_fsspec() -> None:
    code = (
        "import sys, app.cli.convert_boxes, labelers.photos; print([m for m in sys.modules if m in ('fsspec','torch')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
