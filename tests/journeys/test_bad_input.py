"""Bad input at the command line: every case says what, where and what to do, and changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import shared.evidence.compute
from pilotplant import app
from shared.state.workspace import Workspace
from shared.trust.keys import KeyStore
from tests.lab_makers import (
    AFTER,
    CARD,
    CHARTER,
    DEADLINE,
    INSIDE,
    OWNER,
    PILOT,
    Stage,
    draft,
    exposures_only,
    fingerprint,
    results,
    stage_copy,
    write_csv,
)
from tests.suites import each_evidence_once

BAD, REFUSED, UNDECIDED = 2, 3, 4
Prepare = Callable[[Workspace, Path], object]
WINNER = ["scale", "--arm", "letter", "--as", OWNER, "--reason", "visits rose far beyond chance"]
STOP = ["stop", "--as", OWNER, "--reason", "nothing in it for us", "--insight", "letters do it"]


@dataclass(frozen=True, slots=True)
class Case:
    """One mistake.

    Attributes:
        name: of the test.
        stage: how far the pilot is.
        arguments: the command; `{tmp}` is a folder of the test's own, `{root}` the workspace.
        code: the exit code.
        what: words of the message.
        where: words that name the place.
        prepare: makes the mistake, before the workspace is photographed.
    """

    name: str
    stage: Stage
    arguments: list[str]
    code: int
    what: str
    where: str
    prepare: Prepare = lambda *_: None


def charter(*changes: tuple[str, str]) -> Prepare:
    """Writes the draft with a mistake in it."""
    return lambda workspace, _tmp: draft(workspace, PILOT, (CARD, ""), *changes)


def replaced(file: str, old: str, new: str) -> Prepare:
    """Puts a mistake into a file of the workspace."""

    def prepare(workspace: Workspace, _tmp: Path) -> None:
        path = workspace.root / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return prepare


def written(file: str, content: str | bytes) -> Prepare:
    """Writes a file of the workspace anew."""

    def prepare(workspace: Workspace, _tmp: Path) -> None:
        path = workspace.root / file
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return prepare


def removed(file: str) -> Prepare:
    """Removes a file of the workspace."""
    return lambda workspace, _tmp: (workspace.root / file).unlink()


def given(name: str, content: str | bytes) -> Prepare:
    """Writes a file outside the workspace."""

    def prepare(workspace: Workspace, tmp: Path) -> None:
        workspace.clock.set(INSIDE)
        (tmp / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return prepare


def reported(name: str, change: Callable[[list[dict[str, object]]], object]) -> Prepare:
    """Writes the pilot's results with a mistake in them."""

    def prepare(workspace: Workspace, tmp: Path) -> None:
        workspace.clock.set(INSIDE)
        rows = results(workspace)
        change(rows)
        write_csv(tmp / name, rows)

    return prepare


def at(moment: object) -> Prepare:
    """Sets the rehearsal's clock."""
    return lambda workspace, _tmp: workspace.clock.set(moment)  # type: ignore[arg-type]


def both(*steps: Prepare) -> Prepare:
    """One after the other."""
    return lambda workspace, tmp: [step(workspace, tmp) for step in steps]


def ran(*arguments: str) -> Prepare:
    """A command that goes well."""

    def prepare(workspace: Workspace, _tmp: Path) -> None:
        assert app._exit_code(["--workspace", str(workspace.root), *arguments]) == 0

    return prepare


def another_key(workspace: Workspace, _tmp: Path) -> None:
    """Another private key lies under the owner's name."""
    path = KeyStore(workspace).folder / f"{OWNER}.pem"
    path.unlink()
    KeyStore(workspace).create(OWNER, "owner")


def without(column: str) -> Callable[[list[dict[str, object]]], object]:
    """Drops a column."""
    return lambda rows: [row.pop(column) for row in rows]


LAUNCH, CHECK = ["lab", "launch", PILOT], ["lab", "check", PILOT]
PLACE = "pilots/spring-mail/charter.yaml"


