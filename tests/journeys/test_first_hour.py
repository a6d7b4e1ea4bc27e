"""The first hour: a customer file that nobody has seen becomes a launched pilot of one's own, and then a verdict."""

import csv
import io
import json
from datetime import date, timedelta
from random import Random

import pytest

from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant.app import _exit_code
from shared.data.contracts import load_contract
from shared.state.workspace import open_workspace

CUSTOMERS = 9_000
NAMES = ["Kundennummer", "E-Mail", "Vorname", "Umsatz 2025 (€)", "Letzter Kauf", "PLZ", "Newsletter", "order"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with customers as a German shop exports them: semicolons, decimal commas, a BOM, names of its own."""
    home, rng = tmp_path_factory.mktemp("first-hour"), Random(7)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(NAMES)
    for number in range(CUSTOMERS):
        bought = date(2025, 1, 1) + timedelta(days=rng.randrange(320))
        writer.writerow([
            f"K-{number:06d}", f"kunde{number}@example.com", rng.choice(["Anna", "Jürgen", "Zoë"]),
            f"{rng.expovariate(1 / 120):.2f}".replace(".", ","), f"{bought:%d.%m.%Y}", f"{rng.randrange(99_999):05d}",
            rng.choice(["ja", "nein"]), rng.randrange(9),
        ])  # fmt: skip
    (home / "kunden.csv").write_text(text.getvalue(), encoding="utf-8-sig", newline="")
    return home


def steps(folder):
    """The nine commands at most, as somebody gives them who reads what each one says is next."""
    team = ["--workspace", str(folder / "team")]
    return [
        ["init", str(folder / "team"), "--rehearsal"],
        [*team, "factory", "contract", "kunden", str(folder / "kunden.csv")],
        [*team, "factory", "load", "kunden", str(folder / "kunden.csv")],
        [*team, "factory", "publish"],
        [*team, "lab", "new", "treue", "--no-input", "--assume", "visit=0.11", "--assume", "conversion=0.02"],
        [*team, "lab", "check", "treue"],
        [*team, "lab", "launch", "treue"],
    ]


@pytest.fixture(scope="module")
def launched(folder):
    given = steps(folder)
    assert len(given) <= 9
    for words in given:
        assert _exit_code(words) == 0, words
    return open_workspace(folder / "team")


def test_a_pilot_of_ones_own_is_launched_in_nine_commands_at_most(launched):
    charter = get_pilot(open_lab(launched), "treue").charter
    assert charter.population == "kunden"
    # As many customers take part as the plan needs, and not all that there are.
    assert 2 * charter.sample.units_per_arm < 0.95 * CUSTOMERS


def test_what_the_shop_calls_its_columns_is_what_the_draft_reads(launched):
    contract = load_contract(launched.configs / "contracts" / "kunden.odcs.yaml")
    columns = {column.name: column for column in contract.columns}
    assert {columns["umsatz_2025"].type, columns["letzter_kauf"].type} == {"number", "date"}
    assert columns["plz"].type == "string"  # or a leading zero would be lost
    assert columns["e_mail"].classification == columns["vorname"].classification == "personal"
    audience = (launched.pilots / "treue" / "audience.sql").read_text()
    assert "SELECT kundennummer AS unit\nFROM kunden\n" in audience


def test_in_a_rehearsal_one_command_more_brings_it_before_the_gate_which_admits_it(launched, capsys):
    capsys.readouterr()
    assert _exit_code(["--workspace", str(launched.root), "lab", "rehearse", "treue", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["arms"]) == ("admit", {"email": "admit"})
