"""Peak memory of this process, and a launcher that reports it for one command of the product.

``python -m benchmarks.peak REPORT.json convert-boxes ...`` runs the command and writes seconds and peak to REPORT.json.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_megabytes() -> float:
    """Largest resident size so far, in MB of 10^6 bytes."""
    # getrusage is only second choice: Linux carries its value over from the process that started this one
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / 1e6 if sys.platform == "darwin" else largest * 1024 / 1e6


def main(argv: list[str]) -> int:
    from app.cli.main import main as command

    start = time.perf_counter()
    code = command(argv[1:])
    report = {"exit_code": code, "seconds": time.perf_counter() - start, "peak_mb": peak_megabytes()}
    Path(argv[0]).write_text(json.dumps(report))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