def bad_charter(name: str, old: str, new: str, what: str, where: str = PLACE, code: int = BAD) -> Case:
    """A draft with one mistake, launched."""
    return Case(name, "loaded", LAUNCH, code, what, where, charter((old, new)))


def line(text: str) -> str:
    """The place of a text in the charter without its third arm."""
    lines = CHARTER.replace(CARD, "").splitlines()
    return f"charter.yaml, line {next(n for n, content in enumerate(lines, 1) if text in content)}"


CHARTERS = [
    bad_charter("broken-yaml", "arms:\n", "arms: [\n", "this is not YAML", "charter.yaml, line"),
    bad_charter(
        "unknown-key", "decide_by:", "decide_until: x\ndecide_by:", "unknown key `decide_until`", line("decide_by")
    ),
    bad_charter("misspelt-key", "secondary:", "secundary:", "unknown key `secundary`", line("secondary")),
    bad_charter(
        "key-twice", "secondary:", "population: b\nsecondary:", "`population` is given twice", line("secondary")
    ),
    bad_charter("wrong-type", "units_per_arm: 150", "units_per_arm: many", "sample.units_per_arm", line("sample:")),
    bad_charter(
        "dates-reversed",
        "start: 2026-01-05, end: 2026-01-19",
        "start: 2026-01-19, end: 2026-01-05",
        "it ends (2026-01-05) before it has begun",
        line("time_box"),
    ),
    bad_charter(
        "not-whole-weeks",
        "end: 2026-01-19",
        "end: 2026-01-17",
        "12 days are not whole weeks; end on 2026-01-12",
        line("time_box"),
    ),
    bad_charter("no-such-day", "end: 2026-01-19", "end: 2026-02-30", "cannot be read", line("time_box")),
    bad_charter(
        "decides-too-early",
        "decide_by: 2026-01-26",
        "decide_by: 2026-01-18",
        "decide_by (2026-01-18) is before the time box ends (2026-01-19)",
    ),
    bad_charter("no-owner", "owner: owner@example.com\n", "", "`owner` is missing"),
    bad_charter("owner-is-no-address", "owner: owner@example.com", "owner: the boss", "owner", line("owner:")),
    bad_charter(
        "no-arms",
        CHARTER[CHARTER.index("arms:") : CHARTER.index(CARD)],
        "arms: []\n",
        "at least two arms, this one has 0",
    ),
    bad_charter(
        "one-arm",
        CHARTER[CHARTER.index("  - name: letter") : CHARTER.index(CARD)],
        "",
        "at least two arms, this one has 1",
    ),
    bad_charter(
        "two-controls",
        "  - name: control\n",
        "  - name: control\n  - name: nothing\n",
        "these have none: control, nothing",
    ),
    bad_charter("no-control", "  - name: control\n", "", "at least two arms, this one has 1"),
    bad_charter("same-arm-twice", "  - name: letter\n", "  - name: control\n", "two arms have the same name"),
    bad_charter(
        "weight-of-zero",
        "  - name: control\n",
        "  - name: control\n    weight: 0\n",
        "arms.0.weight",
        line("- name: control")[:-2],
    ),
    bad_charter("unknown-metric", "metric: visit", "metric: visits", "there is no metric `visits`", "metrics.yaml"),
    bad_charter(
        "margin-of-the-wrong-sign", "margin: -0.9", "margin: 0.9", "the margin of guardrail `spend` is 0.9", PILOT
    ),
    bad_charter("metric-in-two-parts", "secondary: [conversion]", "secondary: [visit]", "a metric has one part only"),
    bad_charter(
        "unknown-population",
        "population: customers",
        "population: clients",
        "the snapshot has no table `clients`",
        "snapshot",
    ),
    bad_charter(
        "unknown-tier", "requester: req", "risk_tier: reckless\nrequester: req", "risk_tier", line("requester:")
    ),
    bad_charter("personal-field", "fields: [zip_code]", "fields: [zip_code, email]", "column `email`"),
    bad_charter(
        "unknown-owner", "owner: owner@", "owner: stranger@", "nobody is known as stranger@example.com", "people.yaml"
    ),
    bad_charter("own-request", "owner: owner@", "owner: requester@", "would decide on their own request", code=REFUSED),
    bad_charter("too-dear", "media: 100.00", "media: 20000.01", "the pilot asks for 20,000.01 USD", code=REFUSED),
    bad_charter("another-currency", "currency: USD", "currency: EUR", "the pilot's budget is in EUR"),
    bad_charter(
        "budget-below-zero", "media: 100.00", "media: -1.00", "no part of a budget is below zero", line("budget:")
    ),
    bad_charter("budget-in-mills", "media: 100.00", "media: 100.005", "at most two decimals", line("budget:")),
    bad_charter("too-many-units", "units_per_arm: 150", "units_per_arm: 301", "the smallest can get 300", code=REFUSED),
    bad_charter(
        "begun-already", "start: 2026-01-05", "start: 2025-12-29", "the time box began on 2025-12-29", code=REFUSED
    ),
    bad_charter("bad-schedule", "0 9 * * 1", "every Monday", "a schedule has five cron fields", "charter.yaml, line"),
    bad_charter(
        "file-elsewhere",
        "audience: audience.sql",
        "audience: ../../workspace.json",
        "files lie beside the charter",
        "charter.yaml, line",
    ),
    bad_charter(
        "another-pilots-name", "pilot: spring-mail", "pilot: summer-mail", "the charter says it is pilot `summer-mail`"
    ),
    bad_charter(
        "no-audience-file", "audience: audience.sql", "audience: people.sql", "there is no such file", "people.sql"
    ),
]

