"""Intake: what a file says is taken once, whole or not at all, and never unmasked."""

from __future__ import annotations

import re
from datetime import timedelta
from zlib import crc32

import duckdb
import pytest

from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.budget.reservations import reserve
from lab.budget.spend_ledger import spend
from lab.intake.intake import parts, record, require_some_kind
from lab.launch.launch import end
from lab.overview.portfolio import lines
from lab.pilots.pilot import get_pilot
from lab.sandbox.sandbox import run_sql
from lab.state import open_lab
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.core.errors import BadInput, Refused
from shared.core.money import parse_amount
from tests.lab_makers import (
    AFTER,
    INSIDE,
    OWNER,
    PILOT,
    STARTS,
    Step,
    copy_of,
    do_record,
    exposures_only,
    outcomes_only,
    results,
    run_child,
    start_child,
    write_csv,
)


@pytest.fixture
def inside(launched):
    """An hour before the end."""
    launched.clock.set(INSIDE)
    return launched


def rows(workspace, part):
    """Every row of a kind that counts, sorted."""
    room = open_lab(workspace)
    paths = parts(room, get_pilot(room, PILOT), part)
    return sorted(row for path in paths for row in duckdb.execute(f"SELECT * FROM '{path}'").fetchall())


def counts(workspace):
    """How many exposures, outcomes and conflicts count."""
    return tuple(len(rows(workspace, part)) for part in ("exposures", "outcomes", "conflicts"))


def test_a_combined_file_holds_exposures_and_outcomes(inside, tmp_path):
    done = record(inside, PILOT, write_csv(tmp_path / "all.csv", results(inside)))
    assert (done.exposures, done.outcomes, done.duplicates, done.conflicts) == (600, 600, 0, {})
    assert counts(inside) == (600, 600, 0)


def test_exposures_and_outcomes_may_come_in_files_of_their_own_and_as_parquet(inside, tmp_path):
    sheet = write_csv(tmp_path / "exposures.csv", exposures_only(results(inside)))
    duckdb.execute(f"COPY (FROM '{sheet}') TO '{tmp_path / 'exposures.parquet'}' (FORMAT parquet)")
    done = record(inside, PILOT, tmp_path / "exposures.parquet")
    assert (done.exposures, done.outcomes) == (600, 0)
    done = record(inside, PILOT, write_csv(tmp_path / "outcomes.csv", outcomes_only(results(inside))))
    assert (done.exposures, done.outcomes) == (0, 600)
    assert counts(inside) == (600, 600, 0)


def test_a_combined_row_without_an_outcome_is_an_exposure_only(inside, tmp_path):
    content = results(inside)[:10]
    for line in content[:4]:
        line |= {"at": None, "visit": None, "conversion": None, "spend": None}
    done = record(inside, PILOT, write_csv(tmp_path / "some.csv", content))
    assert (done.exposures, done.outcomes, done.conflicts) == (10, 6, {})


def test_a_combined_row_whose_outcome_has_no_time_is_held_back_and_not_lost(inside, tmp_path):
    content = results(inside)[:10]
    content[0] |= {"at": None, "visit": 1}
    done = record(inside, PILOT, write_csv(tmp_path / "some.csv", content))
    assert (done.exposures, done.outcomes, done.conflicts) == (10, 9, {"at is missing": 1})


def test_the_same_file_again_is_a_no_op_even_after_the_end(inside, tmp_path):
    file = write_csv(tmp_path / "all.csv", results(inside))
    record(inside, PILOT, file)
    before = len(open_lab(inside).entries())
    inside.clock.set(AFTER)
    again = record(inside, PILOT, file)
    assert (again.repeated, again.exposures, again.outcomes) == (True, 600, 600)
    assert len(open_lab(inside).entries()) == before


def test_another_file_with_the_same_rows_brings_duplicates_only(inside, tmp_path):
    content = results(inside)
    record(inside, PILOT, write_csv(tmp_path / "all.csv", content))
    done = record(inside, PILOT, write_csv(tmp_path / "again.csv", content[::-1]))
    assert (done.exposures, done.outcomes, done.duplicates, done.conflicts) == (0, 0, 1200, {})


def test_nothing_is_recorded_after_the_end(inside, tmp_path):
    file = write_csv(tmp_path / "all.csv", results(inside))
    inside.clock.set(AFTER)
    with pytest.raises(Refused, match="ended at 2026-01-19 00:00 UTC and takes no more data"):
        record(inside, PILOT, file)


