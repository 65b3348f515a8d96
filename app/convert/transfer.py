"""Input and output by URL: fetched to a file beside the journal, and put in place when everything is done."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from app.convert.summary import Summary
from app.errors import UsageError
from labelers.remote import RemoteFolder, system_of, twice

Place = Path | RemoteFolder
"""What an option names; a ``RemoteFolder`` stands for any URL here, of files too."""


@dataclass(frozen=True)
class Staged:
    """The files of a run, all of them on this machine.

    Attributes:
        source, output, images_json: paths to work with.
        images: the folder of the photos, here or by URL.
        shown: what the user calls the input; ``target``: where the output goes, None where it is there already.
    """

    source: Path
    output: Path | None
    images_json: Path | None
    images: Place | None
    shown: str
    target: str | None = None

    def delivered(self, summary: Summary, *, part: bool) -> Summary:
        """Bring the output where it belongs, in one step; the summary then names it. Raises UsageError."""
        summary = dataclasses.replace(summary, source=self.shown)
        if self.target is None or part or summary.output is None or self.output is None:
            return summary
        output = self.output
        try:
            system, path = system_of(self.target)
            twice(lambda: system.put_file(str(output), path))
        except Exception as error:  # each library has its own
            raise UsageError(
                f"{output} is finished, but can't be written to {self.target} ({error}); copy it there yourself"
            ) from error
        output.unlink()
        return dataclasses.replace(summary, output=self.target)


@contextlib.contextmanager
def staged(
    *, source: Place, output: Place | None, images_json: Place | None, images: Place | None, overwrite: bool
) -> Iterator[Staged]:
    """Fetch what is elsewhere; the copies are removed at the end. Paths of this machine stay as they are.

    Photos of an input by URL are looked for beside it, unless ``images`` says where they are.

    Raises:
        UsageError: there is no such file, or the output can't be written there or exists already.
        RemoteError: see ``labelers.remote.system_of``.
    """
    with contextlib.ExitStack() as stack:
        target = None
        if isinstance(output, RemoteFolder):
            target, output = str(output), Path.cwd() / f"{_name(output)}.upload"
            _refuse_target(target, overwrite=overwrite)
        if isinstance(source, RemoteFolder):
            if output is None:
                output = Path.cwd() / f"{PurePosixPath(_name(source)).stem}.masks.json"
            images = images or RemoteFolder(source.url.rpartition("/")[0])
        here = Path.cwd() if output is None else output.parent
        yield Staged(
            source=_fetched(source, here, stack),
            output=output,
            images_json=None if images_json is None else _fetched(images_json, here, stack),
            images=images,
            shown=str(source),
            target=target,
        )


def _name(url: RemoteFolder) -> str:
    name = PurePosixPath(urlsplit(url.url).path).name
    if not name:
        raise UsageError(f"{url}: name a file in it")
    return name


def _fetched(place: Place, folder: Path, stack: contextlib.ExitStack) -> Path:
    """The file itself, or a copy of it that is removed with the stack."""
    if isinstance(place, Path):
        return place
    # its own folder, so that it keeps its name; beside the journal, where there is room for large files
    copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".openseed-", dir=folder))) / _name(place)

    def fetch() -> None:
        system, path = system_of(place.url)
        with system.open(path, "rb") as stream, copy.open("wb") as file:
            shutil.copyfileobj(stream, file, 1 << 22)

    try:
        twice(fetch)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError(f"{place}: no such file; check the URL") from error
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{place}: can't be read ({type(error).__name__}: {error}); check the URL") from error
    return copy


def _refuse_target(target: str, *, overwrite: bool) -> None:
    if target.lower().startswith(("http:", "https:")):
        raise UsageError(f"-o {target}: a web server takes no files; give a path, or a bucket (s3://, gs://)")
    try:
        system, path = system_of(target)
        there = bool(twice(lambda: system.exists(path)))
    except Exception as error:
        raise UsageError(f"-o {target}: gives no answer ({type(error).__name__}: {error}); check the URL") from error
    if there and not overwrite:
        raise UsageError(f"{target} exists already; choose another -o/--output, or start over with --overwrite")
