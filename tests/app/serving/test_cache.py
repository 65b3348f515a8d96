"""The cache of opened photos: shared openings, bounded memory."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.serving.cache import SharedCache
from app.serving.opened import VIEWS_BYTES, bytes_of


def test_two_who_ask_for_one_photo_share_its_opening() -> None:
    photos = SharedCache(4, 1000)
    calls: list[int] = []
    gate = threading.Event()

    def open_() -> Any:
        calls.append(1)
        gate.wait(5)
        return object()

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(photos.get, 1, open_, size=1) for _ in range(8)]
        gate.set()
        found = {id(one.result(5)) for one in asked}
    assert len(calls) == 1
    assert len(found) == 1


def test_the_least_recently_used_goes_first() -> None:
    photos = SharedCache(2, 1000)
    for key in (1, 2, 1, 3):
        photos.get(key, lambda: object(), size=1)  # type: ignore[arg-type, return-value]
    assert [photos.ready(key) for key in (1, 2, 3)] == [True, False, True]


def test_memory_is_bounded_whatever_the_number() -> None:
    photos = SharedCache(100, 250)
    for key in range(5):
        photos.get(key, lambda: object(), size=100)  # type: ignore[arg-type, return-value]
    assert [photos.ready(key) for key in range(5)] == [False, False, False, True, True]
    photos.get(9, lambda: object(), size=5000)  # type: ignore[arg-type, return-value]
    assert [photos.ready(key) for key in (3, 4, 9)] == [False, False, True]
    photos.clear()
    assert not photos.ready(9)


def test_an_opening_that_failed_is_told_to_all_and_tried_again() -> None:
    photos = SharedCache(2, 1000)
    gate = threading.Event()

    def broken() -> Any:
        gate.wait(5)
        raise OSError("no such photo")

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(photos.get, 1, broken, size=1) for _ in range(2)]
        gate.set()
        for one in asked:
            with pytest.raises(OSError, match="no such photo"):
                one.result(5)
    thing: Any = object()
    assert photos.get(1, lambda: thing, size=1) is thing


def test_few_photos_are_opened_at_once() -> None:
    photos = SharedCache(10, 1000, at_once=2)
    now, most = 0, 0
    lock = threading.Lock()

    def open_() -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return object()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda key: photos.get(key, open_, size=1), range(6)))
    assert most == 2


def test_a_photo_of_twenty_megapixels_counts_its_sixty_megabytes() -> None:
    assert bytes_of(height=4000, width=5000) == 60_000_000 + VIEWS_BYTES