def test_nothing_is_recorded_after_an_early_close(inside, tmp_path):
    inside.clock.set(STARTS.replace(day=8))
    end(inside, PILOT, "the printer broke")
    with pytest.raises(Refused, match="was closed at 2026-01-08"):
        record(inside, PILOT, write_csv(tmp_path / "all.csv", results(inside)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda line: line.pop("arm"), "column `arm` is missing"),
        (lambda line: line.pop("visit"), "column `visit` is missing"),
        (lambda line: line.update(email="c000001@example.com"), "column `email` is unknown"),
    ],
)
def test_a_file_that_is_not_as_declared_is_rejected_whole(inside, tmp_path, change, told):
    content = results(inside)[:10]
    for line in content:
        change(line)
    with pytest.raises(BadInput, match=told):
        record(inside, PILOT, write_csv(tmp_path / "all.csv", content))
    assert counts(inside) == (0, 0, 0)


@pytest.mark.parametrize(
    "drawn",
    [
        lambda unit: ("control", "letter", "card")[crc32(unit.encode()) % 3],
        lambda unit: ("plain", "warm")[crc32(unit.encode()) % 2],
    ],
    ids=["by something else", "for other arms"],
)
def test_a_file_whose_arms_are_not_those_of_the_draw_is_refused_whole(inside, tmp_path, drawn):
    right = results(inside)
    file = write_csv(tmp_path / "other.csv", [{**line, "arm": drawn(line["unit"])} for line in right])
    with pytest.raises(Refused, match=rf"of 600 exposures name another arm than the one that {PILOT} has"):
        record(inside, PILOT, file)
    assert counts(inside) == (0, 0, 0)
    done = record(inside, PILOT, write_csv(tmp_path / "all.csv", right))
    assert (done.exposures, done.outcomes, done.conflicts) == (600, 600, {})


# Of 600 units in three arms alike 400 would disagree by chance, so up to 200 may.
@pytest.mark.parametrize(("wrong", "whole"), [(200, True), (201, False)])
def test_up_to_half_of_what_chance_would_misplace_is_held_back_row_by_row(inside, tmp_path, wrong, whole):
    mixed = results(inside)
    for line in mixed[:wrong]:
        line["arm"] = "card" if line["arm"] != "card" else "letter"
    file = write_csv(tmp_path / "mixed.csv", exposures_only(mixed))
    if whole:
        assert record(inside, PILOT, file).conflicts == {"not the arm that was assigned": wrong}
    else:
        with pytest.raises(Refused):
            record(inside, PILOT, file)


def test_a_kind_is_one_of_three_words():
    assert [require_some_kind(word) for word in (None, "exposures", "outcomes", "both")][1:] == [
        "exposures",
        "outcomes",
        "both",
    ]
    with pytest.raises(BadInput, match="`clicks` is not a kind of record"):
        require_some_kind("clicks")


@pytest.mark.check
def test_killed_at_any_step_a_file_counts_once_after_the_next_try(inside, tmp_path):
    content = results(inside)
    content[0] |= {"arm": "leaflet"}
    file = write_csv(tmp_path / "all.csv", content)
    code, steps = run_child(do_record, copy_of(inside, tmp_path / "whole").root, file)
    assert code == 0
    first = steps.index("rename")
    for number in range(first, len(steps) + 1):
        for after in (False, True):
            cut = copy_of(inside, tmp_path / f"cut-{number}-{after}")
            assert run_child(do_record, cut.root, file, die=Step(number, after))[0] == -9
            assert counts(cut) in {(0, 0, 0), (599, 600, 1)}
            record(cut, PILOT, file)
            assert counts(cut) == (599, 600, 1)
            assert open_lab(cut).problems() == []


def test_a_file_that_came_in_after_a_cut_record_is_not_counted_twice(inside, tmp_path):
    content = results(inside)
    cut_off = write_csv(tmp_path / "cut.csv", content[:400])
    meanwhile = write_csv(tmp_path / "meanwhile.csv", content[300:])
    assert run_child(do_record, inside.root, cut_off, die=Step("rename", after=True))[0] == -9
    assert record(inside, PILOT, meanwhile).exposures == 300
    done = record(inside, PILOT, cut_off)
    assert (done.exposures, done.outcomes, done.duplicates) == (300, 300, 200)
    assert counts(inside) == (600, 600, 0)