FILES = "pilots/spring-mail"
AUDIENCES = [
    Case(
        "two-statements",
        "loaded",
        CHECK,
        REFUSED,
        "one",
        "audience.sql",
        both(charter(), written(f"{FILES}/audience.sql", "SELECT 1 AS unit; DROP TABLE customers")),
    ),
    Case(
        "unknown-table",
        "loaded",
        LAUNCH,
        REFUSED,
        "orders",
        "audience.sql",
        both(charter(), written(f"{FILES}/audience.sql", "SELECT customer_id AS unit FROM orders")),
    ),
    Case(
        "reads-a-file",
        "loaded",
        LAUNCH,
        REFUSED,
        "read_csv",
        "audience.sql",
        both(charter(), written(f"{FILES}/audience.sql", "SELECT column0 AS unit FROM read_csv('/etc/passwd')")),
    ),
    Case(
        "unknown-variable",
        "loaded",
        LAUNCH,
        REFUSED,
        "surname",
        "message.txt",
        both(charter(), written(f"{FILES}/message.txt", "Dear {{ surname }}")),
    ),
    Case(
        "template-in-latin-1",
        "loaded",
        LAUNCH,
        BAD,
        "not in UTF-8",
        "message.txt, line 2",
        both(charter(), written(f"{FILES}/message.txt", "Hello\nSchön".encode("latin-1"))),
    ),
    Case(
        "empty-template",
        "loaded",
        LAUNCH,
        BAD,
        "the file is empty",
        "message.txt",
        both(charter(), written(f"{FILES}/message.txt", "\n")),
    ),
]

CONFIGS = [
    Case(
        "metric-over-an-unknown-column",
        "loaded",
        LAUNCH,
        BAD,
        "reads column `basket`",
        "configs/metrics.yaml",
        both(charter(), replaced("configs/metrics.yaml", "column: spend", "column: basket")),
    ),
    Case(
        "unknown-key-in-gate-yaml",
        "submitted",
        ["promote", "check", PILOT],
        BAD,
        "unknown key",
        "gate.yaml, line",
        replaced("configs/gate.yaml", "sample_ratio:", "sample_ration:"),
    ),
    Case(
        "empty-lab-yaml",
        "launched",
        ["lab", "list"],
        BAD,
        "the file is empty",
        "lab.yaml",
        written("configs/lab.yaml", ""),
    ),
    Case(
        "person-twice",
        "launched",
        ["lab", "new", "autumn-mail"],
        BAD,
        "named twice",
        "people.yaml",
        replaced("configs/people.yaml", "requester@example.com", OWNER),
    ),
    Case(
        "damaged-mark",
        "launched",
        ["status"],
        BAD,
        "the workspace's mark is damaged",
        "workspace.json",
        written("workspace.json", "{"),
    ),
]

