"""The summary: one page for whoever decides on a pilot: promised, found, spent, the gate's word, and what is next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from promotion.decisions.pending_decision import last_pending
from promotion.decisions.proposal import proposed, said
from promotion.decisions.shown_messages import Shown, shown_messages
from promotion.decisions.transaction import recorded
from promotion.gate.blinding import hidden
from promotion.gate.case import Case
from promotion.gate.checks import CHECKS
from promotion.gate.choice import admitted_pairs, choice
from promotion.gate.decision_findings import occasion
from promotion.gate.facts.lineage import amendments
from promotion.gate.failed_warnings import told as warnings_told
from promotion.gate.gate import Judgement
from promotion.gate.policy import read_settings
from promotion.queue.judgements import judge_named, promises
from promotion.queue.queue import SECONDS_PER_DAY
from promotion.registry.lapses import lapses
from promotion.registry.line import fates, recorded_line
from promotion.registry.succession import successor_name
from shared.core.clock import rfc3339
from shared.core.errors import PilotPlantError
from shared.core.money import Money
from shared.core.printable import quoted
from shared.core.times import date_time, spoken
from shared.state.workspace import Workspace
from shared.trust.finding import Finding, Verdict, alike, blocking, failed_warnings
from shared.ui import phrases
from shared.ui.console import counted
from shared.ui.fact import Fact
from shared.ui.forest import Forest, between, forests

ON_PAGE = frozenset(check.name for check in CHECKS if check.on_page)
WORTH = {"estimate": "as estimated", "lower_bound": "even at the lower end of its interval"}
# What the check says of each arm is what the owner reads of the money at stake.
WORTH_IT = "worth_it"
# The Lab's report, in the candidate.
REPORT = "report.html"
MEANS: dict[Verdict, str] = {
    "admit": "may be scaled",
    "refuse": "may not be scaled",
    "undecided": "cannot be decided yet",
}
TIME_LEFT = "Time left"
# What stands above all else where it failed.
KILLED = "kill_criteria"


@dataclass(frozen=True, slots=True)
class Section:
    """Sentences under one heading."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What one of the owner's words does; `command` is None where it cannot be given now."""

    word: str
    then: str
    command: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The page.

    Attributes:
        headline: the verdict, or what was decided, in a sentence; first on the page.
        state: whose move it is, in words.
        hidden: why no results are shown; None where they are.
        parts: promised, found, money, and what came before.
        spent, budget: money as JSON says it; `spent` is None where the costs cannot be read.
        killed: a sentence for each kill criterion that is met; first on the page, since it stops a pilot.
        arms: the verdict on each.
        blocking: the findings that stand in the way, each with what would change it.
        waived: the findings that a signed waiver has put aside.
        warnings: the findings that warned and failed, which change no verdict.
        next: what each word does.
        passed: the findings that passed, folded away on the page.
        messages: what each arm says.
        effects: the intervals of all effects by metric, as places that a page draws; nothing while results are hidden
            or cannot be computed.
        arms_apart: the same of admitted arms against each other, where there are several.
        facts: the numbers that decide about the arm that the headline names, or about the first one.
        report: where the Lab's report lies, as it was sealed; None where it is not there.
    """

    pilot: str
    candidate: str
    mode: str
    owner: str
    until: str
    headline: str
    state: str
    hidden: str | None
    killed: tuple[str, ...]
    parts: tuple[Section, ...]
    spent: dict[str, str] | None
    budget: dict[str, str]
    arms: dict[str, Verdict]
    verdict: Verdict
    blocking: tuple[Finding, ...]
    waived: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    next: tuple[Step, ...]
    passed: tuple[Finding, ...]
    messages: tuple[Shown, ...]
    effects: tuple[Forest, ...]
    arms_apart: tuple[Forest, ...]
    facts: tuple[Fact, ...]
    report: str | None

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        told = {"parts", "blocking", "waived", "warnings", "next", "killed", "passed", "messages", "effects",
                "arms_apart", "facts"}  # fmt: skip
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in told}
        return {
            "schema_version": 1,
            **plain,
            "killed": list(self.killed),
            "parts": [asdict(part) for part in self.parts],
            "blocking": [one.model_dump(mode="json") for one in self.blocking],
            "waived": [one.model_dump(mode="json") for one in self.waived],
            "warnings": [one.model_dump(mode="json") for one in self.warnings],
            "next": [asdict(step) for step in self.next],
            "passed": [one.name for one in self.passed],
            "messages": [asdict(one) for one in self.messages],
        }

    def lines(self) -> list[str]:
        """For a terminal."""
        found = [*self.killed, f"{self.pilot}: {self.headline}"]
        found += [self.state] if self.state != self.headline else []
        found += [f"No results yet: {self.hidden}."] if self.hidden else []
        found += ["", "What the gate says", *(f"  {told}" for _, told in self.verdicts)]
        found += [f"  {names}: {one.reason}. What would change it: {one.remedy}." for names, one in self.obstacles]
        found += [f"  Waived: {one.name}: {one.reason}" for one in self.waived]
        found += [f"  {line}" for line in self.warned]
        found += [f"  {counted(len({one.check for one in self.passed}), 'check')} passed"] if self.passed else []
        for part in self.parts:
            found += ["", part.title, *(f"  {line}" for line in part.lines)]
        for one in self.messages:
            found += ["", f"What {one.arm} says: {one.subject}" + (f" ({one.note})" if one.note else "")]
            found += [f"  {line}" for line in quoted(one.body)]
        found += ["", f"Report: {self.report}"] if self.report else []
        found += ["", "What happens next"]
        for step in self.next:
            found += [f"  {step.word}: {step.then}", *([f"    {step.command}"] if step.command else [])]
        return found

    @property
    def verdicts(self) -> list[tuple[Verdict, str]]:
        """The verdict on each arm, and the sentence that says it."""
        return [(verdict, f"{arm} {MEANS[verdict]}: {verdict.upper()}") for arm, verdict in self.arms.items()]

    @property
    def obstacles(self) -> list[tuple[str, Finding]]:
        """What stands in the way, each answer once, with the names of the checks that gave it."""
        return alike(self.blocking)

    @property
    def warned(self) -> list[str]:
        """The warnings that failed, in words."""
        return warnings_told(self.warnings)


def summarise(workspace: Workspace, name: str, who: str | None = None) -> Summary:
    """The summary of a pilot's latest candidate, judged now; showing results is a look of `who`.

    Raises BadInput where there is no such candidate, or its charter cannot be read.
    """
    [(case, judgement)] = judge_named(workspace, name, who=who, what="summary")
    charter, early = case.charter, hidden(case, read_settings(workspace))
    report, state = case.candidate.folder / REPORT, _state(case)
    drawn = () if early else _forests(case)
    return Summary(
        pilot=charter.pilot,
        candidate=case.digest,
        mode=case.mode,
        owner=charter.owner,
        until=rfc3339(charter.deadline),
        headline=_headline(case, judgement, early, state),
        state=state,
        hidden=early,
        killed=_killed(judgement),
        parts=tuple(part for part in _parts(case, judgement, early) if part.lines),
        spent=spent.as_json() if (spent := _spent(case)) else None,
        budget=charter.budget.total.as_json(),
        arms=judgement.verdicts,
        verdict=judgement.verdict,
        blocking=_blocking(judgement),
        waived=tuple(one for one in judgement.findings if one.outcome == "waived"),
        warnings=failed_warnings(judgement.findings),
        next=_next(case, judgement),
        passed=tuple(one for one in judgement.findings if one.outcome == "passed"),
        messages=shown_messages(case),
        effects=drawn,
        arms_apart=() if early else _arms_apart(case, judgement),
        facts=() if early else tuple(_facts(case, judgement, drawn)),
        report=report.as_uri() if report.is_file() and not early else None,
    )


def _headline(case: Case, judgement: Judgement, early: str | None, state: str) -> str:
    """The verdict in a sentence, with the arm to take where one is shown to be the best; or what was decided."""
    pilot = case.charter.pilot
    if recorded(case.room, pilot) is not None or pilot in lapses(case.room):
        return state
    if early:
        return "nothing can be decided yet"
    admitted = judgement.admitted
    if not admitted:
        arms = [arm.name for arm in case.charter.treatments]
        which = arms[0] if len(arms) == 1 else "no arm"
        word = "may" if len(arms) > 1 else "may not"
        return (
            f"{which} {word} be scaled" if judgement.verdict == "refuse"
            else f"whether {which if len(arms) == 1 else 'an arm'} may be scaled cannot be said yet"
        )  # fmt: skip
    if len(admitted) == 1:
        return f"{admitted[0]} may be scaled"
    best = _best(case, admitted)
    told = f"{' and '.join(admitted)} may be scaled"
    return f"{told}; {best} is shown to be the better one" if best else f"{told}; none is shown to be the better one"


def _best(case: Case, admitted: list[str]) -> str | None:
    """The arm that is better than every other admitted one, in each primary metric; None where none is shown to be."""
    pairs = admitted_pairs(case, admitted)
    wins = dict.fromkeys(admitted, 0)
    for one in pairs:
        if one.low is None or one.high is None or one.low <= 0 <= one.high:
            continue
        good = case.promise.metrics[one.metric].sign * one.low > 0
        wins[one.arm if good else one.other] += 1
    needed = (len(admitted) - 1) * len(case.charter.primaries)
    return next((arm for arm, count in wins.items() if count == needed), None)


def _forests(case: Case) -> tuple[Forest, ...]:
    try:
        return tuple(forests(case.charter, case.promise.metrics, case.evidence))
    except Exception:  # noqa: BLE001 - whatever stops it is a finding of the checks, with what would help
        return ()


def _arms_apart(case: Case, judgement: Judgement) -> tuple[Forest, ...]:
    return tuple(between(case.charter, case.promise.metrics, admitted_pairs(case, judgement.admitted)))


def _facts(case: Case, judgement: Judgement, drawn: tuple[Forest, ...]) -> Iterator[Fact]:
    """Measured, expected after launch, the safety limits, the money and the time."""
    charter, metrics = case.charter, case.promise.metrics
    admitted = judgement.admitted
    arm = (_best(case, admitted) if len(admitted) > 1 else None) or (admitted or [charter.treatments[0].name])[0]
    expected = {one.metric: one for one in promises(case).get(arm, ())}
    for forest in drawn:
        [row] = [row for row in forest.rows if row.label == arm]
        if forest.metric in expected:
            one, metric = expected[forest.metric], metrics[forest.metric]
            after, ends = phrases.change(metric, one.mean), phrases.from_to(metric, one.low, one.high)
            yield Fact(f"{forest.metric}, {arm}", row.value, f"Expect about {after} after launch ({ends})")
        elif any(rail.metric == forest.metric for rail in charter.guardrails):
            yield Fact(f"{forest.metric}, {arm}: safety limit", row.value, f"{row.word} ({row.interval})")
    spent = _spent(case)
    yield Fact("Money spent", "?" if spent is None else str(spent), f"of {charter.budget.total}")
    left = (charter.deadline - case.now).total_seconds() / SECONDS_PER_DAY
    yield Fact(TIME_LEFT, phrases.days(left) if left > 0 else "none", f"until {spoken(charter.deadline)}")


def _decided(case: Case) -> Section:
    """What was decided and why, as it was signed, with what was learned."""
    before = recorded(case.room, case.charter.pilot)
    if before is None:
        return Section("", ())
    decision = before.predicate.decision
    lines = [f"{decision.word} {decision.arm or ''}".rstrip() + f", by {decision.owner}: {decision.reason}"]
    lines += [f"What was learned: {decision.insight}"] if decision.insight else []
    return Section("What was decided", tuple(lines))


def _state(case: Case) -> str:
    pilot, before = case.charter.pilot, recorded(case.room, case.charter.pilot)
    if before is not None:
        decision = before.predicate.decision
        word = f"{decision.word} {decision.arm or ''}".rstrip()
        return f"decided: {word}, by {decision.owner}, {date_time(decision.at)}"
    if lapse := lapses(case.room).get(pilot):
        return lapse.told().removeprefix(f"{pilot}: ")
    if told := _signed(case):
        return told
    return f"waits for {case.charter.owner} until {date_time(case.charter.deadline)}; no decision by then is *stop*"


def _signed(case: Case) -> str | None:
    """What persons have signed and whose signature is missing, or what the gate would not sign; None for neither."""
    settings = read_settings(case.room.workspace)
    policy = settings.policy(case.charter.risk_tier)
    until = date_time(case.charter.deadline)
    waits = proposed(case, occasion(case, policy), policy.signatures_min)
    if waits is not None:
        missing = "the gate's signature is missing" if waits.awaits == "gate" else (
            f"it needs a second signature by {until}, of: {', '.join(waits.others) or 'nobody yet'}"
        )  # fmt: skip
        return f"{said(waits.decision)} is signed by {' and '.join(waits.persons)}; {missing}"
    last = last_pending(case.room, case.charter.pilot)
    if last is None or last.declined is None or not last.is_of(case):
        return None
    declined = f"the gate would not sign what {' and '.join(last.persons)} decided: {last.declined}"
    return f"{declined}; it waits for {case.charter.owner} until {until}"


def _parts(case: Case, judgement: Judgement, early: str | None) -> tuple[Section, ...]:
    effects = () if early else (*_effects(case), *choice(case, judgement.admitted))
    found, money = _found(case, judgement, effects), _money(case, judgement)
    return (_decided(case), found, money, _promised(case), _before(case))


def _promised(case: Case) -> Section:
    charter, metrics = case.charter, case.promise.metrics
    said, box = charter.hypothesis, charter.time_box
    least = {one.metric: phrases.amount(metrics[one.metric], one.minimum_effect) for one in charter.primaries}
    return Section(
        "What was promised",
        (
            f"Because {said.because}, we believe that {said.we_believe} will {said.will}.",
            *(
                f"{one.metric}: better by at least {least[one.metric]}"
                f" ({WORTH[one.worthwhile]}), beyond chance at {100 * charter.alpha:g} %"
                for one in charter.primaries
            ),
            *(phrases.at_most(metrics[rail.metric], rail.metric, rail.margin) for rail in charter.guardrails),
            *(
                [f"{eligible.units:,} customers could take part, whom `{charter.eligible}` selects"]
                if (eligible := case.promise.eligible)
                else []
            ),
            f"{charter.sample.units_per_arm:,} units in each arm, from {box.start} to {box.end} ({box.timezone})",
        ),
    )


def _found(case: Case, judgement: Judgement, effects: tuple[str, ...]) -> Section:
    """Effects, what to expect of them, guardrails and health; what is hidden is said once, above."""
    told = [one for one in judgement.findings if one.check in ON_PAGE and one.outcome != "unevaluable"]
    expected = [
        f"{arm}: {phrases.promise(case.promise.metrics[one.metric], one)}"
        for arm, each in promises(case).items()
        for one in each
    ]
    return Section("What was found", (*effects, *expected, *(f"{one.name}: {one.reason}" for one in told)))


def _effects(case: Case) -> tuple[str, ...]:
    sure = f"{100 * (1 - case.charter.alpha):g} %"
    try:
        evidence = case.evidence
    except Exception:  # noqa: BLE001 - whatever stops it is a finding of the checks, with what would help
        return ("the effects cannot be computed from what was submitted",)
    return tuple(
        f"{arm.name}: {phrases.in_words(case.promise.metrics[primary.metric], effect, sure)}"
        for arm in case.charter.treatments
        for primary in case.charter.primaries
        if (effect := evidence.effect(arm.name, primary.metric)) is not None
    )


def _money(case: Case, judgement: Judgement) -> Section:
    """What the pilot has cost, and what scaling an arm puts at stake."""
    spent = _spent(case) or "nobody can say how much"
    worth = [one for one in judgement.findings if one.check == WORTH_IT]
    stakes = (f"{one.arm}: {one.reason}" if one.arm else one.reason for one in worth)
    return Section("Money", (f"spent {spent} of a budget of {case.charter.budget.total}", *stakes))


def _spent(case: Case) -> Money | None:
    try:
        return case.spend.total(case.charter.budget.currency)
    except PilotPlantError:
        return None  # the checks say why


def _before(case: Case) -> Section:
    """What came before, by charter and the gate's own record; the insights are in the Lab, which it does not open."""
    charter, lines = case.charter, []
    if charter.line is not None and charter.line.candidate is not None:
        lines.append(f"It revises {charter.line.pilot}, whose owner asked: {charter.line.change}")
    elif charter.line is not None:
        lines.append(f"It continues {charter.line.pilot}; what is different: {charter.line.change}")
    lines += _attempts(case)
    lines += _amendments(case)
    if charter.unrelated is not None:
        lines.append(f"Its charter says that it continues no earlier pilot: {charter.unrelated}")
    return Section("What came before", tuple(lines))