def test_two_processes_record_different_files_at_once_and_every_row_counts_once(inside, tmp_path):
    content = results(inside)
    files = [
        write_csv(tmp_path / f"{number}.csv", chunk)
        for number, chunk in enumerate((content[:350], content[250:], content[100:200], content[500:]))
    ]
    processes = [start_child(do_record, inside.root, file) for file in files]
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0] * 4
    assert counts(inside) == (600, 600, 0)
    assert len({row[0] for row in rows(inside, "exposures")}) == 600
    bodies = [entry.body for entry in open_lab(inside).entries(PILOT) if entry.kind == "recorded"]
    # 350 + 350 + 100 + 100 rows, each an exposure and an outcome, of which 600 are the first to say it.
    assert sum(body["exposures"] for body in bodies) == 600
    assert sum(body["duplicates"] for body in bodies) == 2 * 300


# Six hundred customers; any six digits after a C are met by chance among compressed bytes.
PLANTED = re.compile(rb"c000\d{3}@example\.com|C000\d{3}")


def test_no_address_and_no_customer_id_is_anywhere_under_the_labs_root(submitted, tmp_path):
    run_sql(submitted, PILOT, "CREATE TABLE mine AS SELECT * FROM customers JOIN exposures ON customer_id = unit")
    assert PLANTED.findall(b"C000001,c000001@example.com") == [b"C000001", b"c000001@example.com"]
    files = [path for path in submitted.lab.rglob("*") if path.is_file()]
    assert [path for path in files if PLANTED.search(path.read_bytes())] == []
    tables = [path for path in files if path.suffix == ".parquet"]
    assert len(tables) >= 7  # the snapshot's, three parts, three of the analysis
    for path in tables:
        assert not PLANTED.search(repr(duckdb.execute(f"SELECT * FROM '{path}'").fetchall()).encode()), path
    [sandbox] = [path for path in files if path.suffix == ".duckdb"]
    with duckdb.connect(str(sandbox), read_only=True) as connection:
        mine = connection.execute("SELECT * FROM mine").fetchall()
    assert len(mine) == 600
    assert not PLANTED.search(repr(mine).encode())


def test_customers_own_ids_in_a_result_file_do_not_become_data(inside, tmp_path):
    content = [line | {"unit": f"C{number:06d}"} for number, line in enumerate(results(inside)[:10], 1)]
    done = record(inside, PILOT, write_csv(tmp_path / "raw.csv", content))
    assert (done.exposures, done.outcomes, done.conflicts) == (0, 0, {"unknown unit": 20})
    room = open_lab(inside)
    for part in ("exposures", "outcomes", "conflicts"):
        for path in parts(room, get_pilot(room, PILOT), part):
            assert not PLANTED.search(repr(duckdb.execute(f"SELECT * FROM '{path}'").fetchall()).encode()), part


def test_a_file_that_is_nothing_but_early_is_taken_once_its_time_has_come(launched, tmp_path):
    launched.clock.set(STARTS)
    file = write_csv(tmp_path / "all.csv", results(launched))
    with pytest.raises(Refused, match="everything in this file lies in the future") as caught:
        record(launched, PILOT, file)
    assert "pilotplant clock 2026-01-" in caught.value.remedy
    assert counts(launched) == (0, 0, 0)
    launched.clock.set(INSIDE)
    assert record(launched, PILOT, file).exposures == 600


def test_a_row_that_came_early_and_again_in_time_is_missing_from_nothing(launched, tmp_path):
    content = exposures_only(results(launched))
    for line in content[:50]:
        line["at"] = "2026-01-06T09:00:00Z"
    for line in content[50:]:
        line["at"] = "2026-01-08T09:00:00Z"
    launched.clock.set(STARTS + timedelta(days=2))
    early = record(launched, PILOT, write_csv(tmp_path / "early.csv", content))
    assert (early.exposures, early.conflicts) == (50, {"in the future": 550})
    launched.clock.set(INSIDE)
    # All but one of them come again.
    again = record(launched, PILOT, write_csv(tmp_path / "again.csv", content[50:-1]))
    assert again.exposures == 549
    assert analyse(launched, PILOT).evidence.health.conflicts == {"in the future": 1}


WRONG = {
    "a wrong year": (lambda line: line | {"exposed_at": "2025-01-06T09:00:00Z"}, "outside the time box"),
    "the customers' own ids": (lambda line: line | {"unit": f"C{line['event_id']}"}, "unknown unit"),
    "another label": (lambda line: line | {"arm": line["arm"].title()}, "unknown arm"),
    "a number too large": (lambda line: line | {"visit": 7}, "visit must be one of 0, 1"),
    "words for numbers": (lambda line: line | {"spend": "ten"}, "spend is not a number"),
}


