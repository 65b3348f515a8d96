"""The parent's side of the workers: start them, ask one at a time, stop them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.contestants import Spec

ROOT = Path(__file__).resolve().parents[1]


class WorkerFailed(RuntimeError):
    """A contestant raised or died; the message holds its traceback or exit code."""


class Team:
    """One process for each contestant; a context manager.

    Args:
        specs: the contestants.
        threads: CPU threads of each; only one of them works at any time.
    """

    def __init__(self, specs: Sequence[Spec], *, threads: int) -> None:
        count = str(threads)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": count,
            "MKL_NUM_THREADS": count,
            "OPENBLAS_NUM_THREADS": count,
            "OMP_WAIT_POLICY": "PASSIVE",  # a waiting worker would otherwise spin and slow the one that works
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
        }
        self._workers: dict[str, subprocess.Popen[str]] = {}
        self._ready: set[str] = set()
        for spec in specs:
            command = [sys.executable, "-m", "benchmarks.worker", json.dumps(spec.as_json()), count]
            self._workers[spec.name] = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.kill()  # there is nothing to save, and taking a model apart takes time
        for worker in self._workers.values():
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                if pipe:
                    pipe.close()

    def ask(self, name: str, do: str, /, **details: Any) -> Any:
        """The worker's result; waits for it to be built at the first question. Raises WorkerFailed."""
        if name not in self._ready:
            self._read(name)
            self._ready.add(name)
        worker = self._workers[name]
        assert worker.stdin is not None
        try:
            worker.stdin.write(json.dumps({"do": do, **details}) + "\n")
            worker.stdin.flush()
        except BrokenPipeError:
            raise self._died(name) from None
        return self._read(name)

    def _read(self, name: str) -> Any:
        stdout = self._workers[name].stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            raise self._died(name)
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerFailed(f"{name}:\n{reply['error']}")
        return reply["result"]

    def _died(self, name: str) -> WorkerFailed:
        code = self._workers[name].wait(timeout=60)
        reason = "killed, probably for lack of memory" if code == -9 else f"exit code {code}"
        return WorkerFailed(f"{name}: its process ended ({reason}); see its messages above")
