"""Drafts of contracts: what the file says, what it cannot say, and that it loads as it was drafted."""

from __future__ import annotations

import json

import duckdb
import pytest

from factory.warehouse.contract_drafts import draft_contract
from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from pilotplant.app import _exit_code
from shared.core.errors import BadInput
from shared.data.contracts import load_new_contract
from shared.state.workspace import create

ROWS = 600


@pytest.fixture
def workspace(tmp_path):
    return create(tmp_path / "team", "rehearsal")[0]


def write(path, header, row, *, rows=ROWS, sign=";", encoding="utf-8-sig", ends="\r\n"):
    """A file whose row of each number follows from it."""
    lines = [header, *(row(n) for n in range(rows))]
    path.write_bytes("".join(sign.join(map(str, line)) + ends for line in lines).encode(encoding))
    return path


def shop(path):
    """Customers as a German shop exports them."""
    return write(
        path,
        ("Kunden Nr", "Vorname", "E-Mail", "PLZ", "Letzter Kauf", "Umsatz (Jahr)", "Bestellungen", "Straße/Nr."),
        lambda n: (
            f"{n:06d}", f"Anna{n}", f"k{n}@example.com", f"{10_000 + n * 37 % 80_000}",
            "unbekannt" if n == 5 else f"{n % 28 + 1:02d}.{n % 12 + 1:02d}.2026", f"{n * 7 % 997},{n % 90 + 10}", n % 9,
            f"Weg {n}",
        ),
    )  # fmt: skip


def by_name(drafted):
    return {column.name: column for column in drafted.columns}


def test_a_shops_export_is_drafted_loaded_and_published(workspace, tmp_path):
    file = shop(tmp_path / "kunden.csv")
    drafted = draft_contract(workspace, "kunden", file)
    columns = by_name(drafted)
    assert (drafted.rows, drafted.key) == (ROWS, ("kunden_nr",))
    assert {name: (c.type, c.format, c.classification) for name, c in columns.items()} == {
        "kunden_nr": ("string", None, "identifier"),
        "vorname": ("string", None, "personal"),
        "e_mail": ("string", None, "personal"),
        "plz": ("integer", None, "restricted"),
        "letzter_kauf": ("date", "dd.MM.yyyy", "public"),
        "umsatz_jahr": ("number", None, "public"),
        "bestellungen": ("integer", None, "public"),
        "strasse_nr": ("string", None, "personal"),
    }
    assert columns["kunden_nr"].physical == "Kunden Nr"
    assert drafted.doubts["letzter_kauf"] == [f"1 value of {ROWS} would be held back: no date"]
    assert load_new_contract(drafted.file).key == ("kunden_nr",)
    done = load(workspace, "kunden", file)
    assert (done.accepted, done.quarantined) == (ROWS - 1, 1)
    assert publish(workspace).rows == {"kunden": ROWS - 1}


def test_no_value_of_a_file_stands_in_its_draft(workspace, tmp_path):
    drafted = draft_contract(workspace, "kunden", shop(tmp_path / "kunden.csv"))
    text = drafted.file.read_text()
    assert not [value for value in ("Anna", "example.com", "Weg 1", "000001") if value in text]


