"""Cases: a rehearsal workspace before the gate, and tiny real candidates of which each test changes one thing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, Literal, get_args
from zlib import crc32

import duckdb
import pytest
import yaml

from factory.releases.enrolment import enrol_factory
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from promotion.decisions.execution import Decided
from promotion.gate.case import Case
from promotion.gate.gate import Judgement, judge
from promotion.gate.policy import read_settings
from promotion.keys.enrolment import enrol, find_key
from promotion.registry.nonces import registrations
from promotion.registry.register import register
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.digests import digest_bytes, digest_file, digest_json
from shared.core.errors import BadInput, Refused
from shared.core.files import scratch_in
from shared.core.money import Money
from shared.engines.protocol import PilotData
from shared.evidence.compute import compute
from shared.experiment.charter import RULES, Charter, Eligible, Promise, measured_by
from shared.experiment.eligibility import ELIGIBLE
from shared.experiment.metrics import read_metrics
from shared.experiment.people import Tier
from shared.state.chain import GENESIS, Entry, Head, entry_hash
from shared.state.room import Room
from shared.state.workspace import Workspace, open_workspace
from shared.trust.aa_certificate import (
    BINS,
    AaCertificate,
    AaMetric,
    AaQuestion,
    AaSource,
    each_confidence,
    interval,
    verdict,
)
from shared.trust.candidate import (
    AA,
    AMENDMENTS,
    DATA,
    EVIDENCE,
    FILES,
    LEDGER,
    PROMISE,
    REGISTRATION,
    SPEND,
    Candidate,
    Earlier,
    Spend,
    SpendEntry,
    write_json,
)
from shared.trust.decision import Word
from shared.trust.excerpt import Excerpt, excerpt
from shared.trust.keys import FACTORY
from shared.trust.registration import Registration
from tests.makers import AUDIENCE, OWNER, SMALL, TEMPLATE, copy_of, make_charter, moment, seal_into
from tests.promotion.preflights import passing, put

PILOT = "spring-email"
LAUNCHED = moment("2026-01-04 12:00")
EXPOSED = moment("2026-01-05 09:00")
ENDS = moment("2026-01-19 00:00")
# Units come and answer through the first thirteen of the fourteen days.
DAYS = 13
JUDGED = moment("2026-01-20 08:00")
TRIED = moment("2026-01-20 07:00")
GUARDRAIL = {"metric": "spend", "margin": -0.5}
PRIMARY = {"metric": "visit", "minimum_effect": 0.05}
REASON = "visits rise by far more than a letter costs"
AMENDED = "the printer was late"
INSIGHT = "a letter brings one customer in five back to the shop"


@dataclass(frozen=True)
class Recorded:
    """What was recorded of one arm: every unit has one outcome; `spend` goes round over the units."""

    units: int = 200
    visits: int = 20
    spend: tuple[float, ...] = (1.0, 3.0)


# A tenth of the control visits, and three tenths of the arm: an effect of 0.2. Spend is 2 on average in both.
GOOD = {"control": Recorded(), "letter": Recorded(visits=60)}
# Two looks that were agreed on, and more units than anybody records: only a boundary ends it early.
LOOKS = {"sample": {"units_per_arm": 10_000, "looks": {"method": "group_sequential", "at": [0.5, 1]}}}
# What `configs/contracts/customers.odcs.yaml` publishes, of a unit by its number `n` in its `arm`: both arms are alike.
KNOWN = {
    "recency": "n % 12 + 1",
    "history_segment": "CASE WHEN n % 3 = 0 THEN 'low' ELSE 'high' END",
    "history": "n % 7 + 10.0",
    "mens": "n % 2",
    "womens": "(n + 1) % 2",
    "zip_code": "['Rural', 'Surburban', 'Urban'][1 + n % 3]",
    "newbie": "CAST(n % 5 = 0 AS BIGINT)",
    "channel": "'Web'",
}
TWO_ARMS = [{"name": "control"}, {"name": "letter"}]


@dataclass
class Stage:
    """The gate's side of a workspace, and the Lab's hand that puts candidates before it."""

    workspace: Workspace

    def with_factory(self) -> Stage:
        """The same stage, now that the Factory has a key which the gate knows: candidates carry a report by it."""
        enrol_factory(self.workspace)
        enrol(self.workspace, FACTORY)
        return self

    def copy(self, root: Path) -> Stage:
        """The same workspace once more, in another folder."""
        return Stage(copy_of(self.workspace, root))

    def charter(self, **changes: Any) -> Charter:
        """A charter with one treatment arm, `letter`, and a guardrail."""
        return make_charter(**{"guardrails": [GUARDRAIL], "assignment": "source", "primary": PRIMARY, **changes})

    def three_arms(self) -> list[dict[str, Any]]:
        """The charter's arms, and a `card` that is what the letter is."""
        control, letter = self.charter().model_dump(mode="json")["arms"]
        return [control, letter, {**letter, "name": "card"}]

    def promise(
        self,
        charter: Charter,
        texts: Mapping[str, str] | None = None,
        holdout: str = "0",
        rules: Literal[1, 2] = RULES,
        eligible: Eligible | None = None,
    ) -> tuple[Promise, dict[str, str]]:
        """The promise of a charter, and the texts of the files in it."""
        contracts = {f"contracts/{name}.odcs.yaml": name for name in (charter.outcomes, charter.population)}
        content = {
            "audience.sql": audience_of(charter.pilot),
            "message.txt": message_of(charter.pilot),
            **{key: (self.workspace.configs / key).read_text() for key in contracts},
            **(texts or {}),
        }
        with scratch_in(self.workspace.root / "var" / "making") as folder:
            _write(folder, content)
            digests = {name: digest_file(folder / name) for name in content}
        metrics = measured_by(charter, read_metrics(self.workspace))
        holdouts = Decimal(holdout)
        promise = Promise(
            charter=charter, metrics=metrics, files=digests, holdout_frac=holdouts, eligible=eligible, rules=rules
        )
        return promise, content

    def submit(
        self,
        *,
        charter: Mapping[str, Any] | Charter | None = None,
        arms: Mapping[str, Recorded] = GOOD,
        registered: datetime | None = LAUNCHED,
        exposed: datetime = EXPOSED,
        in_two_arms: int = 0,
        costs: Sequence[tuple[str, str]] = (("8.00", "USD"),),
        outcomes: str = "SELECT * FROM outcomes",
        exposures: str = "SELECT * FROM exposures",
        traits: str | None = None,
        pre_period: str | None = None,
        eligible: Sequence[str] | None = None,
        rules: Literal[1, 2] = RULES,
        days: int = DAYS,
        conflicts: Mapping[str, int] | None = None,
        texts: Mapping[str, str] | None = None,
        earlier: Sequence[Promise] = (),
        holdout: str = "0",
        certified: Mapping[str, Any] | None = None,
        recorded: Callable[[Path], None] | None = None,
        later: int = 0,
        alter: Callable[[Path], None] | None = None,
        preflight: Mapping[str, Any] | None = MappingProxyType({}),
        lab: Room | None = None,
        **head: Any,
    ) -> Candidate:
        """Seals a candidate; `outcomes` and `exposures` rewrite them, `traits` makes those of the sealed exposures, and
        `pre_period` what is published of each of their `unit`s, which has a number `n`: in both arms alike.

        `alter` is the hand of a Lab that lies before it seals.

        Where the charter names a SELECT of who is `eligible`, these units are; they are promised and sealed.

        The Lab's ledger has gone on by `later` entries, so that of two candidates it is the later one that has more;
        it is the one of `lab` where that is given, and else one that nobody keeps.

        `recorded` writes the data in place of `arms` and all that says more about them.

        It has an A/A certificate of the day before by which every test holds, changed as `certified` says, and a
        preflight report of an hour before that finds nothing wrong, changed as `preflight` says; None for none.
        With `earlier` versions the charter amends the last of them.
        """
        frozen = charter if isinstance(charter, Charter) else self.charter(**(charter or {}))
        listed, seal_list = _listed(eligible)
        promise, files = self.promise(frozen, texts, holdout, rules, listed)
        if earlier:
            promise = promise.amending(earlier[-1], AMENDED)
        launched = earlier[0] if earlier else promise
        if registered is not None:
            self.workspace.clock.set(registered)
            self.register(promise, {name: text.encode() for name, text in files.items()})
        registration = self.registration(launched)
        self.workspace.clock.set(JUDGED)
        with scratch_in(self.workspace.root / "var" / "making") as folder:
            _write(folder / FILES, files)
            write_json(folder / PROMISE, promise.as_json())
            if earlier:
                write_json(folder / AMENDMENTS, Earlier.of(earlier).model_dump())
            if registration is not None:
                write_json(folder / REGISTRATION, registration.as_json())
            held = {"unit in two arms": in_two_arms, **(conflicts or {})}
            if recorded is None:
                _write_data(folder / DATA, arms, exposed, held, {"outcomes": outcomes, "exposures": exposures}, days)
            else:
                recorded(folder / DATA)
            if traits is not None:
                write_traits(folder / DATA, traits)
            if rules > 1 and not (folder / DATA / "pre_period.parquet").exists():
                write_pre_period(folder / DATA, pre_period or known_before())
            seal_list(folder / DATA)
            covers = str(head.get("covers_until", rfc3339(ENDS)))
            evidence = compute(promise, PilotData.in_folder(folder / DATA), _moment(covers))
            write_json(folder / EVIDENCE, evidence.as_json())
            held_by = certificate(self.workspace, promise, evidence.data, **(certified or {}))
            write_json(folder / AA, held_by.as_json())
            write_json(folder / SPEND, _spend(costs).model_dump(mode="json"))
            shown = booked_in_the_lab(frozen.pilot, costs, later, lab)
            write_json(folder / LEDGER, shown.as_json())
            if alter is not None:
                alter(folder)
            said = {
                "workspace": self.workspace.id,
                "mode": self.workspace.mode,
                "pilot": frozen.pilot,
                "promise": promise.digest,
                "requester": frozen.requester,
                "covers_until": rfc3339(ENDS),
                "ledger": shown.end.as_json(),
            }
            candidate = seal_into(self.workspace.promotion / "intake", folder, **(said | head))
        if preflight is not None:
            self.preflight(candidate, **preflight)
        return candidate

    def register(self, promise: Promise, texts: Mapping[str, bytes]) -> None:
        """Has the gate take a promise in; one of the first rules as the gate of an earlier build did."""
        if promise.rules == RULES:
            register(self.workspace, promise, Head(0, GENESIS), texts=texts)
            return
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("promotion.registry.register.RULES", promise.rules)
            register(self.workspace, promise, Head(0, GENESIS), texts=texts)

    def registration(self, promise: Promise) -> Registration | None:
        """What the gate said of a promise that it took in; None where it never did."""
        said = registrations(open_promotion(self.workspace).entries(), self.workspace.id, self.workspace.mode)
        return next((one for one in said if one.promise == promise.digest), None)

    def preflight(self, candidate: Candidate, *, at: datetime = TRIED, **changes: Any) -> None:
        """What a Factory signs that has tried a candidate and found nothing wrong; keywords as for `passing`.

        Where the Factory has no key, or the candidate has no charter that it could try, there is none.
        """
        try:
            if find_key(self.workspace, FACTORY) is not None:
                put(self.workspace, passing(self.workspace, candidate, at, **changes))
        except BadInput:
            return

    def case(self, *, now: datetime = JUDGED, **changes: Any) -> Case:
        """A case before the gate; keywords as for `submit`."""
        changes.setdefault("preflight", {"at": now - timedelta(hours=1)})
        return self.open(self.submit(**changes), now=now)

    def open(self, candidate: Candidate, *, now: datetime = JUDGED) -> Case:
        """The case of a candidate."""
        return Case(open_promotion(self.workspace), candidate, now)

    def judge(self, *, tier: Tier = "standard", **changes: Any) -> Judgement:
        """The gate's judgement; keywords as for `case`."""
        return judge(self.case(**changes), read_settings(self.workspace).policy(tier))

    def decide(self, word: Word = "scale", *, who: str = OWNER, reason: str = REASON, **asked: Any) -> Decided:
        """The decision on `spring-email`."""
        if word == "stop":
            asked.setdefault("insight", INSIGHT)
        return decide(self.workspace, "spring-email", Asked(word, who, reason, **asked))

    def settings(self, **tiers: Any) -> None:
        """Rewrites the tiers of `configs/gate.yaml`, under which small pilots may be tried all the same.

        The stage's arms come from the source, which makes their `units` easy to read: where a tier does not say
        otherwise, that is only warned of.
        """
        path = self.workspace.configs / "gate.yaml"
        usual = {"promise_reasonable": SMALL, "randomised": {"level": "warn"}}
        said = {tier: usual | tiers.get(tier, {}) for tier in get_args(Tier)}
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "tiers": said}))

    def seed(self, seed: str) -> None:
        """Has the gate draw the same nonce for a name each time."""
        path = self.workspace.configs / "gate.yaml"
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "nonce_seed": seed}))

    def people(self, *persons: Mapping[str, Any]) -> None:
        """Rewrites `configs/people.yaml`."""
        path = self.workspace.configs / "people.yaml"
        path.write_text(yaml.safe_dump({"schema_version": 1, "people": [dict(person) for person in persons]}))