def _attempts(case: Case) -> list[str]:
    """Which attempt it is by the gate's register, and what became of those before it."""
    try:
        found = recorded_line(case.registrations, case.candidate.manifest.promise)
    except PilotPlantError:
        return []  # the checks say why
    if found is None or not found.before:
        return []
    before = ", ".join(fates(case.room, found))
    return [
        f"Attempt {len(found.before) + 1} of its line, tested at {100 * case.charter.alpha:g} %. Before it: {before}"
    ]


def _amendments(case: Case) -> list[str]:
    """Each version after the first: when the gate took it in, what it changed, and why."""
    try:
        made = amendments(case)
    except PilotPlantError:
        return []  # the checks say why
    return [
        f"Amended to version {one['version']}, which the gate took in {one['at'] or 'never'}: "
        f"{', '.join(one['changes']) or 'nothing'}. The reason: {one['reason']}"
        for one in made
    ]


def _blocking(judgement: Judgement) -> tuple[Finding, ...]:
    return tuple(sorted(blocking(judgement.findings), key=lambda one: (one.outcome != "failed", one.check != KILLED)))


def _killed(judgement: Judgement) -> tuple[str, ...]:
    met = (one for one in judgement.findings if one.check == KILLED and one.outcome == "failed")
    return tuple(f"Arm {one.arm} may not be scaled: {one.reason}." for one in met)


