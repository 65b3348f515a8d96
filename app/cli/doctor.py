"""``openseed-label doctor``: is everything in place here, and between Label Studio and us?"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from app.cli.convert_boxes import count
from app.cli.label_studio_push import add_place_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.label_studio.doctor import Finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place_arguments(parser)
    parser.add_argument("--project", type=count, metavar="N", help="look into this project too")
    parser.add_argument("--backend", metavar="URL", help="try to connect this backend to the project")
    parser.add_argument("--json", action="store_true", help="findings as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    from app.cli.label_studio import require_extra

    require_extra()
    findings: list[Finding] = []
    for finding in _findings(args):
        findings.append(finding)
        if not args.json:
            print(f"{'ok      ' if finding.ok else 'PROBLEM '} {finding.said}")
            if finding.remedy:
                print(f"          {finding.remedy}")
            sys.stdout.flush()
    if args.json:
        print(json.dumps([vars(finding) for finding in findings], indent=2))
    return 0 if all(finding.ok for finding in findings) else 1


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    yield from _here()
    if args.label_studio or args.project or args.backend:
        from app.cli.label_studio_push import url_and_token
        from app.label_studio.doctor import examine

        url, token = url_and_token(args)
        yield from examine(url, token, project=args.project, backend=args.backend)


def _here() -> Iterator[Finding]:
    """This machine: does the embedded model load, and on what?"""
    from app.label_studio.doctor import Finding
    from labelers.build import build_labeler

    yield Finding(True, f"Python {sys.version.split()[0]}")
    try:
        labeler = build_labeler()
    except Exception as error:
        yield Finding(False, f"the embedded model can't be loaded ({error})", "install openseed-label again")
        return
    yield Finding(True, f"the embedded model loads: {labeler.spec.name} {labeler.spec.version}")
