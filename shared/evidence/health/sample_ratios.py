"""Sample ratios: whether the arms have the sizes that the randomisation planned, overall, by day and by segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from shared.evidence.model import RATIO_P_MIN, SampleRatio
from shared.stats.special import chdtrc

# A smaller deviation of shares does no harm: Statsig's 0.1 %.
DEVIATION_FLOOR = 0.001
# The fewest units to expect in an arm for a chi-square to mean something: Eppo's 8.
EXPECTED_MIN = 8
Key = TypeVar("Key")


def sample_ratio(units: Mapping[str, int], planned: Mapping[str, float]) -> SampleRatio:
    """Pearson's joint chi-square of exposed units per arm against planned shares (Fabijan et al. 2019)."""
    total = sum(units.values())
    if total == 0 or units.keys() - planned.keys() or len(planned) == 1:
        return SampleRatio(chi2=None, p=None, deviation=None)
    chi2 = sum((units.get(arm, 0) - total * share) ** 2 / (total * share) for arm, share in planned.items())
    deviation = max(abs(units.get(arm, 0) / total - share) for arm, share in planned.items())
    return SampleRatio(chi2=chi2, p=float(chdtrc(len(planned) - 1, chi2)), deviation=deviation)


def of_groups(units: Mapping[tuple[str, Key], int], planned: Mapping[str, float]) -> dict[Key, SampleRatio]:
    """The sample ratio of each group of units, like a day's, by (arm, group); only of groups that are large enough."""
    groups: dict[Key, dict[str, int]] = {}
    for (arm, group), n in units.items():
        groups.setdefault(group, {})[arm] = n
    return {
        group: sample_ratio(counts, planned)
        for group, counts in groups.items()
        if min(planned.values()) * sum(counts.values()) >= EXPECTED_MIN
    }


def thin_ones_together(
    units: Mapping[tuple[str, Any], int], planned: Mapping[str, float]
) -> dict[tuple[str, str], int]:
    """Units by (arm, group); groups too small to compare the arms by are joined, in their order, until they are not.

    So that a quiet pilot's days are asked too, in parcels. What is left over goes to the last parcel; where even all of
    them together are too few, they stay apart.
    """
    sizes: dict[Any, int] = {}
    for (_, group), n in units.items():
        sizes[group] = sizes.get(group, 0) + n
    least = EXPECTED_MIN / min(planned.values())
    parcels: list[list[Any]] = []
    filled = True
    for group in sorted((group for group, n in sizes.items() if n < least), key=str):
        if filled:
            parcels.append([])
        parcels[-1].append(group)
        filled = sum(sizes[each] for each in parcels[-1]) >= least
    if not filled and len(parcels) > 1:
        parcels[-2:] = [parcels[-2] + parcels[-1]]
    name = {group: str(group) for group in sizes}
    name |= {group: _named(parcel) for parcel in parcels for group in parcel}
    joined: dict[tuple[str, str], int] = {}
    for (arm, group), n in units.items():
        joined[arm, name[group]] = joined.get((arm, name[group]), 0) + n
    return joined


def _named(parcel: Sequence[Any]) -> str:
    return str(parcel[0]) if len(parcel) == 1 else f"{parcel[0]} to {parcel[-1]}"


def mismatched(found: Mapping[Key, SampleRatio]) -> dict[Key, SampleRatio]:
    """The groups that are not as planned, each at its part of `RATIO_P_MIN` (Bonferroni), and above the floor."""
    return {
        group: ratio
        for group, ratio in found.items()
        if ratio.p is not None
        and ratio.deviation is not None
        and ratio.p < RATIO_P_MIN / len(found)
        and ratio.deviation >= DEVIATION_FLOOR
    }