@pytest.mark.parametrize(("slip", "why"), WRONG.values(), ids=WRONG)
def test_a_corrected_file_clears_what_was_held_back_of_the_wrong_one(inside, tmp_path, slip, why):
    right = results(inside)[::10]  # so few that those which were wrong would make the list of pilots speak
    wrong = [slip(line) for line in right[:10]]
    first = record(inside, PILOT, write_csv(tmp_path / "wrong.csv", wrong))
    assert set(first.conflicts) == {why}
    done = record(inside, PILOT, write_csv(tmp_path / "right.csv", right))
    assert (done.exposures + first.exposures, done.outcomes + first.outcomes) == (60, 60)
    assert done.cleared == sum(first.conflicts.values())
    assert analyse(inside, PILOT).evidence.health.conflicts == {}
    [line] = lines(open_lab(inside))
    assert line.health.condition == "good"


TWICE = [
    *[WRONG[name] for name in ("a wrong year", "words for numbers")],
    (lambda line: line | {"arm": "leaflet"}, "unknown arm"),
]


@pytest.mark.parametrize(("slip", "why"), TWICE, ids=[why for _, why in TWICE])
def test_a_row_that_several_files_bring_is_held_back_once(inside, tmp_path, slip, why):
    right = results(inside)[::10]
    record(inside, PILOT, write_csv(tmp_path / "right.csv", right[12:]))
    for night in (10, 11, 12):  # each export holds all rows so far
        record(inside, PILOT, write_csv(tmp_path / f"{night}.csv", [slip(line) for line in right[:night]]))
    assert analyse(inside, PILOT).evidence.health.conflicts == {why: 12}


def mostly_to_come(launched, tmp_path):
    """Exposures of which all but the first 50 lie in the future of the clock, and their file."""
    content = exposures_only(results(launched))
    for number, line in enumerate(content):
        line["at"] = "2026-01-06T09:00:00Z" if number < 50 else "2026-01-08T09:00:00Z"
    launched.clock.set(STARTS + timedelta(days=2))
    return content, write_csv(tmp_path / "all.csv", content)


def test_the_same_file_again_brings_in_what_may_count_by_now(launched, tmp_path):
    _, file = mostly_to_come(launched, tmp_path)
    assert record(launched, PILOT, file).conflicts == {"in the future": 550}
    assert record(launched, PILOT, file).repeated
    launched.clock.set(STARTS + timedelta(days=4))
    again = record(launched, PILOT, file)
    assert (again.repeated, again.exposures, again.duplicates, again.conflicts) == (False, 550, 50, {})
    assert counts(launched) == (600, 0, 0)
    assert record(launched, PILOT, file).repeated
    assert [entry.body.get("again") for entry in open_lab(launched).entries() if entry.kind == "recorded"] == [
        None,
        True,
    ]


@pytest.mark.parametrize("kind", [outcomes_only, list], ids=["outcomes", "exposures with their outcomes"])
def test_the_same_file_again_brings_in_outcomes_that_lay_in_the_future(launched, tmp_path, kind):
    right = results(launched)[::10]
    launched.clock.set(STARTS + timedelta(days=4))
    file = write_csv(tmp_path / "all.csv", kind(right))
    first = record(launched, PILOT, file)
    assert (first.outcomes > 0, set(first.conflicts)) == (True, {"in the future"})
    launched.clock.set(INSIDE)
    again = record(launched, PILOT, file)
    assert (again.repeated, again.outcomes, again.conflicts) == (False, 60 - first.outcomes, {})
    assert len(rows(launched, "outcomes")) == 60


def test_a_file_that_contradicts_what_was_accepted_stays_held_back(inside, tmp_path):
    right = results(inside)
    record(inside, PILOT, write_csv(tmp_path / "right.csv", right))
    other = [line | {"visit": 1 - line["visit"]} for line in outcomes_only(right[:5])]
    done = record(inside, PILOT, write_csv(tmp_path / "other.csv", other))
    assert done.conflicts == {"event id used again with other content": 5}
    record(inside, PILOT, write_csv(tmp_path / "once-more.csv", right[:20]))
    assert analyse(inside, PILOT).evidence.health.conflicts == {"event id used again with other content": 5}


def test_what_contradicts_the_contract_after_the_event_was_accepted_stays_held_back(inside, tmp_path):
    """Only what comes later corrects: such a row is one that the evidence and the list of pilots still count."""
    right = results(inside)
    record(inside, PILOT, write_csv(tmp_path / "right.csv", right))
    wrong = [line | {"visit": 7} for line in outcomes_only(right[:5])]
    held = record(inside, PILOT, write_csv(tmp_path / "wrong.csv", wrong)).conflicts
    assert held == {"visit must be one of 0, 1": 5}
    assert analyse(inside, PILOT).evidence.health.conflicts == held


