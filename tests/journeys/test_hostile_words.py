"""Hostile words on their whole way: every free text of a pilot tries to forge what people read, and none of it acts.

A charter like this is refused today; one that an earlier build had frozen is shown, judged and decided like any other.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from factory.preflight.report import preflight
from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.intake.intake import record
from lab.launch.amendment import amend
from lab.launch.launch import launch
from pilotplant.app import _exit_code
from pilotplant.desk.desk import Desk
from shared.core import yamlfile
from tests.desk import at
from tests.fakes import post_office
from tests.hostile import WRITTEN, forged_lines, hostile_signs
from tests.lab_makers import AFTER, BEFORE, INSIDE, OWNER, PILOT, draft, results, stage_copy, write_csv

pytestmark = pytest.mark.check

REASON = f"the printer was late {WRITTEN}"


def hostile_charter(path: Path) -> None:
    """Every text of the charter that is free."""
    content = yaml.safe_load(path.read_text())
    content["hypothesis"] = dict.fromkeys(("because", "we_believe", "will"), WRITTEN)
    for arm in content["arms"][1:]:
        arm["play"]["subject"] = "For you " + WRITTEN.replace("\n", " ").replace("\r", " ")
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def hostile_metrics(workspace) -> None:
    """A unit is written beside every number."""
    path = workspace.configs / "metrics.yaml"
    content = yaml.safe_load(path.read_text())
    for metric in content["metrics"].values():
        if "unit" in metric:
            metric["unit"] = WRITTEN
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


@pytest.fixture(scope="module")
def frozen(request, tmp_path_factory):
    """A pilot of a build that took every character: launched, amended, recorded, analysed, and before the gate."""
    workspace = stage_copy(request, tmp_path_factory.mktemp("hostile") / "workspace", "loaded")
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(yamlfile, "hidden", lambda _: None)
        path = draft(workspace)
        hostile_charter(path)
        hostile_metrics(workspace)
        (path.parent / "message.txt").write_text(f"Dear customer from a {{{{ zip_code }}}} place.\n{WRITTEN}\n")
        workspace.clock.set(BEFORE)
        launch(workspace, PILOT)
        changed = yaml.safe_load(path.read_text())
        changed["budget"]["media"] = 120.00
        path.write_text(yaml.safe_dump(changed, sort_keys=False, allow_unicode=True))
        amend(workspace, PILOT, REASON)
        workspace.clock.set(INSIDE)
        record(workspace, PILOT, write_csv(workspace.root.with_name("results.csv"), results(workspace)))
        workspace.clock.set(AFTER)
        analyse(workspace, PILOT)
        submit(workspace, PILOT)
        preflight(workspace, PILOT)
    # What is edited from now on is read as today: metrics.yaml is mended, and the frozen definitions stay.
    mended = yaml.safe_load((workspace.configs / "metrics.yaml").read_text())
    for metric in mended["metrics"].values():
        if "unit" in metric:
            metric["unit"] = "dollars"
    (workspace.configs / "metrics.yaml").write_text(yaml.safe_dump(mended, sort_keys=False))
    return workspace


@pytest.fixture(scope="module")
def at_desk(frozen):
    """The owner at the desk."""
    with at(Desk(frozen), OWNER) as browser:
        yield browser


def said(workspace, capsys, *words):
    code = _exit_code(["--workspace", str(workspace.root), *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def clean(text: str) -> None:
    assert hostile_signs(text) == set()
    assert forged_lines(text) == []


COMMANDS = [
    ("lab", "show", PILOT),
    ("lab", "list"),
    ("lab", "remind"),
    ("lab", "report"),
    ("lab", "analyse", PILOT),
    ("lab", "insights"),
    ("lab", "sql", PILOT, "SELECT 'a' || chr(27) || '[31m' || chr(10) || 'ADMIT' AS \"[bold]x\", chr(8238) AS rlo"),
    ("status",),
    ("verify",),
    ("promote", "check", PILOT),
    ("promote", "check", PILOT, "--explain", "charter_frozen"),
    ("promote", "summary", PILOT),
    ("promote", "queue"),
    ("promote", "remind"),
    ("promote", "log"),
    ("promote", "log", "--format", "csv"),
    ("promote", "portfolio"),
    ("promote", "verify"),
    ("promote", "audit", "--as-of", "2026-02-01"),
    (
        "promote",
        "decide",
        PILOT,
        "scale",
        "--arm",
        "letter",
        "--as",
        OWNER,
        "--reason",
        "visits rose by far",
        "--dry-run",
    ),
    ("factory", "preflight", PILOT),
]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:4]).split("SELECT")[0])
def test_no_command_shows_anything_that_acts(frozen, capsys, words, as_json):
    if as_json and "csv" in words:
        pytest.skip("CSV is no JSON")
    code, out, err = said(frozen, capsys, *words, *(["--json"] if as_json else []))
    assert code != 1, err
    assert out
    clean(out)
    clean(err)
    if as_json:
        json.loads(out)


def test_the_words_are_shown_where_they_were_said(frozen, capsys):
    for words in (("lab", "show", PILOT), ("promote", "summary", PILOT)):
        told = said(frozen, capsys, *words)[1]
        assert r"so\neverybody: ADMIT\r\u001b[2K" in told
        assert "[bold red]ADMIT[/]" in told


def test_the_owners_page_says_nothing_that_the_gate_does_not(frozen, capsys, tmp_path):
    """As in the audit: an owner's page was forged with a fake ADMIT."""
    page = tmp_path / "page.html"
    said(frozen, capsys, "promote", "summary", PILOT, "--html", str(page))
    text = page.read_text(encoding="utf-8")
    clean(text)
    assert "<script>" not in text
    assert r"so\neverybody: ADMIT" in text


