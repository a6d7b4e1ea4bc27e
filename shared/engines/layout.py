"""Which columns the table of units has for a question, and which of their products are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

from shared.engines.protocol import Question, covariate, early_of, late_of, per_of, value_of
from shared.stats.moments import SIZE, Pair, pair


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of the table holds what; names are told apart by their position, and none of them is SQL.

    Attributes:
        measures: by the name of each metric's value, its column.
        values, covariates: these with denominators, and covariates, by the names of the protocol, their columns.
        parts: likewise, what was measured early and late in each unit's time.
        levels: by the traits' names, the columns of the segments and the stratum.
        cluster: whether units are in clusters.
        flags: the names whose values are 0 or 1 of a unit.
        pairs, part_pairs: the products that are asked for, of values and covariates and of the parts.
    """

    measures: Mapping[str, str]
    values: Mapping[str, str]
    covariates: Mapping[str, str]
    parts: Mapping[str, str]
    levels: Mapping[str, str]
    cluster: bool
    flags: frozenset[str]
    pairs: tuple[Pair, ...]
    part_pairs: tuple[Pair, ...]

    @classmethod
    def of(cls, question: Question) -> Layout:
        """The layout that answers a question."""
        covariates = {covariate(name): f"x{index}" for index, name in enumerate(question.covariates)}
        values, parts, flags = dict[str, str](), dict[str, str](), set[str]()
        pairs, part_pairs = set[Pair](), set[Pair]()
        for index, (name, metric) in enumerate(question.metrics.items()):
            own = {value_of(name): f"v{index}"} | ({per_of(name): f"d{index}"} if metric.divided else {})
            values |= own
            pairs |= set(_products(own)) | {pair(one, other) for one in own for other in covariates}
            if name in _novel(question):
                own = {early_of(name): f"e{index}", late_of(name): f"l{index}"}
                parts |= own
                part_pairs |= set(_products(own))
            if metric.no_outcome == "left_out":
                flags.add(per_of(name))
            if metric.kind == "proportion":
                flags |= {value_of(name), early_of(name), late_of(name)}
        pairs |= set(_products(covariates))
        if question.cluster:
            pairs |= {pair(SIZE, name) for name in (SIZE, *values, *covariates)}
            part_pairs |= {pair(SIZE, name) for name in (SIZE, *parts)}
        levels = dict.fromkeys((*question.segments, *((question.strata,) if question.strata else ())))
        return cls(
            measures={value_of(name): f"v{index}" for index, name in enumerate(question.metrics)},
            values=values,
            covariates=covariates,
            parts=parts,
            levels={name: f"s{index}" for index, name in enumerate(levels)},
            cluster=question.cluster is not None,
            flags=frozenset(flags),
            pairs=tuple(sorted(pairs)),
            part_pairs=tuple(sorted(part_pairs)),
        )


def _products(names: Mapping[str, str]) -> Iterator[Pair]:
    return (pair(one, other) for one, other in combinations_with_replacement(names, 2))


def _novel(question: Question) -> tuple[str, ...]:
    return question.novelty[0] if question.novelty else ()