def test_a_file_that_is_read_again_clears_what_was_held_back_in_between(launched, tmp_path):
    content, file = mostly_to_come(launched, tmp_path)
    record(launched, PILOT, file)
    between = [line | {"arm": "leaflet", "at": "2026-01-06T09:00:00Z"} for line in content[50:55]]
    assert record(launched, PILOT, write_csv(tmp_path / "between.csv", between)).conflicts
    launched.clock.set(INSIDE)
    assert record(launched, PILOT, file).cleared == 5
    assert analyse(launched, PILOT).evidence.health.conflicts == {}


def test_a_file_that_is_read_again_clears_nothing_that_contradicts_it(launched, tmp_path):
    content, file = mostly_to_come(launched, tmp_path)
    record(launched, PILOT, file)
    other = [line | {"at": "2026-01-06T10:00:00Z"} for line in content[:5]]
    held = record(launched, PILOT, write_csv(tmp_path / "other.csv", other)).conflicts
    assert held == {"event id used again with other content": 5}
    launched.clock.set(INSIDE)
    assert record(launched, PILOT, file).exposures == 550
    assert analyse(launched, PILOT).evidence.health.conflicts == held


@pytest.mark.parametrize(
    "wrong",
    [{"arm": "leaflet"}, {"unit": "nobody"}, {"at": "2025-01-06T10:00:00Z"}],
    ids=["another arm", "an unknown unit", "another year"],
)
def test_a_file_that_is_read_again_clears_only_what_it_brings_anew(launched, tmp_path, wrong):
    """What it had brought before came before the row that is wrong, and corrects nothing."""
    content, file = mostly_to_come(launched, tmp_path)
    record(launched, PILOT, file)
    held = record(launched, PILOT, write_csv(tmp_path / "other.csv", [line | wrong for line in content[:5]])).conflicts
    assert sum(held.values()) == 5
    launched.clock.set(INSIDE)
    again = record(launched, PILOT, file)
    assert (again.exposures, again.cleared, again.conflicts) == (550, 0, {})
    assert analyse(launched, PILOT).evidence.health.conflicts == held
    assert counts(launched)[0] == 600


@pytest.mark.parametrize("word", ["stop", "revise"])
def test_a_decided_pilot_takes_no_more_data_and_costs(recorded, tmp_path, word):
    recorded.clock.set(INSIDE)
    odd = write_csv(tmp_path / "odd.csv", [{**exposures_only(results(recorded))[0], "event_id": "odd", "arm": "none"}])
    assert record(recorded, PILOT, odd).conflicts == {"unknown arm": 1}
    analyse(recorded, PILOT)
    submit(recorded, PILOT)
    decide(recorded, PILOT, Asked(word, OWNER, "too little came of it", insight="few answered"))
    rows = write_csv(tmp_path / "late.csv", [{**exposures_only(results(recorded))[0], "event_id": "one more"}])
    for attempt in (
        lambda: record(recorded, PILOT, rows),
        lambda: spend(recorded, PILOT, parse_amount("1.00"), "stamps"),
        lambda: reserve(recorded, PILOT, parse_amount("1.00"), "stamps"),
    ):
        with pytest.raises(Refused, match=f"pilot spring-mail was decided: {word}"):
            attempt()
    # What was taken before may be said again.
    assert spend(recorded, PILOT, parse_amount("40.00"), "printing").repeated
    assert record(recorded, PILOT, odd).repeated


UNTOLD = {
    "customers' own ids": (lambda line: line | {"unit": f"C{line['event_id']}"}, "unknown unit: 1,200 of 1,200"),
    "times of another form": (lambda line: line | {"exposed_at": "05/01/2026 9h", "at": "?"}, "at is not a timestamp"),
}


@pytest.mark.parametrize(("slip", "why"), UNTOLD.values(), ids=UNTOLD)
def test_of_a_file_of_which_no_row_can_be_told_nothing_is_kept(inside, tmp_path, slip, why):
    """The right file may call its events otherwise, and then nothing would clear what was held back of this one."""
    right = results(inside)
    with pytest.raises(BadInput, match=why):
        record(inside, PILOT, write_csv(tmp_path / "wrong.csv", [slip(line) for line in right]))
    assert counts(inside) == (0, 0, 0)
    anew = [line | {"event_id": f"m-{line['event_id']}"} for line in right]
    done = record(inside, PILOT, write_csv(tmp_path / "right.csv", anew))
    assert (done.exposures, done.outcomes, done.conflicts) == (600, 600, {})
    assert analyse(inside, PILOT).evidence.health.conflicts == {}