RECORD = ["lab", "record", PILOT, "{tmp}/results.csv"]
RECORDS = [
    Case("empty-file", "launched", RECORD, BAD, "the file is empty", "results.csv", given("results.csv", "")),
    Case(
        "header-only",
        "launched",
        RECORD,
        BAD,
        "the file has no rows",
        "results.csv",
        given("results.csv", "event_id,unit,arm,at\n"),
    ),
    Case(
        "latin-1",
        "launched",
        RECORD,
        BAD,
        "not in UTF-8",
        "results.csv, line 2",
        given("results.csv", "event_id,unit,arm,at\ncafé,u,control,2026-01-06\n".encode("latin-1")),
    ),
    Case(
        "missing-column",
        "launched",
        RECORD,
        BAD,
        "column `visit` is missing",
        "results.csv",
        reported("results.csv", without("visit")),
    ),
    Case(
        "unknown-column",
        "launched",
        RECORD,
        BAD,
        "column `email` is unknown",
        "results.csv",
        reported("results.csv", lambda rows: [row.update(email="x@example.com") for row in rows]),
    ),
    Case(
        "not-pseudonymised",
        "launched",
        RECORD,
        BAD,
        "neither a column of units nor one of customers' ids",
        "results.csv",
        reported("results.csv", without("unit")),
    ),
    Case(
        "ragged",
        "launched",
        RECORD,
        BAD,
        "the line has 2 values, and the header 4 columns",
        "results.csv, line 3",
        given("results.csv", "event_id,unit,arm,at\n1,u,control,2026-01-06\n2,u\n3,u,control,2026-01-06,x,y\n"),
    ),
    Case(
        "binary-file", "launched", RECORD, BAD, "", "results.csv", given("results.csv", b"PK\x03\x04\x00\x00\xff\xfe")
    ),
    Case(
        "not-parquet",
        "launched",
        ["lab", "record", PILOT, "{tmp}/results.parquet"],
        BAD,
        "cannot be read as a parquet table",
        "results.parquet",
        given("results.parquet", "event_id\n1\n"),
    ),
    Case(
        "excel-file",
        "launched",
        ["lab", "record", PILOT, "{tmp}/results.xlsx"],
        BAD,
        "files of type `.xlsx` are not read",
        "results.xlsx",
        given("results.xlsx", b"PK\x03\x04"),
    ),
    Case(
        "missing-file",
        "launched",
        ["lab", "record", PILOT, "{tmp}/nothing.csv"],
        BAD,
        "there is no such file",
        "nothing.csv",
    ),
    Case("folder-as-file", "launched", ["lab", "record", PILOT, "{tmp}"], BAD, "there is no such file", "files"),
    Case(
        "unknown-kind",
        "launched",
        [*RECORD, "--kind", "clicks"],
        BAD,
        "`clicks` is not a kind of record",
        "--kind",
        reported("results.csv", lambda rows: rows),
    ),
    Case(
        "after-the-end",
        "launched",
        RECORD,
        REFUSED,
        "takes no more data",
        PILOT,
        both(reported("results.csv", lambda rows: rows), at(AFTER)),
    ),
    Case(
        "unknown-pilot",
        "launched",
        ["lab", "record", "summer-mail", "{tmp}/results.csv"],
        BAD,
        "there is no pilot summer-mail",
        "workspace",
    ),
    Case("not-launched", "loaded", RECORD, BAD, f"pilot {PILOT} has not been launched", "workspace"),
]