def _next(case: Case, judgement: Judgement) -> tuple[Step, ...]:
    if recorded(case.room, case.charter.pilot) is not None or case.charter.pilot in lapses(case.room):
        return (Step("nothing", "what was decided stands; a decision is made once", None),)
    pilot, owner = case.charter.pilot, shlex.quote(case.charter.owner)
    typed = f'pilotplant promote decide {pilot} {{}} --as {owner} --reason "why, in a sentence"'
    several = read_settings(case.room.workspace).signatures_min.of(case.charter.risk_tier) > 1
    once_more = ", once a second person has signed it too" if several else ""
    others = f"; with --revise the other arms go on in a draft {successor_name(pilot)}"
    others = others if len(case.charter.treatments) > 1 else ""
    scale = [
        Step("scale",
             f"{arm} is handed over to the Factory as release {case.charter.release(arm)}{once_more}{others}",
             typed.format(f"scale --arm {arm}"))
        for arm in judgement.admitted
    ] or [Step("scale", "not now: the gate admits no arm", None)]  # fmt: skip
    after = (
        f"a draft {successor_name(pilot)} is opened in the Lab, with a changed plan; a further try has to be more "
        "convincing than the first"
    )
    return (
        *scale,
        Step("revise", f"{after}. Say what changes", typed.format("revise")),
        Step("stop", "the pilot is closed, and what was learned is kept",
             typed.format("stop") + ' --insight "what we now know, and did not before"'),
    )  # fmt: skip
