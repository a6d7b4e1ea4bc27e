"""Real data that lie beside the project; a test that needs them is skipped by name where they do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("PILOTPLANT_REAL_DATA", ""))
on_real_data = pytest.mark.skipif(
    "PILOTPLANT_REAL_DATA" not in os.environ, reason="PILOTPLANT_REAL_DATA does not name the folder of real data"
)