LABS = [
    Case(
        "launch-with-other-content",
        "launched",
        LAUNCH,
        REFUSED,
        "launched with other content (changed since: files.message.txt)",
        "frozen",
        written(f"{FILES}/message.txt", "Something else\n"),
    ),
    Case(
        "check-of-nothing",
        "loaded",
        ["lab", "check", "summer-mail"],
        BAD,
        "there is no charter of a pilot summer-mail",
        "summer-mail/charter.yaml",
    ),
    Case(
        "name-of-a-draft", "loaded", ["lab", "new", "Summer Mail"], BAD, "`Summer Mail` is not a pilot's name", "NAME"
    ),
    Case(
        "unknown-template",
        "loaded",
        ["lab", "new", "summer-mail", "--template", "tv"],
        BAD,
        "there is no template `tv`",
        "--template",
    ),
    Case("draft-that-is-there", "loaded", ["lab", "new", PILOT], REFUSED, f"there is a pilot {PILOT} already", PILOT),
    Case(
        "amend-a-draft",
        "loaded",
        ["lab", "amend", PILOT, "--reason", "the printer was late"],
        BAD,
        f"pilot {PILOT} has not been launched",
        "workspace",
    ),
    Case(
        "amend-without-a-reason",
        "launched",
        ["lab", "amend", PILOT, "--reason", "typo"],
        BAD,
        "needs a reason that others understand",
        "--reason",
    ),
    Case(
        "amend-what-decides",
        "recorded",
        ["lab", "amend", PILOT, "--reason", "the printer was late"],
        REFUSED,
        "after the first exposure these cannot be changed: primary.minimum_effect",
        f"pilots/{PILOT}/charter.yaml",
        replaced(f"pilots/{PILOT}/charter.yaml", "minimum_effect: 0.05", "minimum_effect: 0.01"),
    ),
    Case(
        "amend-with-a-mistake",
        "launched",
        ["lab", "amend", PILOT, "--reason", "the printer was late"],
        BAD,
        "decided_by",
        "charter.yaml, line",
        replaced(f"pilots/{PILOT}/charter.yaml", "decide_by:", "decided_by:"),
    ),
    Case(
        "amend-after-the-end",
        "recorded",
        ["lab", "amend", PILOT, "--reason", "the printer was late"],
        REFUSED,
        "takes no more amendments",
        PILOT,
        both(replaced(f"pilots/{PILOT}/charter.yaml", "will: bring visits", "will: bring joy"), at(AFTER)),
    ),
    Case(
        "spend-above-the-budget",
        "launched",
        ["lab", "spend", PILOT, "100.01", "--for", "stamps"],
        REFUSED,
        "100.01 USD is more than the 100.00 USD",
        PILOT,
    ),
    Case(
        "spend-below-zero",
        "launched",
        ["lab", "spend", PILOT, "--for", "stamps", "--", "-5"],
        BAD,
        "`-5` is not a cost",
        "AMOUNT",
    ),
    Case(
        "spend-a-word",
        "launched",
        ["lab", "spend", PILOT, "abc", "--for", "stamps"],
        BAD,
        "`abc` is not an amount of money",
        "AMOUNT",
    ),
    Case(
        "spend-for-nothing",
        "launched",
        ["lab", "spend", PILOT, "5", "--for", " "],
        BAD,
        "a cost needs a purpose",
        "--for",
    ),
    Case(
        "spend-after-the-end",
        "launched",
        ["lab", "spend", PILOT, "5", "--for", "stamps"],
        REFUSED,
        "takes no more costs",
        PILOT,
        at(AFTER),
    ),
    Case(
        "a-key-used-before",
        "launched",
        ["lab", "spend", PILOT, "5", "--for", "paper", "--id", "k"],
        REFUSED,
        "the key `k` was used for 5.00 USD: stamps",
        PILOT,
        ran("lab", "spend", PILOT, "5", "--for", "stamps", "--id", "k"),
    ),
    Case("analyse-nothing", "launched", ["lab", "analyse", PILOT], REFUSED, "has no exposures yet", PILOT),
    Case("submit-without-analysis", "recorded", ["lab", "submit", PILOT], REFUSED, "has not been analysed", PILOT),
    Case(
        "end-without-reason",
        "launched",
        ["lab", "end", PILOT, "--reason", " "],
        BAD,
        "closing early needs a reason",
        "--reason",
    ),
    Case(
        "end-after-the-end",
        "recorded",
        ["lab", "end", PILOT, "--reason", "late"],
        REFUSED,
        "its time box is over",
        PILOT,
        at(AFTER),
    ),
    Case(
        "assign-strangers",
        "launched",
        ["lab", "assign", PILOT, "{tmp}/units.csv", "--out", "{tmp}/arms.csv"],
        BAD,
        "unit `u_1` is not of the population",
        "units.csv",
        given("units.csv", "unit\nu_1\n"),
    ),
    Case(
        "assign-into-nowhere",
        "launched",
        ["lab", "assign", PILOT, "--out", "{tmp}/no/arms.csv"],
        BAD,
        "there is no such folder",
        "no",
    ),
    Case(
        "sql-out-of-the-box",
        "launched",
        ["lab", "sql", PILOT, "ATTACH 'other.duckdb'"],
        REFUSED,
        "",
        f"lab sql {PILOT}",
    ),
    Case("sql-with-a-slip", "launched", ["lab", "sql", PILOT, "SELEC 1"], REFUSED, "", f"lab sql {PILOT}"),
]

