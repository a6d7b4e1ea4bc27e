"""The A/A certificate's making: one history, split thousands of times, and what the test said of each metric."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from lab.analysis import aa_page
from lab.analysis.histories import History, of_pilot, of_snapshot, unit_values
from lab.state import open_lab
from shared.core.digests import hex_of
from shared.core.files import scratch_in, settle_verified
from shared.data.snapshot import Snapshot, latest_snapshot
from shared.engines.answers import UnitValues
from shared.engines.protocol import per_of, value_of
from shared.experiment.charter import Promise
from shared.experiment.metrics import Metric, read_metrics
from shared.state.chain import Head
from shared.state.ledger import entries
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.stats.moments import Array, Pair, pair
from shared.stats.rerandomisation import coins, p_values, splits
from shared.trust.aa_certificate import BINS, AaCertificate, AaMetric, AaQuestion, each_confidence, interval, verdict
from shared.trust.candidate import write_json

CERTIFICATE, PAGE = "certificate.json", "certificate.html"
CERTIFIED = "certified"
TIMES, SEED = 2_000, 20_260_101
# Coins at a time, as 64-bit numbers: 32 MB, so that they are still in the cache when they are multiplied.
COINS_PER_BATCH = 1 << 22
# From here on it takes seconds.
COINS_LONG = 1 << 28


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate with the folder that holds it and its page, and whether the same had been asked before."""

    certificate: AaCertificate
    folder: Path
    repeated: bool

    @property
    def page(self) -> Path:
        """The page for people."""
        return self.folder / PAGE


def certify(
    workspace: Workspace,
    pilot: str | None,
    *,
    table: str | None = None,
    times: int = TIMES,
    seed: int = SEED,
    tell: Callable[[str], None] = lambda _: None,
) -> Certified:
    """Certifies a pilot's metrics by its control arm, or the catalogue's by the latest snapshot's history.

    The same question of the same data is a no-op. Raises like `lab.analysis.histories`.
    """
    room = open_lab(workspace)
    snapshot = latest_snapshot(workspace) if pilot is None else None
    history = of_snapshot(snapshot, read_metrics(workspace), table) if snapshot else of_pilot(room, str(pilot))
    asked = AaQuestion(
        workspace=workspace.id,
        mode=workspace.mode,
        source=history.source,
        definitions={name: metric.definition for name, metric in history.metrics.items()},
        alpha=history.alpha,
        times=times,
        seed=seed,
        treated_frac=history.treated_frac,
        software=f"pilotplant {version('pilotplant')}",
    )
    known = next((found for found in certificates(workspace) if found.asked == asked), None)
    certificate = known or AaCertificate(
        made=room.now(), asked=asked, metrics=_answers(room, snapshot, history, asked, tell)
    )
    return Certified(certificate, _keep(room, certificate), repeated=known is not None)


def certificates(workspace: Workspace) -> list[AaCertificate]:
    """Every certificate that is as it was made, the last one last."""
    read = (_read(path.parent) for path in sorted(_home(workspace).glob(f"*/{CERTIFICATE}")))
    return sorted((found for found in read if found), key=lambda found: (found.made, found.digest))


def covering(room: Room, promise: Promise, data: dict[str, str]) -> tuple[AaCertificate, Head] | None:
    """The certificate for a pilot, with its entry in the ledger: one by its own data before all others, then the last.

    It answers for every metric that decides, defined as the charter's, at the charter's alpha.
    """
    charter = promise.charter
    deciding = [*(each.metric for each in charter.primaries), *(rail.metric for rail in charter.guardrails)]
    noted = {e.body["certificate"]: Head(e.seq, e.hash) for e in room.entries(kinds=[CERTIFIED])}
    fitting = [
        found
        for found in certificates(room.workspace)
        if found.digest in noted
        and found.asked.alpha == charter.sample.alpha
        and all(found.of(name, promise.metrics[name].definition) for name in deciding)
    ]
    chosen = max(fitting, key=lambda found: (found.asked.source.data == data, found.made, found.digest), default=None)
    return None if chosen is None else (chosen, noted[chosen.digest])


def _home(workspace: Workspace) -> Path:
    return workspace.lab / "aa"


def _read(folder: Path) -> AaCertificate | None:
    """The certificate in a folder that is named by its digest; None where either was changed."""
    try:
        found = AaCertificate.model_validate_json((folder / CERTIFICATE).read_bytes())
    except (OSError, ValidationError):
        return None
    return found if hex_of(found.digest) == folder.name else None