@pytest.mark.parametrize(
    ("days", "chosen", "doubted"),
    [
        (lambda n: f"{n % 12 + 1:02d}/{n % 12 + 1:02d}/2026", "dd/MM/yyyy", True),
        (lambda n: f"{n % 28 + 1:02d}/{n % 12 + 1:02d}/2026", "dd/MM/yyyy", False),
        (lambda n: f"{n % 12 + 1:02d}/{n % 28 + 1:02d}/2026", "MM/dd/yyyy", False),
        (lambda n: f"{n % 28 + 1}.{n % 12 + 1}.2026", "d.M.yyyy", False),
        (lambda n: f"2026-{n % 12 + 1:02d}-{n % 28 + 1:02d}", None, False),
    ],
)
def test_a_date_is_read_in_its_form_and_where_two_fit_it_is_doubted(workspace, tmp_path, days, chosen, doubted):
    file = write(tmp_path / "orders.csv", ("order_id", "day"), lambda n: (n + 1, days(n)))
    drafted = draft_contract(workspace, "orders", file)
    assert (by_name(drafted)["day"].type, by_name(drafted)["day"].format) == ("date", chosen)
    assert any("day and month could be the other way round" in one for one in drafted.doubts.get("day", ())) == doubted
    assert load(workspace, "orders", file).quarantined == 0


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (lambda n: n - 5, "integer"),
        (lambda n: f"{n}.50", "number"),
        (lambda n: f"0{n}", "string"),
        (lambda n: "true" if n % 2 else "false", "boolean"),
        (lambda n: n % 2, "integer"),
        (lambda n: f"2026-05-14T11:{n % 60:02d}:00Z", "timestamp"),
        (lambda n: f"14.05.2026 11:{n % 60:02d}", "timestamp"),
        (lambda n: ("ja", "nein")[n % 2], "string"),
        (lambda n: "1e999" if n % 2 else "Urban", "string"),
        (lambda _: "", "string"),
    ],
)
@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_column_is_of_the_type_that_its_values_are_of_and_loads_as_such(workspace, tmp_path, values, kind, sign):
    file = write(tmp_path / "facts.csv", ("fact id", "value"), lambda n: (f"f{n}", values(n)), sign=sign, ends="\n")
    drafted = draft_contract(workspace, "facts", file)
    assert by_name(drafted)["value"].type == kind
    assert load(workspace, "facts", file).quarantined == 0


def test_numbers_that_could_be_read_in_two_ways_are_a_text_with_a_doubt(workspace, tmp_path):
    file = write(tmp_path / "facts.csv", ("id", "value"), lambda n: (f"f{n}", f"{n % 9 + 1},{n % 900 + 100}"))
    drafted = draft_contract(workspace, "facts", file)
    assert by_name(drafted)["value"].type == "string"
    assert any("could be thousands or decimals" in one for one in drafted.doubts["value"])
    assert load(workspace, "facts", file).quarantined == 0


