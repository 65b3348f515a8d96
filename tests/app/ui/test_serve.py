"""Ports and addresses."""

from __future__ import annotations

import socket

import pytest

from app.errors import UsageError
from app.ui import serve
from app.ui.settings import is_loopback


def free_ports() -> int:
    """The first of some ports in a row that nobody uses."""
    for first in range(20_000, 60_000, 7):
        try:
            opened = [serve._bound("127.0.0.1", first + k) for k in range(3)]
        except OSError:
            continue
        for one in opened:
            one.close()
        return first
    raise AssertionError("this machine has no free ports")


def test_the_next_free_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "DEFAULT_PORT", free_ports())
    with serve.listen("127.0.0.1", None) as first, serve.listen("127.0.0.1", None) as second:
        assert first.getsockname()[1] == serve.DEFAULT_PORT
        assert second.getsockname()[1] == serve.DEFAULT_PORT + 1


def test_a_port_that_was_asked_for_is_not_changed() -> None:
    with serve.listen("127.0.0.1", 0) as opened, pytest.raises(UsageError, match="is taken"):
        serve.listen("127.0.0.1", opened.getsockname()[1])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UsageError, match="can't listen"):
        serve.listen("192.0.2.1", 0)
    with pytest.raises(UsageError, match="can't listen"):
        serve.listen("no such host.invalid", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7860/"),
        ("0.0.0.0", "http://127.0.0.1:7860/"),
        ("::1", "http://[::1]:7860/"),
        ("::", "http://[::1]:7860/"),
        ("label.example", "http://label.example:7860/"),
    ],
)
def test_the_url_can_be_opened_on_this_machine(host: str, url: str) -> None:
    assert serve.url_of(host, 7860) == url


def test_what_only_this_machine_can_reach() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")] == [True] * 5
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "label.example", "")] == [False] * 5


def test_the_socket_is_a_real_one() -> None:
    with serve.listen("127.0.0.1", 0) as opened, socket.create_connection(opened.getsockname(), timeout=5):
        connection, _ = opened.accept()
        connection.close()