def audience_of(pilot: str) -> str:
    """The audience of a pilot: of another name than usual it is another one, of the same customers."""
    return AUDIENCE if pilot == PILOT else AUDIENCE.rstrip() + f" AND history <> -{crc32(pilot.encode())}\n"


def message_of(pilot: str) -> str:
    """What a pilot says: of another name than usual it says something else."""
    return TEMPLATE if pilot == PILOT else TEMPLATE + f"This is {pilot}.\n"


def _moment(text: str) -> datetime | None:
    try:
        return parse_rfc3339(text)
    except ValueError:
        return None  # of a manifest that a test has broken


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _write_data(
    folder: Path,
    arms: Mapping[str, Recorded],
    exposed: datetime,
    held: Mapping[str, int],
    rewritten: Mapping[str, str],
    days: int,
) -> None:
    folder.mkdir()
    for name, content in _data(*map(tuple, (arms.items(), held.items(), rewritten.items())), exposed, days):
        (folder / name).write_bytes(content)


@lru_cache(maxsize=64)
def _data(
    arms: tuple[tuple[str, Recorded], ...],
    held: tuple[tuple[str, int], ...],
    rewritten: tuple[tuple[str, str], ...],
    exposed: datetime,
    days: int,
) -> tuple[tuple[str, bytes], ...]:
    """The files of what was recorded, each made once."""
    with TemporaryDirectory() as made, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute('CREATE TABLE exposures (event_id VARCHAR, unit VARCHAR, arm VARCHAR, "at" TIMESTAMPTZ)')
        connection.execute(
            'CREATE TABLE outcomes (event_id VARCHAR, unit VARCHAR, "at" TIMESTAMPTZ, visit BIGINT, conversion BIGINT, '
            "spend DOUBLE)"
        )
        for arm, recorded in arms:
            connection.execute(
                "INSERT INTO exposures SELECT $arm || '-x' || i, $arm || '-' || i, $arm, "
                "$at + INTERVAL (i % $days) DAY + INTERVAL (i) SECOND FROM range($units) AS t(i)",
                {"arm": arm, "at": exposed, "units": recorded.units, "days": days},
            )
            connection.execute(
                "INSERT INTO outcomes SELECT $arm || '-o' || i, $arm || '-' || i, "
                "$at + INTERVAL (i % $days) DAY + INTERVAL 5 HOUR, "
                "CAST(i < $visits AS BIGINT), 0, $spend[1 + i % len($spend)] FROM range($units) AS t(i)",
                {"arm": arm, "at": exposed, "units": recorded.units, "visits": recorded.visits, "days": days,
                 "spend": list(recorded.spend)},
            )  # fmt: skip
        connection.execute(
            "CREATE TABLE conflicts (kind VARCHAR, event_id VARCHAR, unit VARCHAR, reason VARCHAR, arm VARCHAR, "
            'assigned VARCHAR, "at" VARCHAR, said VARCHAR)'
        )
        for reason, rows in held:
            connection.execute(
                "INSERT INTO conflicts SELECT 'exposures', $reason || '-' || i, 'control-' || i, $reason, NULL, NULL, "
                "NULL, NULL FROM range($rows) AS t(i)",
                {"reason": reason, "rows": rows},
            )
        for name, source in (("conflicts", "conflicts"), *((name, f"({query})") for name, query in rewritten)):
            connection.execute(
                f"COPY (SELECT * FROM {source} ORDER BY ALL) TO '{made}/{name}.parquet' (FORMAT parquet)"
            )
        return tuple((path.name, path.read_bytes()) for path in Path(made).iterdir())


