"""The tables: age, contracts then and now, and what the suites say of the rows as they are."""

from __future__ import annotations

import yaml

from factory.preflight.report import preflight
from factory.warehouse.load import load
from factory.warehouse.masked_contract import masked_contract
from factory.warehouse.warehouse import open_warehouse
from tests.makers import customers_csv, moment


def edit(workspace, change, table="customers"):
    path = workspace.configs / "contracts" / f"{table}.odcs.yaml"
    document = yaml.safe_load(path.read_text())
    change({column["name"]: column for column in document["schema"][0]["properties"]}, document)
    path.write_text(yaml.safe_dump(document))


def of(parts, table="customers"):
    [found] = [each for each in parts if each.table == table]
    return found


def test_what_nobody_changed_is_as_it_was_sealed(factory, tried):
    report = tried().report
    for each in report.compatibility:
        assert (each.changes, each.problem) == ((), None)
        assert each.sealed
        assert each.present
    assert {each.table for each in report.compatibility} == {"customers", "outcomes"}
    assert [(each.contract, each.report.outcome, each.report.rows) for each in report.quality] == [
        ("present", "passed", 200), ("sealed", "passed", 200),
    ]  # fmt: skip
    assert all(each.report.evaluated == each.report.expected > 10 for each in report.quality)
    [table] = report.tables
    assert (table.name, bool(table.version), table.max_age_days) == ("customers", True, None)


def test_a_column_that_became_personal_breaks_and_one_that_takes_more_values_is_risky(factory, submit):
    candidate = submit()

    def change(columns, _document):
        columns["zip_code"]["classification"] = "personal"
        columns["channel"]["quality"][0]["arguments"]["validValues"].append("Fax")

    edit(factory, change)
    report = preflight(factory, candidate.digest).report
    found = [(each.severity, each.column) for each in of(report.compatibility).changes]
    assert found == [("breaking", "zip_code"), ("risky", "channel")]
    # The templates print it: the Factory would not run that.
    assert any("zip_code" in reason for reason in report.shadow_runs[0].refusals)


def test_outcomes_are_compared_as_they_stand(factory, submit):
    candidate = submit()
    edit(factory, lambda columns, _: columns["visit"].update(logicalType="number", quality=[]), "outcomes")
    changes = of(preflight(factory, candidate.digest).report.compatibility, "outcomes").changes
    assert ("risky", "visit") in {(each.severity, each.column) for each in changes}


def test_a_table_that_was_loaded_under_another_contract_is_a_problem(factory, submit):
    candidate = submit()
    edit(factory, lambda columns, _: columns["mens"].update(logicalType="number", quality=[]))
    report = preflight(factory, candidate.digest).report
    assert "loaded under another contract" in of(report.compatibility).problem
    assert all(each.report is None for each in report.quality)


def test_a_table_that_was_dropped_is_a_problem_and_no_defect(factory, submit):
    candidate = submit()
    with open_warehouse(factory) as connection:
        connection.execute("DROP TABLE customers")
    report = preflight(factory, candidate.digest).report
    told = "table `customers` has not been loaded"
    assert told in of(report.compatibility).problem
    assert {told in each.problem for each in report.quality} == {True}
    assert report.shadow_runs[0].refusals or report.shadow_runs[0].problem


def test_a_contract_that_is_gone_is_a_problem(factory, submit):
    candidate = submit()
    (factory.configs / "contracts" / "outcomes.odcs.yaml").unlink()
    assert "no contract" in of(preflight(factory, candidate.digest).report.compatibility, "outcomes").problem


def test_rows_that_break_their_contract_are_counted_on_the_table_as_it_is(factory, tried):
    """A load would have quarantined them; somebody has written them past it."""
    with open_warehouse(factory) as connection:
        connection.execute("UPDATE customers SET recency = 13 WHERE customer_id < 'c00003'")
    for each in tried().report.quality:
        assert each.report.outcome == "failed", each.contract
        assert [(breach.rule, breach.rows) for breach in each.report.breaches] == [
            ("recency must be between 1 and 12", 3)
        ]


def test_a_table_without_rows_passes_nothing(factory, tried):
    with open_warehouse(factory) as connection:
        connection.execute("DELETE FROM customers")
    report = tried().report
    assert {each.report.outcome for each in report.quality} == {"unevaluable"}
    assert report.shadow_runs[0].messages == 0


def test_the_age_is_that_of_the_last_load_and_the_contract_may_limit_it(factory, tried, tmp_path):
    edit(
        factory, lambda _, document: document.update(slaProperties=[{"property": "frequency", "value": 7, "unit": "d"}])
    )
    factory.clock.set(moment("2026-02-01 00:00"))
    load(factory, "customers", customers_csv(tmp_path / "again.csv", rows=210))
    factory.clock.set(moment("2026-02-02 09:10"))
    sealed = masked_contract(factory.configs / "contracts" / "customers.odcs.yaml")
    [table] = tried(contracts={"customers": sealed}).report.tables
    assert (table.loaded_at[:10], table.max_age_days) == ("2026-02-01", 7)


def test_a_table_that_only_the_sql_names_is_read_as_well_and_its_missing_contract_told(factory, tried, tmp_path):
    contract = (
        (factory.configs / "contracts" / "customers.odcs.yaml").read_text().replace("name: customers", "name: others")
    )
    (factory.configs / "contracts" / "others.odcs.yaml").write_text(contract)
    load(factory, "others", customers_csv(tmp_path / "others.csv"))
    report = tried(audience="SELECT customer_id AS unit FROM customers SEMI JOIN others USING (customer_id)\n").report
    assert [table.name for table in report.tables] == ["customers", "others"]
    assert "no contract of table `others` was sealed" in of(report.compatibility, "others").problem
    assert report.shadow_runs[0].ran
