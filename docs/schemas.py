"""Writes configs/schemas/ from the models that read a workspace's YAML; `--check` only says whether it is current."""

from __future__ import annotations

import json
from pathlib import Path

from generated import settle
from json_schemas import schema_of

from factory.state.settings import FactorySettings
from lab.state import LabSettings
from promotion.gate.policy import GateSettings
from shared.experiment.charter import Charter
from shared.experiment.metrics import Catalogue
from shared.experiment.people import People
from shared.state.access import AccessSettings
from shared.state.team import TeamSettings

FOLDER = Path(__file__).parents[1] / "configs" / "schemas"
MODELS = {
    "charter": Charter,
    "metrics": Catalogue,
    "people": People,
    "lab": LabSettings,
    "gate": GateSettings,
    "factory": FactorySettings,
    "access": AccessSettings,
    "team": TeamSettings,
}


def pages() -> dict[Path, str]:
    """Each file with its content."""
    return {
        FOLDER / f"{name}.schema.json": json.dumps(schema_of(model), indent=2, ensure_ascii=False) + "\n"
        for name, model in MODELS.items()
    }


if __name__ == "__main__":
    for path, text in pages().items():
        settle(path, text, f"{path.name} is not what its model says")
