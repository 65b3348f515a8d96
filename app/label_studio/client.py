"""The few calls of Label Studio's API that we need, as plain JSON.

Not through label-studio-sdk's client: that repeats a POST that timed out, and an import of predictions that is
repeated is there twice; and its typed tasks are not the JSON that the backend gets and that ``batch`` reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import httpx

from app.label_studio.fetch import buy_access
from app.label_studio.settings import Access
from app.label_studio.tokens import Credentials, TokenError, kind_of

PAGE = 100
_SECONDS = 120.0


class LabelStudioError(ValueError):
    """Label Studio can't be used this way; the message says what to do.

    Attributes:
        status: HTTP status, None where there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Use as a context manager. All methods raise LabelStudioError.

    Args:
        url: of Label Studio.
        api_key: a personal access token or a legacy token.
    """

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url.rstrip("/")
        self._key = api_key
        self._http = httpx.Client(timeout=httpx.Timeout(_SECONDS, connect=10.0), follow_redirects=False)
        self._credentials = Credentials(Access(url=self.url, api_key=api_key), partial(buy_access, self._http))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def version(self) -> str:
        """Of Label Studio, such as ``1.23.2``."""
        found = self.get("/api/version/")
        return str(found.get("release", "unknown")) if isinstance(found, dict) else "unknown"

    def project(self, number: int) -> dict[str, Any]:
        """The project's settings, ``label_config`` among them."""
        return self._object(self.get(f"/api/projects/{number}/"), f"project {number}")

    def task(self, number: int) -> dict[str, Any]:
        """One task with its annotations, drafts and predictions."""
        return self._object(self.get(f"/api/tasks/{number}/"), f"task {number}")

    def tasks(self, project: int, *, page_size: int = PAGE) -> Iterator[dict[str, Any]]:
        """All tasks of a project with their annotations, drafts and predictions, page by page."""
        page = 1
        while True:
            asked = {"project": project, "fields": "all", "page": page, "page_size": page_size}
            try:
                found = self._object(self.get("/api/tasks/", **asked), f"tasks of project {project}")
            except LabelStudioError as error:
                if error.status == 404 and page > 1:  # the page after the last
                    return
                raise
            tasks = found.get("tasks")
            if not isinstance(tasks, list) or not tasks:
                return
            yield from (task for task in tasks if isinstance(task, dict))
            if len(tasks) < page_size:
                return
            page += 1

    def import_predictions(self, project: int, predictions: Sequence[dict[str, Any]]) -> int:
        """Add predictions, ``{"task", "result", "score", "model_version"}`` each; how many were created."""
        found = self.post(f"/api/projects/{project}/import/predictions", list(predictions))
        created = found.get("created") if isinstance(found, dict) else None
        return created if isinstance(created, int) else 0

    def get(self, path: str, **params: Any) -> Any:
        """GET; the answer's JSON."""
        return self._ask("GET", path, params=params)

    def post(self, path: str, body: Any) -> Any:
        """POST, once; the answer's JSON."""
        return self._ask("POST", path, json=body)

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        url = f"{self.url}{path}"
        renew = False
        while True:
            try:
                headers = self._credentials.headers(url, None, renew=renew)
                answer = self._http.request(method, url, headers=headers, **options)
            except TokenError as error:
                raise LabelStudioError(str(error), 401) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                said = str(error) or type(error).__name__
                raise LabelStudioError(
                    f"Label Studio at {self.url} does not answer ({said}); is it running, and is the address right?"
                ) from error
            if answer.status_code == 401 and not renew and kind_of(self._key) == "personal":
                renew = True  # the access token that was bought with it has ended
                continue
            return self._read(answer, path)

    def _read(self, answer: httpx.Response, path: str) -> Any:
        status = answer.status_code
        if status in (200, 201):
            try:
                return answer.json()
            except ValueError as error:
                raise LabelStudioError(f"{self.url}{path}: the answer is no JSON; is this a Label Studio?") from error
        if status == 204:
            return None
        if status == 401:
            raise LabelStudioError(f"Label Studio refuses the token; {self.about_token(_detail(answer))}", 401)
        if status == 403:
            raise LabelStudioError(
                f"{path}: not allowed ({_detail(answer)}); the token's account must be a member of the project", 403
            )
        if status == 404:
            raise LabelStudioError(f"{path}: Label Studio has no such thing; check the project's number", 404)
        if answer.is_redirect:
            raise LabelStudioError(f"{self.url} leads elsewhere ({answer.headers.get('location')}); give that address")
        raise LabelStudioError(f"{path}: Label Studio answers {status} ({_detail(answer)})", status)

    def about_token(self, said: str) -> str:
        """Why a token may have been refused."""
        kind = kind_of(self._key)
        if kind == "access":
            return (
                "this is an access token, which ends after minutes; use the personal access token "
                "(Account & Settings, Personal Access Token)"
            )
        if kind == "personal":
            return "the personal access token was revoked or is of another Label Studio; make a new one"
        why = "legacy tokens are switched off there"
        why = why if "legacy" in said.lower() else f"it is wrong, or {why}"
        return f"{why}; use a personal access token (Account & Settings, Personal Access Token)"

    def _object(self, found: Any, what: str) -> dict[str, Any]:
        if not isinstance(found, dict):
            raise LabelStudioError(f"{what}: the answer is not as expected; is this Label Studio 1.23 or newer?")
        return found


def _detail(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.reason_phrase
    if not isinstance(body, dict):
        return str(body)[:300]
    return str(body.get("validation_errors") or body.get("detail") or body)[:300]
