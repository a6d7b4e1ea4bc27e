"""Insights: what decided pilots taught, what supports and contradicts it, and who is about to repeat it.

The claim is the owner's, signed with the decision. Context, metric and effect are those of the promise and of the
evidence that the decision was made on. Tags and links are people's; a contradiction that the numbers show is proposed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from lab.insights.retrospective.store import Kept, retrospectives
from lab.pilots.pilot import Pilot, all_pilots
from lab.state import insight_links, insight_tags
from shared.core.clock import rfc3339
from shared.core.errors import BadInput
from shared.doors.door import ask
from shared.doors.requests import JudgedEvidence
from shared.evidence.model import RATIO_P_MIN, Effect, Evidence
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric, read_metrics
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.record import SILENCE, Decided, decisions
from shared.ui import phrases

Direction = Literal["rose", "fell", "no difference shown", "unknown"]
# Half of the words of what is believed in common (Dice 1945, "Measures of the amount of ecologic association").
ALIKE_MIN = 0.5
# Words that say nothing about what is done; what is left carries the meaning.
_FILLERS = frozenset(
    re.findall(
        r"\w+",
        """about after all also and any are because before but can each for from has have into its more most not of off
        one only our out over than that the their them then they this those too was were what when which who will with
        you your""",
    )
)


@dataclass(frozen=True, slots=True)
class Context:
    """Where something was learned: the same thing elsewhere may differ.

    Attributes:
        population: the table of the units.
        channels: those of the arms' plays.
        segments: the columns whose groups were looked at.
        words: what the hypothesis says is done, without fillers and plurals.
    """

    population: str
    channels: tuple[str, ...]
    segments: tuple[str, ...]
    words: frozenset[str]

    @classmethod
    def of(cls, charter: Charter) -> Context:
        """The context that a charter describes."""
        channels = sorted({arm.play.channel for arm in charter.treatments if arm.play})
        return cls(charter.population, tuple(channels), charter.segments, words(charter.hypothesis.we_believe))

    def alike(self, other: Context) -> bool:
        """Whether the same is done to the same units on a common channel."""
        if self.population != other.population or not set(self.channels) & set(other.channels):
            return False
        both = len(self.words) + len(other.words)
        return both > 0 and 2 * len(self.words & other.words) / both >= ALIKE_MIN


@dataclass(frozen=True, slots=True)
class Link:
    """That another pilot supports or contradicts an insight, and why somebody says so."""

    pilot: str
    reason: str


@dataclass(frozen=True, slots=True)
class Insight:
    """What a pilot taught.

    Attributes:
        signed: whether an owner said so; silence says only that nobody did, and counts as no insight.
        metric, definition: the primary metric.
        effect: on it, of the arm that was scaled, else of the arm whose effect is clearest; None where the evidence
            is not at hand as it was judged.
        retrospective: whether it is of a finished test that ran elsewhere, which no owner decided on.
        supporting, contradicting: pilots linked with this one by people, either way.
        proposed: pilots whose effect contradicts this one's by the numbers, which nobody has linked.
    """

    pilot: str
    word: str
    claim: str
    owner: str
    at: str
    signed: bool
    context: Context
    metric: str
    definition: Metric
    effect: Effect | None
    retrospective: bool = False
    tags: tuple[str, ...] = ()
    supporting: tuple[Link, ...] = ()
    contradicting: tuple[Link, ...] = ()
    proposed: tuple[str, ...] = ()

    @property
    def direction(self) -> Direction:
        """Where the metric went: only an interval that excludes zero says so."""
        if self.effect is None or self.effect.low is None or self.effect.high is None:
            return "unknown"
        return "rose" if self.effect.low > 0 else "fell" if self.effect.high < 0 else "no difference shown"

    @property
    def contradicted_by(self) -> tuple[str, ...]:
        """Every pilot that contradicts it, by a person's word or by the numbers."""
        return (*(link.pilot for link in self.contradicting), *self.proposed)

    def excludes(self, other: Insight) -> bool:
        """Whether the two effects have opposite signs beyond chance, on one metric in one context."""
        return (
            {self.direction, other.direction} == {"rose", "fell"}
            and self.definition == other.definition
            and self.context.alike(other.context)
        )

    def told(self) -> str:
        """Metric and effect, for people."""
        if self.effect is None:
            return f"{self.metric}: not known"
        return f"{self.metric} {self.direction}: {phrases.effect(self.definition, self.effect)} ({self.effect.arm})"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "pilot": self.pilot,
            "decision": self.word,
            "claim": self.claim,
            "owner": self.owner,
            "at": self.at,
            "signed": self.signed,
            "retrospective": self.retrospective,
            "context": self.context,
            "metric": self.metric,
            "direction": self.direction,
            "effect": self.effect,
            "tags": self.tags,
            "supporting": self.supporting,
            "contradicting": self.contradicting,
            "proposed_contradicting": self.proposed,
        }