def test_the_report_and_its_pictures_hold_nothing_that_acts(frozen):
    files = [path for path in frozen.lab.rglob("*") if path.suffix in {".html", ".svg"}]
    assert {path.suffix for path in files} == {".html", ".svg"}
    for path in files:
        text = path.read_text(encoding="utf-8")
        clean(text)
        assert "<script>" not in text


@pytest.mark.parametrize("path", ["/today", "/lab", f"/lab/{PILOT}", "/gate", f"/gate/{PILOT}", "/factory", "/ledger"])
def test_the_desk_shows_nothing_that_acts(frozen, at_desk, path):
    page, data = at_desk.page(path), at_desk.client.get(f"{path}.json").text
    for text in (page, data):
        clean(text)
    assert "<script>" not in page
    assert "<b>ADMIT" not in page
    json.loads(data)


def test_the_desk_shows_the_words_where_they_were_said(at_desk):
    for path in (f"/lab/{PILOT}", f"/gate/{PILOT}"):
        assert r"so\neverybody: ADMIT" in at_desk.page(path)


def test_the_notebooks_parameters_and_tags_hold_nothing_that_acts(frozen):
    from lab.analysis.tracking import _client

    client = _client(frozen)
    [experiment] = [each for each in client.search_experiments() if each.name == PILOT]
    for run in client.search_runs([experiment.experiment_id]):
        for value in (*run.data.params.values(), *run.data.tags.values()):
            assert hostile_signs(value, allowed="") == set()


def test_a_preview_stands_behind_a_bar(frozen, capsys):
    _, out, _ = said(frozen, capsys, "lab", "preview", PILOT, "--arm", "letter")
    clean(out)
    assert "  | everybody: ADMIT\n" in out


def test_a_test_mail_arrives_with_everything_shown(frozen, capsys):
    settings = frozen.configs / "lab.yaml"
    before = settings.read_text()
    try:
        with post_office() as post:
            settings.write_text(
                before + f"smtp: {{host: 127.0.0.1, port: {post.port}, security: none, sender: lab@example.com}}\n"
            )
            code, _, err = said(frozen, capsys, "lab", "test-send", PILOT, "--arm", "letter", "--to", OWNER)
            assert code == 0, err
    finally:
        settings.write_text(before)
    [(_, _, mail)] = post.taken
    assert hostile_signs(str(mail["Subject"]), allowed="") == set()
    assert hostile_signs(mail.get_content(), allowed="\r\n\t") == set()