def levels(value: str, column: str = "zip_code") -> str:
    """A query for the traits: what each unit has, as SQL over its `arm` and its number `n` in it."""
    numbered = "SELECT *, CAST(split_part(unit, '-', 2) AS INTEGER) AS n FROM exposures"
    return f"SELECT unit, {value} AS {column} FROM ({numbered})"


def write_traits(folder: Path, query: str) -> None:
    """Seals what a query over the sealed `exposures` says of each unit: its first column is `unit`."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW exposures AS SELECT * FROM '{folder / 'exposures.parquet'}'")
        connection.execute(f"COPY ({query}) TO '{folder / 'traits.parquet'}' (FORMAT parquet)")


def known_before(**changes: str) -> str:
    """A query for what is published of each unit, changed in some columns: SQL over its `arm` and number `n`."""
    said = ", ".join(f"{value} AS {name}" for name, value in {**KNOWN, **changes}.items())
    return f"SELECT DISTINCT ON (unit) unit, {said} FROM units"


def _listed(units: Sequence[str] | None) -> tuple[Eligible | None, Callable[[Path], object]]:
    """What a promise says of these units, and what puts their list into a folder."""
    if units is None:
        return None, lambda _: None
    with TemporaryDirectory() as made, duckdb.connect() as connection:
        path = Path(made, ELIGIBLE)
        query = f"COPY (SELECT unnest($units) AS unit ORDER BY 1) TO '{path}' (FORMAT parquet)"
        connection.execute(query, {"units": list(units)})
        content = path.read_bytes()
    return Eligible(units=len(units), digest=digest_bytes(content)), lambda folder: _put(folder, content)


def _put(folder: Path, content: bytes) -> None:
    (folder / ELIGIBLE).write_bytes(content)


def write_pre_period(folder: Path, query: str) -> None:
    """Seals what a query over the numbered `units` says that is published of each."""
    (folder / "pre_period.parquet").write_bytes(_pre_period((folder / "exposures.parquet").read_bytes(), query))


@lru_cache(maxsize=64)
def _pre_period(exposures: bytes, query: str) -> bytes:
    numbered = "coalesce(TRY_CAST(split_part(unit, '-', 2) AS BIGINT), CAST(hash(unit) % 1000 AS BIGINT))"
    with TemporaryDirectory() as made, duckdb.connect() as connection:
        told, written = Path(made, "exposures.parquet"), Path(made, "pre_period.parquet")
        told.write_bytes(exposures)
        connection.execute(
            f"CREATE VIEW units AS SELECT DISTINCT unit, arm, {numbered} AS n FROM '{told}' WHERE unit IS NOT NULL"
        )
        connection.execute(f"COPY ({query} ORDER BY unit) TO '{written}' (FORMAT parquet)")
        return written.read_bytes()


def certificate(
    here: Workspace,
    promise: Promise,
    data: Mapping[str, str],
    *,
    made: datetime = JUDGED - timedelta(days=1),
    false: Mapping[str, int] | None = None,
    unknown: Mapping[str, str] | None = None,
    **asked: Any,
) -> AaCertificate:
    """An A/A certificate on a pilot's metrics: a metric fails in 5 % of its splits, unless `false` says how often."""
    question = AaQuestion(
        **{
            "workspace": here.id,
            "mode": here.mode,
            "source": AaSource(kind="pilot", name=promise.charter.pilot, data=dict(data)),
            "definitions": {name: metric.definition for name, metric in promise.metrics.items()},
            "alpha": promise.charter.sample.alpha,
            "times": 2_000,
            "seed": 1,
            "treated_frac": 0.5,
            "software": "pilotplant",
            **asked,
        }
    )
    times, gaps = question.times, unknown or {}
    confidence = each_confidence(len([name for name in question.definitions if name not in gaps]))
    found = []
    for name in question.definitions:
        if name in gaps:
            found.append(AaMetric(metric=name, units=200, verdict="unevaluable", reason=gaps[name]))
            continue
        alarms = (false or {}).get(name, times // 20)
        rate, low, high = interval(alarms, times, confidence)
        counts = (times - (BINS - 1) * (times // BINS), *[times // BINS] * (BINS - 1))
        found.append(
            AaMetric(metric=name, units=200, false_positives=alarms, rate=rate, low=low, high=high, p_counts=counts,
                     verdict=verdict(low, question.alpha), reason=f"{alarms} of {times} splits")
        )  # fmt: skip
    return AaCertificate(made=made, asked=question, metrics=tuple(found))


def booked_in_the_lab(pilot: str, costs: Sequence[tuple[str, str]], later: int = 0, lab: Room | None = None) -> Excerpt:
    """What a Lab whose first pilot this is shows of its ledger: the launch, each cost, and so many later entries."""
    said: list[tuple[str, dict[str, Any]]] = [
        ("launched", {"reserved": {"amount": "10.00", "currency": "USD"}}),
        *(
            ("spent", {"id": entry.id, "money": entry.money.as_json(), "purpose": entry.purpose})
            for entry in _spend(costs).entries
        ),
        *[("recorded", {"rows": 1})] * later,
    ]
    chain = chained(pilot, *said) if lab is None else entered(lab, pilot, *said)
    return excerpt(chain, Head(0, GENESIS), Head(len(chain), chain[-1].hash), pilot)


def entered(room: Room, subject: str, *said: tuple[str, dict[str, Any]]) -> list[Entry]:
    """All entries of a room's ledger, after these were written to it."""
    with room.transaction() as connection:
        for kind, body in said:
            room.write(connection, kind, subject, body)
    return list(room.entries())


def chained(subject: str, *said: tuple[str, dict[str, Any]], after: Head = Head(0, GENESIS)) -> list[Entry]:
    """Entries of a ledger, each chained to the one before."""
    found: list[Entry] = []
    for seq, (kind, body) in enumerate(said, start=after.seq + 1):
        prev = found[-1].hash if found else after.hash
        told = {"seq": seq, "at": rfc3339(EXPOSED), "kind": kind, "subject": subject, "prev": prev}
        found.append(Entry(**told, body=body, hash=entry_hash(**told, body=digest_json(body))))
    return found


def _spend(costs: Sequence[tuple[str, str]]) -> Spend:
    entries = [
        SpendEntry(id=f"s{n}", at=rfc3339(EXPOSED), money=Money(amount=amount, currency=currency), purpose="letters")
        for n, (amount, currency) in enumerate(costs)
    ]
    return Spend(entries=tuple(entries))


def do_decide(root: Path, word: Word, reason: str = REASON) -> None:
    """What a child process does: the decision, as soon as no file `wait` is there; a refusal is exit code 3.

    Whoever is refused leaves the words behind, as `told-<process>`.
    """
    arguments = {"insight": INSIGHT} if word == "stop" else {}
    while (root / "wait").exists():
        time.sleep(0.005)
    try:
        decide(open_workspace(root), "spring-email", Asked(word, OWNER, reason, **arguments))
    except Refused as refused:
        (root / f"told-{os.getpid()}").write_text(refused.what)
        sys.exit(Refused.exit_code)
