"""The main job in one command: the demo, once on synthetic customers and once on the real e-mail test."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stdout
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from pilotplant.app import _exit_code
from shared.experiment.assignment import held_out
from tests.pasting import paste
from tests.real_data import FOLDER, on_real_data

# The demo's gate has a seed: its nonces are SHA-256 of seed and name.
NONCE = hashlib.sha256(b"demo:spring-mail").hexdigest()[:32]

README = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.timeout(600)


def play(folder: Path, *words: str) -> dict:
    command = [sys.executable, "-m", "pilotplant", "demo", "--into", str(folder), "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    return play(tmp_path_factory.mktemp("demo") / "shop")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return play(tmp_path_factory.mktemp("demo") / "real", "--data", str(FOLDER / "hillstrom.csv"))


def answer(demo: dict, *words: str) -> dict:
    with redirect_stdout(io.StringIO()) as out:
        _exit_code(["--workspace", demo["workspace"], *words, "--json"])
    return json.loads(out.getvalue())


def messages(demo: dict) -> list[dict]:
    [file] = Path(demo["workspace"]).glob("var/factory/outgoing/*/*.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def audience(demo: dict) -> set[str]:
    """The units of the snapshot, all of whom the play's own SELECT names: the same masking, read another way."""
    [table] = Path(demo["workspace"]).glob("var/lab/snapshots/*/customers.parquet")
    rows = duckdb.sql(f"SELECT customer_id FROM read_parquet('{table}')").fetchall()
    return {row[0] for row in rows}


def check_ending(demo: dict) -> None:
    decisions = {pilot["pilot"]: pilot["decision"] for pilot in demo["pilots"]}
    assert decisions == {"spring-mail": "scale", "womens-mail": "stop"}
    assert demo["releases"] == ["spring-mail-mens"]
    assert demo["scheduled_run"]["state"] == "Completed"
    assert demo["scheduled_run"]["auto_scheduled"] is True


def test_the_demo_ends_with_a_completed_scheduled_run(synthetic):
    check_ending(synthetic)


def test_the_live_workspace_names_the_rehearsal_as_a_reason(synthetic):
    assert any("rehearsal" in line for line in synthetic["live_refused"])


def test_the_live_workspace_admitted_nothing(synthetic):
    assert answer({"workspace": synthetic["live_workspace"]}, "factory", "releases")["releases"] == []


def test_the_record_verifies_after_the_demo(synthetic):
    assert _exit_code(["--workspace", synthetic["workspace"], "promote", "verify"]) == 0


def test_the_broken_pilot_is_refused_for_its_sample_ratio_as_a_whole_and_by_day_alone(synthetic):
    found = answer(synthetic, "promote", "check", "womens-mail")
    assert found["verdict"] == "refuse"
    assert {finding["check"] for finding in found["findings"] if finding["outcome"] != "passed"} == {
        "sample_ratio",
        "sample_ratio_by_day",
    }


def test_the_stopped_pilot_left_an_insight(synthetic):
    [insight] = answer(synthetic, "lab", "insights", "women")["insights"]
    assert insight["decision"] == "stop"


def test_everybody_in_the_audience_is_written_to_once_but_for_the_holdout(synthetic):
    """Expected by the assignment in Python over the snapshot; the run itself used SQL over its own export."""
    expected = {unit for unit in audience(synthetic) if not held_out("spring-mail-mens", unit, Fraction(1, 20), NONCE)}
    assert Counter(message["unit"] for message in messages(synthetic)) == Counter(expected)


def test_messages_go_to_the_factorys_own_ids(synthetic):
    assert all(message["to"].startswith("C") for message in messages(synthetic))


def test_no_unmasked_customer_lies_below_the_lab(synthetic):
    """E-mail addresses and customer ids of the shop, in every file's bytes and in every decoded Parquet table."""
    planted = (b"c000001@example.com", b"C000001", b"C064000")
    for path in (Path(synthetic["workspace"]) / "var/lab").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += "\n".join(map(str, duckdb.sql(f"SELECT * FROM read_parquet('{path}')").fetchall())).encode()
            assert not any(value in content for value in planted), path


def test_status_shows_each_environment_by_its_own_measures(synthetic):
    found = answer(synthetic, "status")
    assert found["lab"]["decisions"] == {"scale": 1, "revise": 0, "stop": 1}
    assert found["lab"]["cost_per_insight"] == {"amount": "1050.00", "currency": "USD"}
    assert found["factory"]["runs"] == {"done": 1}
    assert found["factory"]["rows_quarantined"] == 3


def test_the_synthetic_arms_show_what_they_were_drawn_from(synthetic):
    """Within five standard errors of the published cells: visit 10.62, 18.28 and 15.14 per cent."""
    query = "SELECT arm, avg(visit) FROM exposures JOIN outcomes USING (unit) GROUP BY arm ORDER BY arm"
    found = answer(synthetic, "lab", "sql", "spring-mail", query)
    for (arm, rate), published in zip(found["rows"], (0.1062, 0.1828, 0.1514), strict=True):
        assert rate == pytest.approx(published, abs=5 * (published * (1 - published) / 21_333) ** 0.5), arm


@pytest.mark.proof  # a second whole demo
@on_real_data
def test_the_real_test_ends_the_same_way(real):
    check_ending(real)


# Published: the shop's own arms and outcomes; Hillstrom 2008, mens against control, unadjusted 95 % intervals.
PUBLISHED = {
    "visit": (100, 2, ("7.66", "7.00", "8.32")),
    "conversion": (100, 2, ("0.68", "0.50", "0.86")),
    "spend": (1, 3, ("0.770", "0.485", "1.055")),
}


@pytest.mark.proof
@on_real_data
@pytest.mark.parametrize("metric", sorted(PUBLISHED))
def test_the_published_effects_of_the_mens_mail_are_reproduced(real, metric):
    scale, digits, published = PUBLISHED[metric]
    effects = answer(real, "lab", "analyse", "spring-mail")["effects"]
    [effect] = [effect for effect in effects if (effect["arm"], effect["metric"]) == ("mens", metric)]
    printed = tuple(f"{scale * effect[name]:.{digits}f}" for name in ("estimate", "low", "high"))
    assert printed == published


@pytest.mark.proof
@on_real_data
def test_the_published_arms_are_counted(real):
    arms = answer(real, "lab", "analyse", "spring-mail")["arms"]
    assert arms == {"control": 21_306, "mens": 21_307, "womens": 21_387}


def test_another_file_than_the_test_is_bad_input(tmp_path, capsys):
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    assert _exit_code(["demo", "--into", str(tmp_path / "demo"), "--data", str(other)]) == 2
    assert "lacks recency" in capsys.readouterr().err


def test_a_demo_never_writes_over_what_is_there(tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    assert _exit_code(["demo", "--into", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def blocks(heading: str, until: str) -> str:
    """The commands that README shows between two headings, in their order."""
    section = README.read_text(encoding="utf-8").partition(heading)[2].partition(until)[0]
    return "\n".join(block.strip("\n") for block in section.split("```")[1::2])


@pytest.mark.proof
def test_what_the_readme_tries_after_the_demo_does_what_it_says(synthetic, tmp_path):
    shutil.copytree(synthetic["workspace"], tmp_path / "demo" / "rehearsal", symlinks=True)
    script = blocks("## After the demo", "\n## ")
    refused = "promote check womens-mail"
    assert refused in script
    done = paste(script.replace(refused, f"{refused} || test $? = 3"), tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert (tmp_path / "demo" / "womens-mail.html").exists()