@dataclass(frozen=True, slots=True)
class Repeat:
    """An insight that a charter would test once more although another pilot contradicts it."""

    insight: Insight

    def told(self) -> str:
        """A note for whoever writes the charter."""
        found = self.insight
        reasons = {link.pilot: f" ({link.reason})" for link in found.contradicting}
        against = ", ".join(f"{pilot}{reasons.get(pilot, '')}" for pilot in found.contradicted_by)
        return (
            f"it repeats {found.pilot}, which taught “{found.claim}” ({found.told()}) and is contradicted by "
            f"{against}: say in the hypothesis what is different this time"
        )


def insights(room: Room, query: str = "", *, tag: str | None = None, metric: str | None = None) -> list[Insight]:
    """What decided pilots taught, newest first; with a query only those that contain every word of it.

    Raises BadInput for a metric that neither the catalogue nor any insight has.
    """
    asked, found = query.lower().split(), _all(room)
    if metric is not None and all(insight.metric != metric for insight in found):
        read_metrics(room.workspace).get(metric)
    return [
        insight
        for insight in found
        if (tag is None or tag in insight.tags)
        and (metric is None or metric == insight.metric)
        and all(word in _text(insight) for word in asked)
    ]


def find_insight(room: Room, pilot: str) -> Insight:
    """The insight of a pilot; raises BadInput where it has none, or none that an owner signed."""
    signed = {insight.pilot: insight for insight in _all(room) if insight.signed}
    if pilot not in signed:
        raise BadInput(
            f"pilot {pilot} has no insight that an owner signed",
            where=str(room.workspace.root),
            expected="one of: " + (", ".join(sorted(signed)) or "(none yet)"),
            remedy="an insight is given with the decision: pilotplant promote decide NAME WORD --insight TEXT",
        )
    return signed[pilot]


def same_context(room: Room, charter: Charter, metric: Metric) -> list[Insight]:
    """What was learned before by doing alike to the same units on a common channel, read off the same metric."""
    context = Context.of(charter)
    return [
        insight
        for insight in _all(room)
        if insight.signed
        and insight.pilot != charter.pilot
        and insight.definition == metric
        and insight.context.alike(context)
    ]


def repeats(room: Room, charter: Charter, metric: Metric) -> list[Repeat]:
    """The contradicted insights that a charter repeats; `metric` is the definition of its primary one."""
    return [Repeat(insight) for insight in same_context(room, charter, metric) if insight.contradicted_by]


def words(text: str) -> frozenset[str]:
    """The words of a text that carry its meaning, in lower case and without a plural's ending."""
    found = re.findall(r"\w+", text.lower())
    return frozenset(word.rstrip("s") or word for word in found if len(word) > 2 and word not in _FILLERS)  # noqa: PLR2004 - shorter ones are fillers


def _text(insight: Insight) -> str:
    context = insight.context
    parts = (insight.pilot, insight.word, insight.claim, insight.metric, context.population)
    return " ".join((*parts, *context.channels, *context.segments, *context.words, *insight.tags)).lower()


def _all(room: Room) -> list[Insight]:
    decided, now = decisions(room.workspace), room.now()
    judged = _judged(room.workspace, decided.values())
    found = [_insight(pilot, decided.get(pilot.name), judged, now) for pilot in all_pilots(room)]
    found += [_of_retrospective(kept) for kept in retrospectives(room)]
    linked = _with_people(room, [insight for insight in found if insight is not None])
    return sorted(_with_proposed(linked), key=lambda insight: insight.at, reverse=True)


