"""Writes configs/schemas/ from the models that read a workspace's YAML; `--check` only says whether it is current."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from factory.state import FactorySettings
from lab.state import LabSettings
from promotion.policy import GateSettings
from shared.charter import Charter
from shared.metrics import Catalogue
from shared.people import People
from shared.schemas import schema_of

FOLDER = Path(__file__).parents[1] / "configs" / "schemas"
MODELS = {
    "charter": Charter,
    "metrics": Catalogue,
    "people": People,
    "lab": LabSettings,
    "gate": GateSettings,
    "factory": FactorySettings,
}


def pages() -> dict[Path, str]:
    """Each file with its content."""
    return {
        FOLDER / f"{name}.schema.json": json.dumps(schema_of(model), indent=2, ensure_ascii=False) + "\n"
        for name, model in MODELS.items()
    }


def main() -> None:
    """Writes the files, or checks them."""
    for path, text in pages().items():
        if "--check" not in sys.argv:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path.name} is not what its model says; run `make docs`")


if __name__ == "__main__":
    main()