GATE = [
    Case(
        "check-before-submission",
        "recorded",
        ["promote", "check", PILOT],
        BAD,
        f"no candidate of `{PILOT}` is before the gate",
        "intake",
    ),
    Case(
        "explain-an-unknown-check",
        "submitted",
        ["promote", "check", PILOT, "--explain", "luck"],
        BAD,
        "there is no check `luck`",
        "--explain",
    ),
    Case(
        "another-word",
        "submitted",
        ["promote", "decide", PILOT, "approve", *STOP[1:]],
        BAD,
        "`approve` is not a decision",
        "WORD",
    ),
    Case(
        "stop-without-insight",
        "submitted",
        ["promote", "decide", PILOT, *STOP[:5]],
        BAD,
        "stopped with an insight",
        "--insight",
    ),
    Case(
        "reason-too-short",
        "submitted",
        ["promote", "decide", PILOT, *STOP[:4], "no", *STOP[5:]],
        BAD,
        "needs a reason",
        "--reason",
    ),
    Case("which-arm", "submitted", ["promote", "decide", PILOT, "scale", *WINNER[3:]], BAD, "which arm", "--arm"),
    Case(
        "unknown-arm",
        "submitted",
        ["promote", "decide", PILOT, "scale", "--arm", "leaflet", *WINNER[3:]],
        BAD,
        "`leaflet` is not an arm that can be scaled",
        PILOT,
    ),
    Case(
        "the-control",
        "submitted",
        ["promote", "decide", PILOT, "scale", "--arm", "control", *WINNER[3:]],
        BAD,
        "`control` is not an arm that can be scaled",
        PILOT,
    ),
    Case(
        "arm-with-stop",
        "submitted",
        ["promote", "decide", PILOT, *STOP, "--arm", "letter"],
        BAD,
        "--arm goes with *scale*",
        "--arm",
    ),
    Case(
        "wrong-person",
        "submitted",
        ["promote", "decide", PILOT, "stop", "--as", "requester@example.com", *STOP[3:]],
        REFUSED,
        "requester@example.com does not own this decision",
        PILOT,
    ),
    Case(
        "too-late",
        "submitted",
        ["promote", "decide", PILOT, *STOP],
        REFUSED,
        "the deadline has passed",
        PILOT,
        # That silence was *stop* is written down by the first command that meets it.
        both(at(DEADLINE), ran("promote", "settle")),
    ),
    Case(
        "not-enrolled",
        "submitted",
        ["promote", "decide", PILOT, *STOP],
        REFUSED,
        f"no key is enrolled for {OWNER}",
        "keys",
        removed(f"var/promotion/keys/{OWNER}.yaml"),
    ),
    Case(
        "wrong-key",
        "submitted",
        ["promote", "decide", PILOT, *STOP],
        REFUSED,
        "is not the one that is enrolled",
        OWNER,
        another_key,
    ),
    Case(
        "no-private-key",
        "submitted",
        ["promote", "decide", PILOT, *STOP],
        REFUSED,
        "is not on this machine",
        f"{OWNER}.pem",
        removed(f"var/rehearsal-keys/{OWNER}.pem"),
    ),
    Case(
        "decided-otherwise",
        "submitted",
        ["promote", "decide", PILOT, "revise", *STOP[1:5]],
        REFUSED,
        "it was decided before: stop",
        PILOT,
        ran("promote", "decide", PILOT, *STOP),
    ),
    Case(
        "gate-says-no",
        "submitted",
        ["promote", "decide", PILOT, "scale", "--arm", "card", *WINNER[3:]],
        REFUSED,
        "the gate does not admit arm `card`: refuse",
        "primary_effect",
    ),
    Case(
        "gate-cannot-say",
        "submitted",
        ["promote", "decide", PILOT, *WINNER],
        UNDECIDED,
        "the gate does not admit arm `letter`: undecided",
        "data_quality",
        replaced("configs/gate.yaml", "  standard:\n", "  standard:\n    data_quality: {rows_min: 700}\n"),
    ),
    Case(
        "enrol-a-stranger",
        "submitted",
        ["promote", "enrol", "stranger@example.com"],
        BAD,
        "nobody is known as",
        "people.yaml",
    ),
    *(
        Case(
            f"{words[0]}-as-somebody-unknown",
            "submitted",
            ["promote", *words, "--as", "stranger@example.com"],
            BAD,
            "nobody is known as stranger@example.com",
            "people.yaml",
        )
        for words in (
            ["queue"],
            ["check", PILOT],
            ["summary", PILOT],
            ["decide", PILOT, *STOP[:1], *STOP[3:]],
            ["waive", PILOT, "novelty", "--reason", "it is known by now", "--until", "2026-12-31"],
        )
    ),
    Case(
        "log-of-an-unknown-pilot",
        "submitted",
        ["promote", "log", "sprng-mail"],
        BAD,
        "the gate's ledger has no entry on `sprng-mail`",
        "promote log",
    ),
    Case("an-unknown-check", "submitted", ["promote", "checks", "luck"], BAD, "there is no check `luck`", ""),
    Case("verify-an-unknown-candidate", "submitted", ["promote", "verify", "sha256:" + "0" * 64], BAD, "", ""),
    Case(
        "insights-on-an-unknown-metric",
        "submitted",
        ["lab", "insights", "--metric", "vist"],
        BAD,
        "there is no metric `vist`",
        "metrics.yaml",
    ),
    Case("show-an-unknown-pilot", "submitted", ["lab", "show", "sprng-mail"], BAD, "there is no pilot sprng-mail", ""),
]

