"""The data sets that ``evaluate --suite`` knows, one module each. ``suite.py`` says what a suite is."""

from __future__ import annotations

from app.evaluation.suites import ade20k, bdd, cityscapes, coco, lvis, scannet, seginw, sun
from app.evaluation.suites.suite import Suite

SUITES: dict[str, Suite] = {
    module.SUITE.name: module.SUITE for module in (coco, ade20k, cityscapes, lvis, bdd, scannet, sun, seginw)
}
