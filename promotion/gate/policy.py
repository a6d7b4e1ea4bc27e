"""The gate's policy, from `configs/gate.yaml`: per risk tier, each check's level and thresholds."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from promotion.gate.check import Rule
from promotion.gate.checks import CHECKS
from promotion.settings import RoomSettings, read_as
from shared.core.digests import digest_json
from shared.experiment.people import Tier
from shared.state.workspace import Workspace

_CLOSED = ConfigDict(frozen=True, extra="forbid")

# One field per check, so that a misspelt one is an error that lists the right names.
_FIELDS: Any = {check.name: (check.rule, check.rule()) for check in CHECKS}
Rules: Any = create_model("Rules", __config__=_CLOSED, **_FIELDS)


class Tiers(BaseModel):
    """The rules of each tier; what is not said there is the check's default."""

    model_config = _CLOSED

    low: Rules = Rules()
    standard: Rules = Rules()
    high: Rules = Rules()


class GateSettings(RoomSettings):
    """`configs/gate.yaml`."""

    tiers: Tiers = Tiers()

    def policy(self, tier: Tier) -> Policy:
        """What applies to a pilot of that tier."""
        rules = getattr(self.tiers, tier)
        return Policy(
            tier=tier,
            rules={check.name: getattr(rules, check.name) for check in CHECKS},
            signatures_min=self.signatures_min.of(tier),
        )


class Policy(BaseModel):
    """The rules of one tier.

    Attributes:
        signatures_min: how many persons sign a decision.
    """

    model_config = ConfigDict(frozen=True)

    tier: Tier
    rules: dict[str, Rule]
    signatures_min: int = 2

    @property
    def digest(self) -> str:
        """What an attestation names; the ledger's entry of the decision holds the policy itself."""
        return digest_json(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Every rule with its level and thresholds."""
        rules = {name: rule.model_dump(mode="json") for name, rule in self.rules.items()}
        return {
            "schema_version": 1,
            "tier": self.tier,
            "rules": rules,
            "signatures_min": self.signatures_min,
        }


def read_settings(workspace: Workspace) -> GateSettings:
    """The workspace's gate settings; raises BadInput for a seed of the draws in a live workspace."""
    return read_as(workspace, GateSettings)
