"""The real server in a process of its own: killed, restarted, attacked, and used by two at once."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.main import main
from app.store.annotations import annotation
from app.store.database import open_database
from app.store.projects import open_project
from app.ui.passwords import PASSWORD_VARIABLE, add_user

PHOTOS, BOXES = 10, 20


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A COCO file with 200 boxes without masks on ten photos."""
    images, annotations = [], []
    for k in range(PHOTOS):
        pixels = np.random.default_rng(k).integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photo{k}.png")
        images.append({"id": k + 1, "file_name": f"photo{k}.png", "width": 64, "height": 48})
        for j in range(BOXES):
            box = [j, j, 20, 15]
            annotations.append({"id": k * BOXES + j + 1, "image_id": k + 1, "category_id": 1, "bbox": box})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "data.json").write_text(json.dumps(content))
    return tmp_path


@contextmanager
def server(*options: str, password: str | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``openseed-label ui`` on a free port; gives the process and the URL."""
    environment = {name: value for name, value in os.environ.items() if name != PASSWORD_VARIABLE}
    if password is not None:
        environment[PASSWORD_VARIABLE] = password
    command = [sys.executable, "-m", "app.cli.main", "ui", *options]
    command += ["--labeler", "rectangle", "--no-browser", "--port", "0"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parents[3]
    )
    lines: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if "Label at" in line:
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        assert ready.wait(120), "the server did not start in time"
        found = re.search(r"Label at (\S+)/", "".join(lines))
        assert found, "".join(lines)
        yield process, found[1]
    finally:
        process.kill()
        process.wait()


def client(url: str, *, login: tuple[str, str] | None = None) -> httpx.Client:
    """A scripted annotator with session and CSRF token."""
    found = httpx.Client(base_url=url, headers={"origin": url}, timeout=30)
    if login is not None:
        answer = found.post("/login", data={"name": login[0], "password": login[1]})
        assert answer.status_code == 303, answer.text
    found.headers["x-csrf-token"] = found.get("/api/session").json()["csrf"]
    return found


def pending(annotator: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in range(1, PHOTOS + 1):
        found += annotator.get(f"/api/images/{number}").json()["annotations"]
    return [record for record in found if record["state"] == "proposed"]


@pytest.mark.slow
def test_kill_9_during_200_accepts_loses_none_that_was_confirmed(data: Path) -> None:
    """Mask and accept, again and again; the server is killed in the middle of it, several times."""
    moments = random.Random(7)
    confirmed: dict[int, int] = {}  # annotation -> the version that the server has confirmed
    lives = 0
    while True:
        lives += 1
        with server(str(data / "data.json"), "--annotator", "ana") as (process, url):
            annotator = client(url)
            todo = pending(annotator)
            assert not confirmed.keys() & {record["id"] for record in todo}
            if not todo:
                break
            if lives <= 3:
                timer = threading.Timer(moments.uniform(0.3, 1.0), process.send_signal, [signal.SIGKILL])
                timer.start()
            try:
                for record in todo:
                    version = record["version"]
                    if record["mask"] is None:
                        answer = annotator.post(f"/api/annotations/{record['id']}/decode", json={"version": version})
                        version = answer.raise_for_status().json()["annotation"]["version"]
                    change = {"version": version, "state": "accepted"}
                    answer = annotator.patch(f"/api/annotations/{record['id']}", json=change)
                    confirmed[record["id"]] = answer.raise_for_status().json()["annotation"]["version"]
            except httpx.TransportError:
                assert process.wait(10) == -signal.SIGKILL
        _compare(data / "data.openseed.db", confirmed)
    assert lives > 2, "the server was never killed in the middle"
    # a kill between the commit and the answer leaves one accepted that nobody was told of
    assert PHOTOS * BOXES - (lives - 1) <= len(confirmed) <= PHOTOS * BOXES


def _compare(path: Path, confirmed: dict[int, int]) -> None:
    """All that was confirmed stands in the database, as confirmed."""
    database = open_database(path)
    try:
        project = open_project(database)
        for number, version in confirmed.items():
            record = annotation(project, number)
            assert (record.state, record.version, record.author) == ("accepted", version, "ana")
            assert record.mask is not None
    finally:
        database.close()


@pytest.mark.slow
def test_uploads_lie_in_a_folder_of_this_server_alone_and_leave_with_it(data: Path) -> None:
    with server(str(data / "data.json")) as (process, url):
        sent = client(url).post("/app/gradio_api/upload", files={"files": ("../../more.json", b"{}")})
        [upload] = map(Path, sent.raise_for_status().json())
        folder = next(parent for parent in upload.parents if parent.name.startswith("openseed-label-uploads-"))
        assert upload.read_bytes() == b"{}"
        assert folder.stat().st_mode & 0o077 == 0
        process.terminate()
        process.wait(20)
        assert not folder.exists()


@pytest.mark.slow
def test_two_annotators_with_accounts(data: Path, tmp_path: Path) -> None:
    users = tmp_path / "users"
    add_user(users, "ana", "correct horse")
    add_user(users, "ben", "battery staple")
    with server(str(data / "data.json"), "--users", str(users), "--host", "127.0.0.1") as (process, url):
        stranger = httpx.Client(base_url=url, headers={"origin": url})
        assert stranger.get("/api/images/1/photo").status_code == 401
        wrong = stranger.post("/login", data={"name": "ana", "password": "battery staple"})
        assert wrong.status_code == 401
        assert "Name or password is wrong" in wrong.text
        ana, ben = client(url, login=("ana", "correct horse")), client(url, login=("ben", "battery staple"))

        mine = ana.post("/api/queue/next", json={"order": "file"}).json()["image"]
        theirs = ben.post("/api/queue/next", json={"order": "file"}).json()["image"]
        assert mine["id"] != theirs["id"]
        record = mine["annotations"][0]
        leased = ben.patch(f"/api/annotations/{record['id']}", json={"version": 1, "state": "rejected"})
        assert leased.status_code == 423
        assert leased.json()["error"]["by"] == "ana"

        other_window = client(url, login=("ana", "correct horse"))
        first = ana.patch(f"/api/annotations/{record['id']}", json={"version": 1, "state": "accepted"})
        assert first.status_code == 200
        second = other_window.patch(f"/api/annotations/{record['id']}", json={"version": 1, "state": "rejected"})
        assert second.status_code == 409
        assert second.json()["error"]["theirs"]["state"] == "accepted"

        cookies = dict(ana.cookies)
        assert ana.post("/logout").status_code == 200
        assert httpx.get(f"{url}/api/project", cookies=cookies).status_code == 401
        assert ben.get("/api/project").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)


@pytest.mark.slow
def test_hostile_requests_to_the_real_server(data: Path) -> None:
    (data / "secret.txt").write_text("root:x:0:0")
    with server(str(data / "data.json"), "--annotator", "ana") as (_, url):
        annotator = client(url)
        for path in (
            "/api/images/1/photo/../../../secret.txt",
            "/static/canvas/..%2f..%2fpage.py",
            "/app/file=/etc/passwd",
        ):
            answer = annotator.get(path)
            assert answer.status_code in (403, 404), path
            assert "root:" not in answer.text
        rebound = annotator.get("/api/project", headers={"host": "evil.example"})
        assert rebound.status_code == 403
        forged = annotator.post("/api/undo", json={}, headers={"origin": "http://evil.example"})
        assert forged.status_code == 403
        upload = annotator.post(
            "/app/gradio_api/upload", files={"files": b"x"}, headers={"origin": "http://evil.example"}
        )
        assert upload.status_code == 403
        assert annotator.post("/api/undo", json={}, headers={"x-csrf-token": ""}).status_code == 403
        assert annotator.post("/api/undo", content=b" " * 2_000_000).status_code == 413
        page = annotator.get("/app/")
        assert page.status_code == 200
        assert "gradio" in page.text


@pytest.mark.slow
def test_ctrl_c_is_a_clean_end(data: Path) -> None:
    with server(str(data / "data.json"), "--annotator", "ana") as (process, url):
        with httpx.stream("GET", f"{url}/api/session") as answer:
            assert answer.status_code == 200
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert time.monotonic() - started < 15


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_leaves_one_file(data: Path) -> None:
    """SIGTERM, as service managers send it: nothing is left in the write-ahead log, so the file can be copied."""
    with server(str(data / "data.json"), "--annotator", "ana") as (process, url):
        annotator = client(url)
        change = {"version": 1, "state": "rejected"}
        annotator.patch("/api/annotations/1", json=change).raise_for_status()
        assert (data / "data.openseed.db-wal").stat().st_size > 0
        process.terminate()
        assert process.wait(20) == 0
    assert not (data / "data.openseed.db-wal").exists()
    database = open_database(data / "data.openseed.db")
    assert annotation(open_project(database), 1).state == "rejected"
    database.close()


def test_others_are_served_only_with_a_password(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", str(data / "data.json"), "--host", "0.0.0.0", "--no-browser"]) == 2
    assert "passwords are needed" in capsys.readouterr().err
    assert not (data / "data.openseed.db").exists()


def test_mistakes_end_with_one_message(data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words, message in (
        ([], "Give a COCO file"),
        ([str(tmp_path / "missing.json")], "no such file"),
        ([str(data / "data.json"), "--users", str(tmp_path / "nobody")], "add-user"),
        ([str(data / "data.json"), "--annotator", "a:b"], "--annotator"),
        ([str(data / "data.json"), "--prompt", "dog=hound"], "no class 'dog'"),
    ):
        assert main(["ui", *words, "--no-browser", "--port", "0", "-q", "--labeler", "rectangle"]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom app.cli.main import main\ntry:\n    main(['ui', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'gradio', 'sqlalchemy', 'fastapi') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