def _keep(room: Room, certificate: AaCertificate) -> Path:
    """Writes the folder, then the entry: cut off in between, the same command does the rest."""
    home, target = _home(room.workspace), _home(room.workspace) / hex_of(certificate.digest)
    if not (target / PAGE).exists() or _read(target) is None:
        with scratch_in(home) as scratch:
            write_json(scratch / CERTIFICATE, certificate.as_json())
            aa_page.write(scratch / PAGE, certificate)
            settle_verified(scratch, target, lambda there: (there / PAGE).exists() and _read(there) is not None)
    source = certificate.asked.source
    with room.transaction() as connection:
        noted = entries(connection, room.entries_table, subject=source.name)
        if not any(entry.body.get("certificate") == certificate.digest for entry in noted):
            verdicts = {found.metric: found.verdict for found in certificate.metrics}
            room.write(connection, CERTIFIED, source.name, {"certificate": certificate.digest, "verdicts": verdicts})
    return target


def _answers(
    room: Room, snapshot: Snapshot | None, history: History, asked: AaQuestion, tell: Callable[[str], None]
) -> tuple[AaMetric, ...]:
    with unit_values(room, snapshot, history) as values:
        units, means, odd = _described(values, _without(history.metrics, history.unknown))
        unknown = history.unknown | odd | dict(values.gaps)
        known = _without(history.metrics, unknown)
        told = _telling(units, tell) if units * asked.times >= COINS_LONG else lambda _: None
        found = _p_values(values, known, means, asked, told) if known else {}
    silent = {name: int(np.isnan(p).sum()) for name, p in found.items()}
    unknown |= {
        name: f"too few units: in {splits:,} of {asked.times:,} splits the test has no answer"
        for name, splits in silent.items()
        if splits
    }
    confidence = each_confidence(len(_without(history.metrics, unknown)))
    return tuple(
        AaMetric(metric=name, units=units, verdict="unevaluable", reason=unknown[name])
        if name in unknown
        else _answer(name, units, found[name], asked, confidence)
        for name in history.metrics
    )


def _without(metrics: dict[str, Metric], names: Container[str]) -> dict[str, Metric]:
    return {name: metric for name, metric in metrics.items() if name not in names}


def _answer(name: str, units: int, p: Array, asked: AaQuestion, confidence: float) -> AaMetric:
    false = int((p <= asked.alpha).sum())
    rate, low, high = interval(false, asked.times, confidence)
    said = verdict(low, asked.alpha)
    told = f"{100 * rate:.2f} % of {asked.times:,} splits without any treatment came out significant at {asked.alpha:g}"
    if said == "fails":
        told += ": the test claims differences that are not there"
    elif high < asked.alpha:
        told += ": fewer than promised, so the test is cautious here"
    return AaMetric(
        metric=name,
        units=units,
        false_positives=false,
        rate=rate,
        low=low,
        high=high,
        p_counts=tuple(np.histogram(p, BINS, (0.0, 1.0))[0].tolist()),
        verdict=said,
        reason=told,
    )


def _columns(metrics: dict[str, Metric]) -> dict[str, str]:
    """Every column of values and denominators, with its metric."""
    values = {value_of(name): name for name in metrics}
    return values | {per_of(name): name for name, metric in metrics.items() if metric.divided}


def _described(values: UnitValues, metrics: dict[str, Metric]) -> tuple[int, dict[str, float], dict[str, str]]:
    """How many units there are, each column's mean, and why some metrics cannot be split."""
    columns = _columns(metrics)
    units, described = values.described(list(columns))
    means, odd = {}, {}
    for column, name in columns.items():
        valued, mean, least, most = described[column]
        if not units:
            odd[name] = "there is no unit"
        elif valued < units:
            odd[name] = f"{units - valued:,} of {units:,} units have no value of it"
        elif not np.isfinite([mean, least, most]).all():
            odd[name] = "it has values that are not finite numbers"
        elif least == most and column == value_of(name):
            odd[name] = f"it is {least:g} for every unit"
        means[column] = mean
    return units, means, odd


def _p_values(
    values: UnitValues,
    metrics: dict[str, Metric],
    means: dict[str, float],
    asked: AaQuestion,
    told: Callable[[int], None],
) -> dict[str, Array]:
    columns = _columns(metrics)
    pairs: list[Pair] = [pair(column, column) for column in columns]
    pairs += [pair(value_of(name), per_of(name)) for name, metric in metrics.items() if metric.divided]
    cells = splits(
        _batches(values, list(columns), asked.times, told),
        {column: means[column] for column in columns},
        pairs,
        coins(asked.times, asked.treated_frac, asked.seed),
    )
    return {name: p_values(cells, value_of(name), per_of(name) if m.divided else None) for name, m in metrics.items()}


def _batches(
    values: UnitValues, columns: list[str], times: int, told: Callable[[int], None]
) -> Iterator[dict[str, Array]]:
    for batch in values.batches(columns, max(1, COINS_PER_BATCH // times)):
        told(len(batch[columns[0]]))
        yield batch


def _telling(units: int, tell: Callable[[str], None]) -> Callable[[int], None]:
    """Says after each quarter how far it has come."""
    done = 0

    def told(more: int) -> None:
        nonlocal done
        before, done = 4 * done // units, done + more
        if 4 * done // units > before:
            tell(f"{done:,} of {units:,} units …")

    return told