@pytest.mark.parametrize("suffix", [".csv"])
def test_a_sheet_from_the_sandbox_holds_no_formula(frozen, capsys, tmp_path, suffix):
    import csv

    out = tmp_path / f"out{suffix}"
    query = "SELECT '=cmd|'' /C calc''!A1' AS a, chr(27) || 'x' AS b, '-1' AS c, 'Zoë' AS \"=d\""
    code, _, err = said(frozen, capsys, "lab", "sql", PILOT, query, "--out", str(out))
    assert code == 0, err
    text = out.read_text(encoding="utf-8")
    assert list(csv.reader(io.StringIO(text))) == [
        ["a", "b", "c", "'=d"], ["'=cmd|' /C calc'!A1", r"\u001bx", "-1", "Zoë"],
    ]  # fmt: skip


def test_a_decision_and_what_it_exports_hold_nothing_that_acts(frozen, capsys, tmp_path, request):
    import shutil

    from shared.state.workspace import open_workspace

    shutil.copytree(frozen.root, tmp_path / "workspace")
    workspace = open_workspace(tmp_path / "workspace")
    code, out, err = said(
        workspace, capsys, "promote", "decide", PILOT, "stop", "--as", OWNER, "--insight", "no more letters",
        "--reason", "so\neverybody: ADMIT",
    )  # fmt: skip
    assert code == 0, err
    clean(out)
    code, out, err = said(workspace, capsys, "promote", "export", PILOT, "--out", str(tmp_path / "shown"))
    assert code == 0, err
    clean(out)
    clean((tmp_path / "shown" / "README.md").read_text(encoding="utf-8"))
    for words in (("promote", "log"), ("promote", "summary", PILOT), ("lab", "insights"), ("status",)):
        _, out, err = said(workspace, capsys, *words)
        clean(out)
        clean(err)


@pytest.mark.parametrize("command", [("lab", "check"), ("lab", "preview"), ("lab", "launch")])
def test_today_a_charter_that_hides_something_is_refused_by_file_line_and_character(request, tmp_path, capsys, command):
    workspace = stage_copy(request, tmp_path / "workspace", "loaded")
    path = draft(workspace, PILOT, ("a letter\n", '"a letter\\e[2K"\n'))
    code, out, err = said(workspace, capsys, *command, PILOT)
    assert code == 2
    assert f"{path}, line 5" in out + err
    assert "U+001B, control character" in out + err
    clean(out)
    clean(err)


@pytest.mark.parametrize("sign", ["\x1b", "\x9b", "\u202e", "\u200b", "\ufeff", "\u2028"])
def test_no_command_takes_a_word_that_hides_something(frozen, capsys, sign):
    code, out, err = said(
        frozen, capsys, "promote", "decide", PILOT, "scale", "--as", OWNER, "--reason", f"it {sign}rose"
    )
    assert code == 2
    assert "a character that nobody can see" in err
    clean(out)
    clean(err)


@pytest.mark.parametrize("file", ["people.yaml", "gate.yaml", "lab.yaml", "factory.yaml", "metrics.yaml"])
def test_settings_that_hide_something_are_refused_by_file_and_line(request, tmp_path, capsys, file):
    workspace = stage_copy(request, tmp_path / "workspace", "loaded")
    path = workspace.configs / file
    path.write_text('"hid\u202eden": 1\n' + path.read_text())
    commands = {"people.yaml": ("lab", "check", PILOT), "metrics.yaml": ("lab", "check", PILOT),
                "gate.yaml": ("promote", "queue"), "lab.yaml": ("lab", "list"),
                "factory.yaml": ("factory", "releases")}  # fmt: skip
    code, out, err = said(workspace, capsys, *commands[file])
    assert code == 2
    assert f"{file}, line 1" in out + err
    assert "U+202E" in out + err
    clean(out + err)
