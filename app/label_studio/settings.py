"""What decides how the backend behaves, besides the labeling config of a project and the labeler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MEBI = 1024 * 1024
Shape = Literal["auto", "brush", "bitmask", "polygon"]


@dataclass(frozen=True, kw_only=True)
class Answering:
    """What masks become. Part of ``model_version``, because another answer needs another version.

    Attributes:
        shape: auto: the most faithful control that knows the label (brush, bitmask, polygon); or one kind only.
        simplify: how far in pixels a polygon may stray from the mask.
        max_points: corners of a polygon at most; browsers freeze at some thousands.
        threshold: masks with a lower score are left out; a control's ``model_score_threshold`` goes before.
        propose: let the model find objects in tasks without boxes, if it can.
    """

    shape: Shape = "auto"
    simplify: float = 1.0
    max_points: int = 400
    threshold: float = 0.0
    propose: bool = True


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where photos may come from, and with which credentials.

    Attributes:
        url: address of Label Studio; None: only one on this machine is believed when it introduces itself.
        api_key: a personal access token or a legacy token of that Label Studio.
        allowed_hosts: other hosts that photos are fetched from: ``name``, ``name:port`` or ``*.suffix``.
        max_bytes: of one photo file.
        max_pixels: of one photo.
        seconds: for fetching one photo.
        cache_bytes: of fetched files that are kept.
    """

    url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    max_bytes: int = 100 * MEBI
    max_pixels: int = 100_000_000
    seconds: float = 30.0
    cache_bytes: int = 1024 * MEBI


@dataclass(frozen=True, kw_only=True)
class BackendSettings:
    """One server.

    Attributes:
        answering, access: see there.
        basic_auth: user and password that Label Studio has to send; None: nobody needs one.
        model_name: shown while the model loads.
        model_wait: seconds that a predict waits for the model; Label Studio itself waits 100.
        opened_photos, opened_bytes: how many photos, and how many bytes of them, are kept ready for clicks.
        answer_bytes: of answers that are kept in case Label Studio asks again.
        batch_seconds: after which a batch is given up, because Label Studio stops waiting at 100.
        max_body: bytes of a request; photos as ``data:`` URIs are part of it.
        predict_new_tasks: label tasks as they are created (needs ``access.api_key``).
    """

    answering: Answering = field(default_factory=Answering)
    access: Access = field(default_factory=Access)
    basic_auth: tuple[str, str] | None = field(default=None, repr=False)
    model_name: str = "nano"
    model_wait: float = 90.0
    batch_seconds: float = 95.0
    opened_photos: int = 16
    opened_bytes: int = 2048 * MEBI
    answer_bytes: int = 256 * MEBI
    max_body: int = 128 * MEBI
    predict_new_tasks: bool = False
