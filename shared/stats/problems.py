"""Problems: why something has no estimate, as numbers that arrays can hold and as words for people."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Problem(IntEnum):
    """Why a mean or a difference cannot be evaluated; the first that applies."""

    NONE = 0
    TOO_FEW = 1
    TOO_FEW_CLUSTERS = 2
    TOO_FEW_FOR_COVARIATES = 3
    TOO_FEW_FOR_QUANTILE = 4
    TIES = 5
    ZERO_DENOMINATOR = 6
    NOT_FINITE = 7
    DENOMINATOR_NEAR_ZERO = 8
    EMPTY_STRATUM = 9
    CONSTANT = 10
    CONSTANT_ARM = 11
    OUT_OF_RANGE = 12


_WORDS = {
    Problem.NONE: "nothing",
    Problem.TOO_FEW: "{where} has {n} unit{s}",
    Problem.TOO_FEW_CLUSTERS: "{where} has {n} cluster{s}, too few, or too uneven, to know how much they vary",
    Problem.TOO_FEW_FOR_COVARIATES: "{where} has {n} unit{s}, too few for so many covariates",
    Problem.TOO_FEW_FOR_QUANTILE: "in {where} {n} unit{s} are too few for the quantile",
    Problem.TIES: "in {where} many units share the value at the quantile",
    Problem.ZERO_DENOMINATOR: "in {where} the denominator is zero",
    Problem.NOT_FINITE: "{where} has values that are not finite numbers",
    Problem.DENOMINATOR_NEAR_ZERO: "in {where} the denominator is not clearly above zero",
    Problem.EMPTY_STRATUM: "{where} has a stratum with fewer than two units",
    Problem.CONSTANT: "the metric does not vary in either arm",
    Problem.CONSTANT_ARM: "the metric does not vary in {where}",
    Problem.OUT_OF_RANGE: "the numbers leave the range in which they can be computed",
}


def words(problem: int, where: str = "an arm", n: int = 0) -> str:
    """A problem in words; `where` is what has it, like `the treatment arm`, and `n` its units or clusters."""
    return _WORDS[Problem(problem)].format(where=where, n=n, s="" if n == 1 else "s")


def first(*cases: tuple[Any, Any]) -> NDArray[np.int64]:
    """Per element the problem of the first case whose condition holds."""
    conditions, problems = zip(*cases, strict=True)
    return np.asarray(np.select(np.broadcast_arrays(*conditions), problems, Problem.NONE), dtype=np.int64)
