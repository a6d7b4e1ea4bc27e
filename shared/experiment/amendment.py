"""Amendments: how two versions of a promise differ, and what none may change once anybody was exposed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from shared.experiment.charter import Promise

# Whatever is not named here decides what the evidence means, or who decides on it, and so does every new field.
_FREE_TEXT = ("hypothesis", "secondary")
_FREE_BUDGET = ("media", "ai", "infrastructure")
# The parts of a promise that are compared; its version and the snapshot differ in any case.
_PARTS = ("charter", "metrics", "files", "holdout_frac", "eligible", "sampled_frac")
# Whose texts are names of people, tables and arms; any other may name a metric, which then decides something.
_NO_METRICS = (*_FREE_TEXT, "pilot", "requester", "owner", "population", "outcomes", "sources", "arms")


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs; None where there was none, or is none any more.

    Attributes:
        path: where, from the outside in; one of `_PARTS` first.
    """

    path: tuple[str, ...]
    before: Any
    after: Any

    @property
    def name(self) -> str:
        """Where, in a marketer's words: `time_box.end`, `metrics.visit.column`, `files.message.txt`."""
        return ".".join(self.path[1:] if self.path[0] == "charter" else self.path)

    def as_json(self) -> dict[str, Any]:
        """For ledgers and `--json`."""
        return {"path": self.name, "before": self.before, "after": self.after}


def changes(before: Promise, after: Promise) -> tuple[Change, ...]:
    """Every difference in what is promised, down to single values; files by their digests."""
    return tuple(_differences(_content(before), _content(after), ()))


def protected(before: Promise, after: Promise) -> tuple[Change, ...]:
    """The differences that no amendment may make after the first exposure.

    A pilot that may be made longer stops when it looks good, whether or not anybody says that he looked; only a charter
    whose evidence is always valid allows for that.
    """
    open_end = before.rules == 1 or before.charter.sample.looks.method == "always_valid"
    named = {text for promise in (before, after) for text in _texts(_deciding(promise))}
    loose = {*before.charter.secondary, *after.charter.secondary} - named
    return tuple(change for change in changes(before, after) if not _free(change, loose, open_end=open_end))


def what_measures(promise: Promise) -> dict[str, Any]:
    """All by which effects are computed; once the arms are drawn none of it may move, but guardrails may be added.

    Whoever knows the arms, and what was known of the units before, could else choose the metric, the covariates or the
    guardrails by which the arms differ as they wish.
    """
    charter = promise.charter
    primaries, rails = [each.metric for each in charter.primaries], [rail.metric for rail in charter.guardrails]
    return {
        "primary": primaries,
        "guardrails": sorted(rails),
        "metrics": {name: promise.metrics[name].definition for name in sorted({*primaries, *rails})},
        "covariates": sorted(charter.covariates),
        "strata": charter.strata,
    }


def remeasured(first: Mapping[str, Any], later: Mapping[str, Any]) -> list[str]:
    """What of two answers of `what_measures` computes effects otherwise, in a marketer's words."""
    moved = [part for part in ("primary", "covariates", "strata") if first[part] != later[part]]
    moved += [f"guardrails.{name}" for name in first["guardrails"] if name not in later["guardrails"]]
    known = later["metrics"]
    return moved + [f"metrics.{name}" for name, meant in first["metrics"].items() if known.get(name, meant) != meant]


def extends(before: Promise, after: Promise) -> bool:
    """Whether the pilot, or the time to decide on it, becomes longer."""
    one, other = before.charter, after.charter
    return other.time_box.ends > one.time_box.ends or other.deadline > one.deadline


def broken(versions: Sequence[Promise]) -> str | None:
    """Why the promises are not the first version and each one after it; None where they are."""
    if versions[0].amends is not None:
        return f"version {versions[0].version} of the charter is there, and those before it are not"
    for before, after in pairwise(versions):
        if after.amends is None or (after.version, after.amends.before) != (before.version + 1, before.digest):
            return f"version {before.version + 1} of the charter does not continue version {before.version}"
    return None


def _free(change: Change, loose: set[str], *, open_end: bool) -> bool:
    """Whether a change is free; `loose` are the metrics on which nothing depends."""
    match change.path:
        case ("charter", part, *_) if part in _FREE_TEXT:
            free = True
        case ("charter", "budget", part):
            free = part in _FREE_BUDGET
        case ("charter", "decide_by"):
            free = change.after > change.before  # ISO dates
        case ("charter", "time_box", "end"):
            free = open_end and change.after > change.before
        case ("metrics", _, "description" | "history"):
            free = True  # words, and what a forecast begins with: no evidence reads either
        case ("metrics", name, *_):
            free = name in loose
        case _:
            free = False
    return free


def _content(promise: Promise) -> dict[str, Any]:
    content = promise.model_dump(mode="json")
    return {part: content.get(part) for part in _PARTS}


def _deciding(promise: Promise) -> dict[str, Any]:
    """The charter without what is free: whatever metric is named in it decides something."""
    return {part: value for part, value in promise.charter.model_dump(mode="json").items() if part not in _NO_METRICS}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value


def _differences(one: Any, other: Any, path: tuple[str, ...]) -> Iterator[Change]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _differences(one.get(key), other.get(key), (*path, key))
    elif _records(one) and _records(other) and len(one) == len(other):
        for label, (part, its_other) in zip(_labels(one, other), zip(one, other, strict=True), strict=True):
            yield from _differences(part, its_other, (*path, label))
    elif one != other:
        yield Change(path, one, other)


def _records(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, dict) for part in value)


def _labels(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> Iterable[str]:
    """What to call each place of two lists: by the name of what is there in both, else by its number."""
    for number, (part, its_other) in enumerate(zip(one, other, strict=True)):
        name = part.get("name", part.get("metric"))
        yield name if name is not None and name == its_other.get("name", its_other.get("metric")) else str(number)
