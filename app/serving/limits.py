"""Requests may not be larger than their route can use: refused by what they announce, and by what arrives."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive


class TooLargeBody(HTTPException):
    """More bytes than the route takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"the request is larger than the {limit:,} bytes allowed here")


def announced_problem(headers: Headers, limit: int) -> TooLargeBody | None:
    """Judge by Content-Length alone, before anything is read."""
    length = headers.get("content-length")
    if length is None:
        return None
    return None if length.isascii() and length.isdigit() and int(length) <= limit else TooLargeBody(limit)


def limited(receive: Receive, limit: int) -> Receive:
    """``receive``, but raises TooLargeBody after more than ``limit`` bytes: chunked requests announce nothing."""
    seen = 0

    async def counting() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise TooLargeBody(limit)
        return message

    return counting
