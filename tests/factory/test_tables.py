"""Tables that were loaded wrongly: seen, replaced, dropped, and in nobody else's way."""

from functools import partial

import duckdb
import pytest
import yaml

from factory.releases.packages import readers
from factory.runtime import integrity
from factory.state.room import open_factory
from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from factory.warehouse.tables import drop, list_tables
from factory.warehouse.warehouse import open_warehouse
from shared.core.errors import BadInput, Refused
from tests.makers import make_workspace

GOOD = "customer_id,email,recency,history,zip_code\nc1,c1@example.com,3,10.5,Urban\nc2,c2@example.com,12,0,Rural\n"


def file(folder, text, name="customers.csv"):
    path = folder / name
    path.write_text(text)
    return path


def contract(workspace, change, table="customers"):
    """Writes a table's contract anew, its columns changed."""
    path = workspace.configs / "contracts" / "customers.odcs.yaml"
    document = yaml.safe_load(path.read_text())
    document["schema"][0] |= {"name": table, "properties": change(document["schema"][0]["properties"])}
    path.with_name(f"{table}.odcs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


@pytest.fixture
def two(tmp_path):
    """A workspace with the tables customers and people, alike."""
    made = make_workspace(tmp_path / "workspace")
    contract(made, lambda columns: columns, "people")
    load(made, "customers", file(tmp_path, GOOD))
    load(made, "people", tmp_path / "customers.csv")
    return made


def without_email(columns):
    return [column for column in columns if column["name"] != "email"]


def rows(workspace, query="FROM customers ORDER BY 1"):
    with open_warehouse(workspace, read_only=True) as warehouse:
        return warehouse.execute(query).fetchall()


def test_a_table_is_loaded_anew_under_a_corrected_contract(two, tmp_path):
    contract(two, without_email)
    path = file(tmp_path, "customer_id,recency,history,zip_code\nc1,9,1,Urban\nc3,4,2,Rural\n", "new.csv")
    with pytest.raises(BadInput) as caught:
        load(two, "customers", path)
    assert "factory load customers FILE --replace --dry-run" in caught.value.remedy
    plan = load(two, "customers", path, replace=True, dry_run=True)
    assert (plan.new, plan.renewed, plan.gone, plan.emptied) == (1, 1, 1, {"email": 2})
    assert len(rows(two)) == 2
    done = load(two, "customers", path, replace=True)
    assert (done.new, done.renewed, done.gone, done.emptied) == (1, 1, 1, {"email": 2})
    found = rows(two, "SELECT customer_id, recency, history, zip_code FROM customers ORDER BY 1")
    assert found == [("c1", 9, 1.0, "Urban"), ("c3", 4, 2.0, "Rural")]
    assert open_factory(two).entries("customers")[-1].body["gone"] == 1


def test_a_table_gets_another_key(two, tmp_path):
    def by_email(columns):
        return [{**{k: v for k, v in c.items() if k != "primaryKey"}, "classification": "public",
                 **({"primaryKey": True} if c["name"] == "email" else {})} for c in columns]  # fmt: skip

    contract(two, by_email)
    done = load(two, "customers", tmp_path / "customers.csv", replace=True)
    assert (done.accepted, done.renewed, done.gone) == (2, 0, 2)
    assert load(two, "customers", tmp_path / "customers.csv").repeated


def test_replacing_leaves_nothing_in_quarantine_of_before(two, tmp_path):
    settings = two.configs / "factory.yaml"
    settings.write_text(settings.read_text() + "quarantined_frac_max: 0.7\n")
    load(two, "customers", file(tmp_path, GOOD + "c3,c3@example.com,99,1,Urban\n", "bad.csv"))
    assert list_tables(two, "customers")[0].quarantined == 1
    load(two, "customers", tmp_path / "customers.csv", replace=True)
    assert list_tables(two, "customers")[0].quarantined == 0


def test_a_dry_run_of_a_load_changes_nothing(two, tmp_path):
    before, entries = rows(two), open_factory(two).entries()
    more = file(tmp_path, GOOD.replace("c2,c2", "c3,c3").replace("10.5", "11"), "more.csv")
    plan = load(two, "customers", more, dry_run=True)
    assert (plan.new, plan.renewed, plan.gone) == (1, 1, 0)
    assert (rows(two), open_factory(two).entries()) == (before, entries)


@pytest.mark.parametrize("break_", ["columns", "unreadable", "missing"])
def test_one_table_s_contract_stands_in_no_other_table_s_way(two, tmp_path, break_):
    path = two.configs / "contracts" / "people.odcs.yaml"
    if break_ == "columns":
        contract(two, without_email, "people")
    elif break_ == "unreadable":
        path.write_text("schema: [")
    else:
        path.unlink()
    assert load(two, "customers", file(tmp_path, GOOD + "c3,c3@example.com,4,1,Urban\n", "more.csv")).accepted == 3
    published = publish(two)
    assert (list(published.rows), list(published.left_out)) == (["customers"], ["people"])
    assert [bool(facts.problem) for facts in list_tables(two)] == [False, True]


def test_where_no_table_can_be_published_nothing_is(two):
    for table in ("customers", "people"):
        contract(two, without_email, table)
    with pytest.raises(BadInput, match="under another contract"):
        publish(two)
    assert not list(two.lab.glob("snapshots/[!.]*"))


def test_a_dropped_table_is_gone_with_its_quarantine_and_may_come_again(two, tmp_path):
    assert drop(two, "people", readers=readers, dry_run=True).rows == 2
    assert [facts.table for facts in list_tables(two)] == ["customers", "people"]
    assert drop(two, "people", readers=readers).rows == 2
    assert [facts.table for facts in list_tables(two)] == ["customers"]
    assert list(publish(two).rows) == ["customers"]
    assert integrity.problems(open_factory(two)) == []
    assert not load(two, "people", tmp_path / "customers.csv").repeated


def test_a_dropped_table_takes_what_was_held_back_of_it_along_and_of_no_other(two, tmp_path):
    settings = two.configs / "factory.yaml"
    settings.write_text(settings.read_text() + "quarantined_frac_max: 0.7\n")
    bad = file(tmp_path, GOOD + "c3,c3@example.com,99,1,Urban\n", "bad.csv")
    for table in ("customers", "people"):
        load(two, table, bad)
    assert drop(two, "people", readers=readers).quarantined == 1
    load(two, "people", tmp_path / "customers.csv")
    assert [(facts.table, facts.quarantined) for facts in list_tables(two)] == [("customers", 1), ("people", 0)]


def test_a_drop_that_was_cut_off_is_finished_by_the_same_command(two):
    with open_warehouse(two) as warehouse:
        warehouse.execute("DROP TABLE people")
    assert integrity.problems(open_factory(two)) != []
    assert drop(two, "people", readers=readers).rows == 0
    assert integrity.problems(open_factory(two)) == []


@pytest.mark.parametrize("act", [partial(drop, readers=readers), list_tables], ids=["drop", "list"])
def test_a_table_that_is_not_loaded_is_named_with_those_that_are(two, act):
    with pytest.raises(BadInput) as caught:
        act(two, "persons")
    assert caught.value.expected == "one of: customers, people"


def test_a_table_that_a_release_reads_stays(one_release):
    with pytest.raises(Refused, match="read by release spring-email-letter"):
        drop(one_release, "customers", readers=readers)


def test_a_workspace_without_tables_lists_none(tmp_path):
    assert list_tables(make_workspace(tmp_path / "workspace")) == []


def test_what_was_held_back_is_told_with_the_rows_of_its_file(two, tmp_path):
    settings = two.configs / "factory.yaml"
    settings.write_text(settings.read_text() + "quarantined_frac_max: 0.9\n")
    bad = "".join(f"b{n},b{n}@example.com,99,{n - 1},Urban\n" for n in range(5))
    load(two, "customers", file(tmp_path, GOOD + bad, "bad.csv"))
    [facts] = list_tables(two, "customers")
    assert [(held.reason, held.rows, held.first) for held in facts.held] == [
        ("recency must be between 1 and 12", 5, (3, 4, 5)), ("history must be at least 0", 1, (3,)),
    ]  # fmt: skip


def test_a_parquet_file_replaces_as_a_csv_does(two, tmp_path):
    duckdb.execute(f"COPY (FROM read_csv('{tmp_path / 'customers.csv'}') LIMIT 1) TO '{tmp_path / 'one.parquet'}'")
    assert load(two, "customers", tmp_path / "one.parquet", replace=True).gone == 1
    assert rows(two, "SELECT customer_id FROM customers") == [("c1",)]
