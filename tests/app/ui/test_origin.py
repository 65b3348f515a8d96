"""Who may speak to the server: host names and origins, as browsers and attackers send them."""

import pytest
from starlette.datastructures import Headers

from app.ui.origin import host_problem, origin_problem, own_names

LOCAL = own_names("127.0.0.1")


def headers(**values: str) -> Headers:
    return Headers({name.replace("_", "-"): value for name, value in values.items()})


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:7860", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST.:80", "10.0.0.7"]
)
def test_own_names_and_addresses_are_good(host: str) -> None:
    assert host_problem(headers(host=host), LOCAL) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example", "", ":80", "[::1", "a:b"],
)
def test_foreign_names_are_refused(host: str) -> None:
    assert host_problem(headers(host=host), LOCAL)


def test_there_is_exactly_one_host() -> None:
    assert host_problem(Headers({}), LOCAL)
    assert host_problem(Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")]), LOCAL)


def test_more_names_can_be_allowed() -> None:
    assert host_problem(headers(host="label.example"), own_names("0.0.0.0", ["Label.example"])) is None
    assert host_problem(headers(host="label.example"), own_names("0.0.0.0"))


def test_our_own_page_may_change_things() -> None:
    same = headers(host="localhost:7860", origin="http://localhost:7860", sec_fetch_site="same-origin")
    assert origin_problem(same, "POST", scheme="http") is None
    old_browser = headers(host="localhost:7860", origin="http://localhost:7860")
    assert origin_problem(old_browser, "POST", scheme="http") is None


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"origin": "null"},
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"origin": "https://localhost:7860"},
        {"origin": "http://localhost:7860.evil.example"},
        {"origin": "http://localhost:7860", "sec_fetch_site": "cross-site"},
        {"origin": "http://localhost:7860", "sec_fetch_site": "same-site"},
        {"origin": "http://localhost:7860", "sec_fetch_site": "none"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT", "BREW"])
def test_others_may_not(sent: dict[str, str], method: str) -> None:
    assert origin_problem(headers(host="localhost:7860", **sent), method, scheme="http")


def test_other_sites_may_link_here_but_not_read() -> None:
    link = headers(host="localhost", sec_fetch_site="cross-site", sec_fetch_mode="navigate")
    assert origin_problem(link, "GET", scheme="http") is None
    image = headers(host="localhost", sec_fetch_site="same-site", sec_fetch_mode="no-cors")
    assert origin_problem(image, "GET", scheme="http")
    assert origin_problem(headers(host="localhost", sec_fetch_site="none"), "GET", scheme="http") is None
    assert origin_problem(headers(host="localhost"), "GET", scheme="http") is None
