"""Which version of the product this is."""

from __future__ import annotations


def version() -> str:
    """As installed, or what to do where it is not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("openseed-label")
    except PackageNotFoundError:
        return "(not installed: run `pip install .` in the source folder)"