FACTORY = [
    Case(
        "log-of-an-unknown-release",
        "submitted",
        ["factory", "log", "--release", "sprng-mail-letter"],
        BAD,
        "there is no release `sprng-mail-letter`",
        "ledger",
    ),
    Case("tables-of-another-name", "submitted", ["factory", "tables", "custmers"], BAD, "custmers", ""),
    Case(
        "load-an-unknown-table",
        "loaded",
        ["factory", "load", "orders", "{tmp}/orders.csv"],
        BAD,
        "orders",
        "contracts",
        given("orders.csv", "id\n1\n"),
    ),
    Case(
        "run-an-unknown-release",
        "submitted",
        ["factory", "run", "spring-mail-letter"],
        BAD,
        "there is no release `spring-mail-letter`",
        "",
    ),
    Case("other-mode", "loaded", ["init", "{root}"], REFUSED, "this is a rehearsal workspace", "workspace"),
    Case(
        "folder-not-empty",
        "loaded",
        ["init", "{tmp}"],
        BAD,
        "the folder is not empty",
        "files",
        given("mine.txt", "mine"),
    ),
]

CASES = [*CHARTERS, *AUDIENCES, *CONFIGS, *RECORDS, *LABS, *GATE, *FACTORY]


@pytest.fixture(autouse=True, scope="module")
def _each_evidence_once() -> Iterator[None]:
    """The mistakes lie elsewhere than in what is judged."""
    with each_evidence_once(shared.evidence.compute):
        yield


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_explained_and_changes_nothing(case, request, tmp_path, capsys):
    workspace = stage_copy(request, tmp_path / "workspace", case.stage)
    files = tmp_path / "files"
    files.mkdir()
    case.prepare(workspace, files)
    arguments = [argument.format(tmp=files, root=workspace.root) for argument in case.arguments]
    before = fingerprint(workspace.root)
    capsys.readouterr()

    code = app._exit_code(["--workspace", str(workspace.root), *with_json(arguments)])
    printed = capsys.readouterr()
    assert code == case.code, printed
    assert "Traceback" not in printed.err
    error = the_error(json.loads(printed.out))
    assert set(error) == {"what", "where", "expected", "remedy"}
    assert case.what in error["what"]
    assert case.where in (error["where"] or ""), error
    assert error["expected"] or error["remedy"], error

    code = app._exit_code(["--workspace", str(workspace.root), *arguments])
    printed = capsys.readouterr()
    assert code == case.code
    assert "Traceback" not in printed.err
    told = printed.err + printed.out
    assert error["what"] in told
    assert (error["remedy"] or error["expected"]) in told
    assert fingerprint(workspace.root) == before
    assert not list(workspace.root.rglob(".scratch.*"))


