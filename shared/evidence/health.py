"""Health: whether the randomisation can be believed."""

from __future__ import annotations

from collections.abc import Mapping

from scipy.special import chdtrc

from shared.evidence.model import SampleRatio


def sample_ratio(units: Mapping[str, int], planned: Mapping[str, float]) -> SampleRatio:
    """Pearson's joint chi-square of exposed units per arm against planned shares (Fabijan et al. 2019)."""
    total = sum(units.values())
    if total == 0 or units.keys() - planned.keys() or len(planned) == 1:
        return SampleRatio(chi2=None, p=None, deviation=None)
    chi2 = sum((units.get(arm, 0) - total * share) ** 2 / (total * share) for arm, share in planned.items())
    deviation = max(abs(units.get(arm, 0) / total - share) for arm, share in planned.items())
    return SampleRatio(chi2=chi2, p=float(chdtrc(len(planned) - 1, chi2)), deviation=deviation)
