"""Does a request come from our own page? Host names, origins, and what the browser says about the sender.

A page of somebody else's can make a browser send requests here, and by DNS rebinding it can even make them
look as if they stayed on its own site. It can't choose the headers looked at here.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

from starlette.datastructures import Headers

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def own_names(host: str, more: Collection[str] = ()) -> frozenset[str]:
    """The host names by which a server that listens on ``host`` may be called, besides IP addresses."""
    names = {"localhost", *more, host}
    if host not in ("127.0.0.1", "::1", "localhost"):
        names |= {socket.gethostname(), socket.getfqdn()}
    return frozenset(name.lower().rstrip(".") for name in names if name)


def host_problem(headers: Headers, names: Collection[str]) -> str | None:
    """Why the Host header is refused, None if it is not.

    An IP address is always good: rebinding needs a name that the attacker owns.
    """
    hosts = headers.getlist("host")
    if len(hosts) != 1:
        return "the request has no Host header, or several"
    name = _name(hosts[0])
    if name is None:
        return "the Host header can't be read"
    if name in names or _is_address(name):
        return None
    return f"this server doesn't answer to the name {name[:100]!r}; start it with --allow-host if it should"


def origin_problem(headers: Headers, method: str, *, scheme: str) -> str | None:
    """Why the sender is refused, None if it is our own page (or, for reading, a link that somebody followed)."""
    site = headers.get("sec-fetch-site")
    if method in SAFE_METHODS:
        foreign = site in ("cross-site", "same-site")  # another port of localhost is same-site
        return "other sites may not read this" if foreign and headers.get("sec-fetch-mode") != "navigate" else None
    if site is not None and site != "same-origin":
        return "the request was sent by another site"
    origins = headers.getlist("origin")
    if not origins:
        return None if site == "same-origin" else "the request doesn't say where it comes from (Origin header)"
    expected = f"{scheme}://{headers.get('host', '')}"
    if len(origins) != 1 or origins[0].lower() != expected.lower():
        return (
            f"the request comes from another origin than {expected[:200]}; "
            "behind a proxy, pass the Host header on and start with --https-cookies"
        )
    return None


def _name(host: str) -> str | None:
    """The host without its port, lower case; None if it is not written like one."""
    name, bracket, port = host.partition("]")
    if host.startswith("["):
        name, port = name[1:], port.removeprefix(":")
        if not bracket:
            return None
    else:
        name, _, port = host.partition(":")
    good = name and (not port or (port.isascii() and port.isdigit()))
    return name.lower().rstrip(".") if good else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