def _judged(workspace: Workspace, decided: Iterable[Decided]) -> dict[str, Evidence]:
    """The evidence that was decided on, by candidate; without that of which the gate has nothing whole any more."""
    named = tuple(each.candidate for each in decided if each.decision.insight)
    kept = ask(workspace, JudgedEvidence(candidates=named)).evidence if named else {}
    return {candidate: Evidence.model_validate_json(content) for candidate, content in kept.items()}


def _insight(pilot: Pilot, decided: Decided | None, judged: Mapping[str, Evidence], now: datetime) -> Insight | None:
    charter, evidence = pilot.charter, None
    if decided is not None and decided.decision.insight:
        word, claim, at = decided.decision.word, decided.decision.insight, decided.decision.at
        evidence = judged.get(decided.candidate)
    elif decided is None and now >= charter.deadline:
        word, claim, at = "stop", SILENCE, rfc3339(charter.deadline)
    else:
        return None
    metric = charter.primary.metric
    return Insight(
        pilot=pilot.name,
        word=word,
        claim=claim,
        owner=charter.owner,
        at=at,
        signed=decided is not None,
        context=Context.of(charter),
        metric=metric,
        definition=pilot.promise.metrics[metric],
        # Of arms that lost units the difference may be theirs, and teaches nothing.
        effect=None
        if evidence is None or _void(evidence)
        else _effect(evidence, metric, decided.decision.arm if decided else None),
    )


def _of_retrospective(kept: Kept) -> Insight:
    """What a finished test from elsewhere taught: what was tried, and where its primary metric went."""
    test = kept.test
    channels = () if test.channel is None else (test.channel,)
    context = Context(str(test.population), channels, (), words(test.belief or ""))
    return Insight(
        pilot=test.name,
        word="retrospective",
        claim=test.belief or f"{', '.join(test.treatments)} against {test.control}",
        owner="",
        at=rfc3339(kept.ended),
        signed=False,
        context=context,
        metric=test.primary,
        definition=test.metrics[test.primary],
        # Effects that lost units may have made are no ground to learn from.
        effect=kept.shown.clearest if kept.shown.sound else None,
        retrospective=True,
    )


def _void(evidence: Evidence) -> bool:
    """Whether the arms are not as large as planned, so that nothing they differ in can be believed."""
    p = evidence.health.sample_ratio.p
    return p is not None and p < RATIO_P_MIN


def _effect(evidence: Evidence, metric: str, scaled: str | None) -> Effect | None:
    if scaled is not None:
        return evidence.effect(scaled, metric)
    known = [effect for effect in evidence.effects if effect.metric == metric and effect.p is not None]
    return min(known, key=lambda effect: effect.p or 0.0, default=None)


def _with_people(room: Room, found: list[Insight]) -> list[Insight]:
    """With tags and links, which are seen from either side."""
    tags: defaultdict[str, list[str]] = defaultdict(list)
    links: defaultdict[tuple[str, str], list[Link]] = defaultdict(list)
    with room.read() as connection:
        for row in connection.execute(sa.select(insight_tags).order_by(insight_tags.c.tag)):
            tags[row.pilot].append(row.tag)
        for row in connection.execute(sa.select(insight_links).order_by(insight_links.c.at)):
            links[row.pilot, row.kind].append(Link(row.other, row.reason))
            links[row.other, row.kind].append(Link(row.pilot, row.reason))
    return [
        replace(
            insight,
            tags=tuple(tags[insight.pilot]),
            supporting=tuple(links[insight.pilot, "supports"]),
            contradicting=tuple(links[insight.pilot, "contradicts"]),
        )
        for insight in found
    ]


def _with_proposed(found: list[Insight]) -> list[Insight]:
    # Only effects beyond chance can exclude each other, and only within one metric and population.
    groups: defaultdict[tuple[str, str], list[Insight]] = defaultdict(list)
    for insight in found:
        if insight.direction in {"rose", "fell"}:
            groups[insight.metric, insight.context.population].append(insight)

    def proposed(insight: Insight) -> Iterable[str]:
        linked = {link.pilot for link in (*insight.supporting, *insight.contradicting)}
        others = groups.get((insight.metric, insight.context.population), [])
        return (other.pilot for other in others if other.pilot not in linked and insight.excludes(other))

    return [replace(insight, proposed=tuple(sorted(proposed(insight)))) for insight in found]
