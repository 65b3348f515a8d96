"""The Gradio page inside the same guard: who gets it, and which scripts may run in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from page_client import KEY, SITE, Browser
from starlette.testclient import TestClient

from app.store.projects import Project, categories, create_project
from app.ui.app import build_app
from app.ui.page_policy import inline_hashes
from app.ui.passwords import UsersFile, add_user
from app.ui.settings import UiSettings


@pytest.fixture
def page(project: Project, labeler: Any) -> Iterator[Browser]:
    app = build_app(project, lambda: labeler, UiSettings(key=KEY, annotator="ana"))
    with TestClient(app):
        yield Browser(app)


def test_only_the_scripts_of_the_page_may_run(page: Browser) -> None:
    answer = page.get("/app/", headers={"accept-encoding": "br, gzip"})
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    scripts = policy.split("script-src ")[1].split(";")[0]
    assert "'unsafe-inline'" not in scripts
    hashes = inline_hashes(answer.content)
    assert len(hashes) >= 3
    assert all(f"'{text}'" in scripts for text in hashes)
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert "https:" not in policy


def test_nothing_of_the_page_comes_from_elsewhere(page: Browser) -> None:
    """The policy would block it; this says that nothing of the page waits for it."""
    text = page.get("/app/").text
    assert not re.findall(r"fonts\.g\w+\.com[^\"]*\.css|google-analytics", text)


def test_a_project_name_can_not_become_a_script(project: Project, labeler: Any) -> None:
    evil = create_project(project.database, name="</script><script>alert(1)</script>", images_root=project.images_root)
    app = build_app(evil, lambda: labeler, UiSettings(key=KEY))
    with TestClient(app):
        answer = Browser(app).get("/app/")
        assert answer.status_code == 200
        assert "<script>alert(1)" not in answer.text


def test_gradio_knows_who_asks_and_refuses_strangers(project: Project, labeler: Any, tmp_path: Any) -> None:
    add_user(tmp_path / "users", "ana", "correct horse")
    accounts = UsersFile.read(tmp_path / "users")
    app = build_app(project, lambda: labeler, UiSettings(key=KEY, accounts=accounts))
    with TestClient(app):
        browser = Browser(app, csrf=False)
        for path in ("/app/", "/app/config", "/app/gradio_api/info", "/app/assets/x.js", "/app/theme.css"):
            assert browser.get(path).status_code == 401
        for path in ("/app/gradio_api/upload", "/app/gradio_api/queue/join", "/app/gradio_api/run/show"):
            assert browser.post(path, json={}).status_code == 401
        assert browser.login("ana", "correct horse").status_code == 303
        assert browser.get("/app/config").json()["username"] == "ana"


@pytest.mark.parametrize("path", ["upload", "queue/join", "run/show", "api/show", "call/show", "cancel", "reset"])
def test_gradio_takes_nothing_from_other_sites(page: Browser, path: str) -> None:
    for origin in ("http://evil.example", "null"):
        answer = page.post(f"/app/gradio_api/{path}", json={}, headers={"origin": origin})
        assert answer.status_code == 403
    foreign = page.post(f"/app/gradio_api/{path}", json={}, headers={"sec-fetch-site": "same-site", "origin": SITE})
    assert foreign.status_code == 403


@pytest.mark.parametrize("path", ["/etc/passwd", "photo1.png", "{root}/data.openseed.db", "{root}/photo1.png"])
def test_gradio_serves_no_file_of_ours(page: Browser, project: Project, path: str) -> None:
    wanted = path.format(root=project.images_root)
    answer = page.get(f"/app/gradio_api/file={wanted}")
    assert answer.status_code in (403, 404)
    assert b"root:" not in answer.content


def test_import_takes_uploads_and_no_other_file_of_the_machine(page: Browser, project: Project, tmp_path: Any) -> None:
    private = tmp_path / "private.json"
    private.write_text('{"images": [], "annotations": [], "categories": [{"id": 90, "name": "secret"}]}')

    def load(path: str) -> int:
        sent = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
        return page.post("/app/gradio_api/run/import_upload", json=sent).status_code

    assert load(str(private)) == 500
    assert "secret" not in [category.name for category in categories(project)]
    uploaded = page.post("/app/gradio_api/upload", files={"files": ("private.json", private.read_bytes())}).json()
    assert load(uploaded[0]) == 200
    assert "secret" in [category.name for category in categories(project)]
