"""Ports and addresses."""

from __future__ import annotations

import socket

import pytest

from app.errors import UsageError
from app.serving import listen as place
from app.serving.listen import is_loopback, listen, url_of


def free_ports() -> int:
    """The first of some ports in a row that nobody uses."""
    for first in range(20_000, 60_000, 7):
        try:
            opened = [place._bound("127.0.0.1", first + k) for k in range(3)]
        except OSError:
            continue
        for one in opened:
            one.close()
        return first
    raise AssertionError("this machine has no free ports")


def test_the_next_free_port_is_taken() -> None:
    port = free_ports()
    ports = range(port, port + 2)
    with listen("127.0.0.1", ports) as first, listen("127.0.0.1", ports) as second:
        assert [first.getsockname()[1], second.getsockname()[1]] == [port, port + 1]
        with pytest.raises(UsageError, match="are taken"):
            listen("127.0.0.1", ports)


def test_a_port_that_was_asked_for_is_not_changed() -> None:
    with listen("127.0.0.1", [0]) as opened, pytest.raises(UsageError, match="is taken"):
        listen("127.0.0.1", [opened.getsockname()[1]])


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(UsageError, match="can't listen"):
        listen("192.0.2.1", [0])
    with pytest.raises(UsageError, match="can't listen"):
        listen("no such host.invalid", [0])


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
    assert url_of(host, 7860) == url


def test_what_only_this_machine_can_reach() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")] == [True] * 5
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "label.example", "")] == [False] * 5


def test_the_socket_is_a_real_one() -> None:
    with listen("127.0.0.1", [0]) as opened, socket.create_connection(opened.getsockname(), timeout=5):
        connection, _ = opened.accept()
        connection.close()
