"""The bundled photos with boxes and masks drawn by hand. ``openseed-label example`` copies and converts them."""

from pathlib import Path

PHOTOS = Path(__file__).parent / "photos"
"""Four photos, JPEG."""
