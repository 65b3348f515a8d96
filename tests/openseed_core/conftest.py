"""Makes ``import recipe`` (the golden weights) work from every test of this folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
