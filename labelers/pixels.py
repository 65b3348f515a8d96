"""Any Pillow mode to uint8 RGB, in one documented way.

* Transparency (palette, LA, RGBA) is shown on white, as on a page.
* 16-bit and 32-bit grey keep their exposure: the values are read as 8, 10, 12, 14 or 16 bits, whichever is
  the smallest that holds the brightest pixel. Where that leaves a nearly flat picture (thermal, depth),
  the range between darkest and brightest pixel is stretched instead.
* Floating point: [0, 1] and [0, 255] are taken as they are, anything else is stretched.
* CMYK and YCbCr go through Pillow's conversion; embedded colour profiles are ignored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_BIT_DEPTHS = (8, 10, 12, 14, 16)
_FLAT = 32  # fewer 8-bit levels than this between darkest and brightest pixel: stretch


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 RGB [H, W, 3] of a loaded Pillow image, not turned. Raises ``ValueError`` for modes it can't convert."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = grey_to_8bit(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        page = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        page.alpha_composite(layer)
        image = page
    return np.asarray(image.convert("RGB"))


def grey_to_8bit(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Integers of any width or floats [H, W] to uint8 [H, W]; NaN and infinities become black."""
    numbers = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    full = _full_scale(high, whole=bool(np.issubdtype(values.dtype, np.integer)))
    if low < 0 or full is None or (full > 255 and (high - low) * 255 / full < _FLAT):
        numbers -= np.float32(low)
        full = max(high - low, 1e-30)
    grey: NDArray[np.uint8] = np.rint(numbers * np.float32(255 / full)).astype(np.uint8)
    return grey


def _full_scale(high: float, *, whole: bool) -> float | None:
    if whole:
        return next((float(2**bits - 1) for bits in _BIT_DEPTHS if high <= 2**bits - 1), None)
    return 1.0 if high <= 1 else 255.0 if high <= 255 else None
