"""A port to listen on, and what to call it."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable

from app.errors import UsageError


def listen(host: str, ports: Iterable[int]) -> socket.socket:
    """A socket that listens on the first of the ports that is free; 0 takes any.

    Raises UsageError: all are taken, or this machine has no such address.
    """
    wanted = list(ports)
    for number in wanted:
        try:
            return _bound(host, number)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise UsageError(f"can't listen on {host} port {number} ({error.strerror or error})") from error
    if len(wanted) == 1:
        raise UsageError(f"port {wanted[0]} is taken; choose another with --port, or leave --port out")
    raise UsageError(f"the ports {wanted[0]} to {wanted[-1]} are taken; choose one with --port")


def _bound(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    # With the protocol named, asyncio switches off Nagle's algorithm, which would hold back each answer for 40 ms.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if hasattr(socket, "SO_REUSEADDR"):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(128)
    except OSError:
        opened.close()
        raise
    return opened


def url_of(host: str, port: int, *, https: bool = False) -> str:
    """What to type into a browser on this machine."""
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{here}]" if ":" in here else here
    return f"{'https' if https else 'http'}://{shown}:{port}/"


def is_loopback(host: str) -> bool:
    """Can only this machine reach a server that listens on ``host``?"""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