def test_two_columns_may_tell_the_rows_apart_together(workspace, tmp_path):
    file = write(tmp_path / "lines.csv", ("Order", "Line", "item"), lambda n: (n // 3, n % 3, "socks"))
    drafted = draft_contract(workspace, "lines", file)
    assert drafted.key == ("order", "line")
    assert "no column tells the rows apart alone" in drafted.doubts[""][0]
    assert load(workspace, "lines", file).accepted == ROWS


def test_a_file_whose_rows_nothing_tells_apart_says_so_and_is_not_loaded(workspace, tmp_path):
    file = write(tmp_path / "visits.csv", ("page", "channel"), lambda n: (n % 3, n % 2))
    drafted = draft_contract(workspace, "visits", file)
    assert drafted.key == ()
    assert "nothing tells the rows apart" in drafted.doubts[""][0]
    with pytest.raises(BadInput, match="primary"):
        load(workspace, "visits", file)


def test_a_key_that_comes_again_is_told(workspace, tmp_path):
    file = write(tmp_path / "people.csv", ("customer_id", "recency"), lambda n: (max(n, 3), n % 9))
    drafted = draft_contract(workspace, "people", file)
    assert drafted.key == ("customer_id",)
    assert drafted.doubts["customer_id"][0] == f"of {ROWS} rows 3 have a key that is empty or comes again"


def test_headers_that_are_no_names_become_some_and_none_twice(workspace, tmp_path):
    header = ("_id", "Größe & Maß", "groesse_and_mass", "2026", "名前", "a" * 80)
    file = write(tmp_path / "odd.csv", header, lambda n: (n, 1, 2, 3, 4, 5))
    drafted = draft_contract(workspace, "odd", file)
    assert [column.name for column in drafted.columns] == [
        "id", "groesse_and_mass_2", "groesse_and_mass", "column_2026", "column_5", "a" * 50,
    ]  # fmt: skip
    assert load(workspace, "odd", file).accepted == ROWS


def test_a_parquet_file_is_drafted_too(workspace, tmp_path):
    file = tmp_path / "facts.parquet"
    query = "SELECT range AS customer_id, DATE '2026-01-01' + range::INT AS since, range / 4 AS spend FROM range(600)"
    duckdb.execute(f"COPY ({query}) TO '{file}' (FORMAT parquet)")
    drafted = draft_contract(workspace, "facts", file)
    assert [column.type for column in drafted.columns] == ["integer", "date", "number"]
    assert load(workspace, "facts", file).quarantined == 0


@pytest.mark.parametrize(
    "header",
    ["Prénom", "Nom", "Imię", "Nazwisko", "Apellidos", "Correo electrónico", "Cognome", "Achternaam", "Förnamn"],
)
def test_a_persons_name_is_personal_in_other_languages_too(workspace, tmp_path, header):
    file = write(tmp_path / "list.csv", ("customer_id", header), lambda n: (n, f"X{n % 97}"), encoding="utf-8")
    [_, column] = draft_contract(workspace, "list", file).columns
    assert column.classification == "personal"


def test_the_examples_contract_gives_way_until_rows_were_loaded_by_it(workspace, tmp_path):
    file = shop(tmp_path / "kunden.csv")
    example = (workspace.configs / "contracts" / "customers.odcs.yaml").read_bytes()
    assert draft_contract(workspace, "customers", file).key == ("kunden_nr",)
    (workspace.configs / "contracts" / "customers.odcs.yaml").write_bytes(example)
    example_rows = tmp_path / "example.csv"
    example_rows.write_text("customer_id,recency,history,channel,newbie\nC1,1,20.5,Web,1\n")
    assert load(workspace, "customers", example_rows).accepted == 1
    with pytest.raises(BadInput, match="has a contract already"):
        draft_contract(workspace, "customers", file)
    assert (workspace.configs / "contracts" / "customers.odcs.yaml").read_bytes() == example


def test_a_contract_that_is_there_stays_unless_it_may_go(workspace, tmp_path):
    file = shop(tmp_path / "kunden.csv")
    path = workspace.configs / "contracts" / "customers.odcs.yaml"
    path.write_text(path.read_text() + "# as the team wants it\n")
    before = path.read_text()
    with pytest.raises(BadInput, match="has a contract already") as refused:
        draft_contract(workspace, "customers", file)
    assert "--replace" in refused.value.remedy
    assert (workspace.configs / "contracts" / "customers.odcs.yaml").read_text() == before
    assert draft_contract(workspace, "customers", file, replace_=True).key == ("kunden_nr",)


@pytest.mark.parametrize("name", ["../customers", "1st", "_inside", "two words", "", "a" * 80])
def test_a_name_that_no_table_has_is_refused(workspace, tmp_path, name):
    with pytest.raises(BadInput, match="is not a table's name"):
        draft_contract(workspace, name, shop(tmp_path / "kunden.csv"))


def test_the_command_names_every_doubt(workspace, tmp_path, capsys):
    file = shop(tmp_path / "kunden.csv")
    words = ["--workspace", str(workspace.root), "factory", "contract", "kunden", str(file)]
    assert _exit_code(words) == 0
    said = capsys.readouterr().out
    assert "Rows are told apart by kunden_nr." in said
    assert "DOUBT letzter_kauf: 1 value of 600 would be held back: no date" in said
    assert _exit_code([*words, "--replace", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"column": "letzter_kauf", "doubt": "1 value of 600 would be held back: no date"} in told["doubts"]
    assert _exit_code(words) == 2