def with_json(arguments: list[str]) -> list[str]:
    """The command with --json, which stands before a `--`."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:place], "--json", *arguments[place:]]


def the_error(printed):
    """The error in what was printed; `lab check` finds problems instead, each with the parts of one."""
    if "problems" in printed:
        return printed["problems"][0]
    assert set(printed) == {"error"}
    return printed["error"]


def test_a_misspelt_key_is_met_with_a_suggestion(request, tmp_path, capsys):
    workspace = stage_copy(request, tmp_path / "workspace", "loaded")
    draft(workspace, PILOT, ("secondary:", "secundary:"))
    assert app._exit_code(["--workspace", str(workspace.root), *LAUNCH]) == BAD
    assert "did you mean `secondary`?" in capsys.readouterr().err


def test_there_is_no_workspace(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PILOTPLANT_WORKSPACE", raising=False)
    for arguments in (["status", "--json"], ["--workspace", str(tmp_path), "lab", "list", "--json"]):
        assert app._exit_code(arguments) == BAD
        error = json.loads(capsys.readouterr().out)["error"]
        assert error["what"] == "there is no workspace here"
        assert str(tmp_path) in error["where"]
        assert "pilotplant init DIR" in error["remedy"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["lab", "lunch"], "lunch"), (["lab", "spend", PILOT], "AMOUNT"), (["promote", "check"], "name one pilot")],
)
def test_what_is_no_command_ends_with_two_and_says_so(arguments, told, request, tmp_path, capsys):
    workspace = stage_copy(request, tmp_path / "workspace", "loaded")
    assert app._exit_code(["--workspace", str(workspace.root), *arguments]) == BAD
    assert told.lower() in capsys.readouterr().err.lower()


@pytest.mark.check
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["lab", "check", PILOT], BAD),
        (["lab", "record", PILOT, "nothing.csv"], BAD),
        (["lab", "spend", PILOT, "900", "--for", "stamps"], REFUSED),
    ],
)
def test_a_real_process_says_the_same_and_ends_with_the_same_code(arguments, code, request, tmp_path):
    workspace = stage_copy(request, tmp_path / "workspace", "launched")
    draft(workspace, PILOT, ("decide_by:", "decided_by:"))
    command = [sys.executable, "-m", "pilotplant", "--workspace", str(workspace.root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert done.stderr.count("what to do:") == 1
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == code
    assert set(json.loads(done.stdout)) == {"error"}


def test_the_stages_results_can_be_recorded_at_all(request, tmp_path):
    """The mistakes above are mistakes: without one, the same command goes well."""
    workspace = stage_copy(request, tmp_path / "workspace", "launched")
    workspace.clock.set(INSIDE)
    file = write_csv(tmp_path / "results.csv", exposures_only(results(workspace)))
    assert app._exit_code(["--workspace", str(workspace.root), "lab", "record", PILOT, str(file)]) == 0
