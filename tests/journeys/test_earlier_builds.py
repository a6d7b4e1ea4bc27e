"""What earlier builds have launched, recorded, sealed, decided and released goes on with this one.

`tests/earlier/make.py` says how the archives were made. The tests follow one another in time, as what they do to a
workspace does; none needs another one's result.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta

import pytest
import yaml

from lab.pilots.promise import freeze
from shared.core.digests import digest_json
from shared.experiment.charter import Promise
from shared.state.workspace import open_workspace
from tests.earlier.make import PACKED, promises
from tests.earlier.opened import ARCHIVES, opened
from tests.earlier.pilots import LATER_END, OWNER, PILOTS, read_arms

pytestmark = pytest.mark.check

READS = (
    "status", "lab list", "lab show running-mail", "lab show sealed-mail", "lab insights", "lab report", "lab remind",
    "lab check running-mail", "promote queue", "promote log", "promote portfolio", "promote remind",
    "promote summary sealed-mail", "promote summary scaled-mail", "promote summary stopped-mail",
    "factory releases", "factory show scaled-mail-email", "factory status",
)  # fmt: skip
# Each with the moment of its play's schedule that comes next; the owner decides the day before.
SEALED = {
    "sealed-mail": datetime(2026, 3, 19, 9, tzinfo=UTC),
    "sealed-source": datetime(2026, 3, 21, 9, tzinfo=UTC),
    "sealed-killed": datetime(2026, 3, 22, 9, tzinfo=UTC),
}
NULL_DECIDED = datetime(2026, 3, 23, 10, tzinfo=UTC)
NEXT_RUN = datetime(2026, 3, 24, 9, tzinfo=UTC)
ENDED_RUN = datetime(2026, 3, 27, 9, tzinfo=UTC)
RUNNING_RUN = datetime(2026, 4, 6, 9, 20, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SCALE = ("--as", OWNER, "--reason", "visits rise and nobody spends less")


# The oldest of one kind goes the whole way in every run; the others in `make proof`, and here as far as one release.
EVERY_RUN = "0.1.0-before-nonces/live.tar.xz"
KINDS = {path: path.name.removesuffix(".tar.xz") for path in ARCHIVES}


def _named(path):
    return f"{path.parent.name}-{KINDS[path]}"


@pytest.fixture(
    scope="module",
    params=[pytest.param(path, marks=[] if path.match(EVERY_RUN) else [pytest.mark.proof]) for path in KINDS],
    ids=_named,
)
def earlier(request, tmp_path_factory):
    with opened(request.param, tmp_path_factory.mktemp("earlier")) as found:
        yield found


def verified(earlier, at):
    """Nothing is wrong with any room's record, nor with anything that was signed."""
    for words in (["verify"], ["promote", "verify"]):
        assert earlier.hand.say(at, *words, "--checkpoint", earlier.files / "checkpoint.json")["problems"] == []


def scaled(earlier, pilot, decided, occurrence, arm="email"):
    """Decides, admits and runs; what ran has written to most customers."""
    said = earlier.hand.say(decided, "promote", "decide", pilot, "scale", "--arm", arm, *SCALE)
    assert (said["decision"]["word"], said["repeated"]) == ("scale", False)
    release = f"{pilot}-{arm}"
    assert earlier.hand.say(decided + HOUR, "factory", "admit")["admitted"] == [release]
    ran = earlier.hand.say(occurrence + MINUTE, "factory", "run", release)
    # 600 customers, less the workspace's tenth and the play's twentieth of them.
    assert (ran["state"], 450 < ran["messages"] < 560) == ("done", True)
    verified(earlier, occurrence + HOUR)


def test_there_are_workspaces_of_every_kind():
    assert set(KINDS.values()) == {"rehearsal", "live", "live-postgresql"}


# Of the later archives one kind is opened in every run.
OPENED = [path for path in KINDS if not path.match(EVERY_RUN)]
SELDOM = [path for path in OPENED if "before-nonces" not in str(path) and KINDS[path] != "live"]


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.proof] if path in SELDOM else [], id=_named(path)) for path in OPENED],
)
def test_each_kind_opens_verifies_judges_and_runs(path, tmp_path):
    with opened(path, tmp_path) as earlier:
        verified(earlier, PACKED + HOUR)
        _, found = earlier.hand.ask(PACKED + HOUR, "promote", "check", "sealed-mail")
        assert found["verdict"] == earlier.said["judged"]["sealed-mail"]["verdict"]
        ran = earlier.hand.say(NEXT_RUN + MINUTE, "factory", "run", "scaled-mail-email")
        assert (ran["state"], 450 < ran["messages"] < 560) == ("done", True)


@pytest.mark.parametrize("words", READS)
def test_every_question_is_answered(earlier, words):
    assert earlier.hand.say(PACKED + HOUR, *words.split())


def test_the_record_verifies_here_and_for_others(earlier):
    verified(earlier, PACKED + HOUR)
    audit = earlier.hand.say(PACKED + HOUR, "promote", "audit", "--as-of", PACKED.date())
    assert {each["pilot"]: each["word"] for each in audit["decisions"]} == earlier.said["decided"]
    assert [each["problems"] for each in audit["decisions"]] == [[], [], []]
    export = earlier.files / "export"
    words = ["--package", export / "package", "--keys", export / "keys", "--recompute"]
    assert earlier.hand.say(PACKED + HOUR, "promote", "verify", *words)["problems"] == []


def test_promises_and_charters_have_the_digests_that_they_had(earlier):
    root = earlier.hand.root
    found = {str(path.relative_to(root)): Promise.model_validate_json(path.read_text()) for path in promises(root)}
    assert {path: promise.digest for path, promise in found.items()} == earlier.said["promises"]
    charters = {path: digest_json(promise.as_json()["charter"]) for path, promise in found.items()}
    assert charters == earlier.said["charters"]


def test_a_charter_that_is_frozen_once_more_is_the_promise_that_it_was(earlier):
    """From the team's own files, as an amendment reads them; the last version is the one that they say now."""
    workspace = open_workspace(earlier.hand.root)
    last = {path.parts[-3]: json.loads(path.read_text()) for path in promises(workspace.root)}
    assert len(last) == len(PILOTS) - 1
    for name, kept in last.items():
        before = Promise.model_validate(kept)
        promise = freeze(workspace, name, rules=before.rules).promise
        again = promise.model_copy(update={"amends": before.amends})
        assert again.digest == digest_json(kept), name


@pytest.mark.parametrize("pilot", ["unfed-mail", "running-mail"])
def test_a_launched_pilot_keeps_the_arms_that_were_drawn_at_its_launch(earlier, tmp_path, pilot):
    earlier.hand.say(PACKED + HOUR, "lab", "assign", pilot, "--out", tmp_path / "arms.csv")
    assert read_arms(tmp_path / "arms.csv") == read_arms(earlier.files / f"{pilot}-arms.csv")


@pytest.mark.parametrize("pilot", [name for name in PILOTS if name.startswith(("sealed", "stopped", "rev", "scaled"))])
def test_what_was_sealed_is_judged_as_it_was(earlier, pilot):
    """A later build may find more, but nothing that it found before otherwise, and the verdict stays."""
    said = earlier.said["judged"][pilot]
    _, found = earlier.hand.ask(PACKED + HOUR, "promote", "check", pilot)
    outcomes = {(each["check"], each["arm"]): each["outcome"] for each in found["findings"]}
    before = {(check, arm): outcome for check, arm, outcome in said["findings"]}
    assert {name: outcomes.get(name) for name in before} == before
    assert found["verdict"] == said["verdict"]


@pytest.mark.parametrize("pilot", SEALED)
def test_what_was_sealed_is_scaled_admitted_and_run(earlier, pilot):
    """By its own rules: later ones refuse what earlier ones let pass, like a kill criterion that is met."""
    if earlier.said["judged"][pilot]["verdict"] != "admit":
        decided = SEALED[pilot] - timedelta(hours=20)
        assert earlier.hand.ask(decided, "promote", "decide", pilot, "scale", "--arm", "email", *SCALE)[0] == 3
        return
    scaled(earlier, pilot, SEALED[pilot] - timedelta(hours=20), SEALED[pilot])


def test_what_was_sealed_and_shows_nothing_is_not_scaled_and_can_be_stopped(earlier):
    words = ["promote", "decide", "sealed-null"]
    code, _ = earlier.hand.ask(NULL_DECIDED, *words, "scale", *SCALE)
    assert code == 3
    stopped = earlier.hand.say(NULL_DECIDED, *words, "stop", *SCALE[:2], "--reason", "nothing came of it", "--insight",
                               "a mail alone brings nobody")  # fmt: skip
    assert stopped["decision"]["word"] == "stop"


def test_a_release_runs_at_its_next_occurrence_and_not_twice(earlier):
    for state in ("done", "repeated"):
        ran = earlier.hand.say(NEXT_RUN + MINUTE, "factory", "run", "scaled-mail-email")
        assert (ran["state"], 450 < ran["messages"] < 560) == (state, True)
    verified(earlier, NEXT_RUN + HOUR)


def test_an_analysed_pilot_is_submitted_tried_and_scaled(earlier):
    at = NEXT_RUN + 2 * HOUR
    earlier.hand.say(at, "lab", "submit", "ended-mail")
    earlier.hand.say(at, "factory", "preflight", "ended-mail")
    scaled(earlier, "ended-mail", at, ENDED_RUN)


def test_a_pilot_without_results_is_recorded_ended_analysed_and_stopped(earlier):
    hand, at = earlier.hand, ENDED_RUN + timedelta(days=1)
    assert hand.say(at, "lab", "record", "unfed-mail", earlier.files / "unfed-mail.csv")["quarantined"] == []
    hand.say(at, "lab", "end", "unfed-mail", "--reason", "there are other things to do")
    for words in ("lab analyse", "lab submit", "factory preflight"):
        hand.say(at, *words.split(), "unfed-mail")
    words = ["--as", OWNER, "--reason", "there are other things to do", "--insight", "households are hard to reach"]
    assert hand.say(at, "promote", "decide", "unfed-mail", "stop", *words)["decision"]["word"] == "stop"
    verified(earlier, at + HOUR)


def test_a_running_pilot_is_amended_recorded_paid_analysed_and_scaled(earlier):
    hand, at = earlier.hand, ENDED_RUN + timedelta(days=2)
    charter = hand.root / "pilots" / "running-mail" / "charter.yaml"
    charter.write_text(charter.read_text().replace("media: '120.00'", "media: '130.00'"))
    assert hand.say(at, "lab", "amend", "running-mail", "--reason", "stamps cost more than was said")["version"] == 3
    late = LATER_END - HOUR
    hand.say(late, "lab", "record", "running-mail", earlier.files / "running-mail-later.csv")
    hand.say(late, "lab", "spend", "running-mail", "38.50", "--settle", "letters")
    ended = LATER_END + HOUR
    analysed = hand.say(ended, "lab", "analyse", "running-mail")
    arms = read_arms(earlier.files / "running-mail-arms.csv").values()
    # All but the one that was seen in two arms.
    assert sum(analysed["arms"].values()) == len(arms) - 1
    hand.say(ended, "lab", "submit", "running-mail")
    hand.say(ended, "factory", "preflight", "running-mail")
    scaled(earlier, "running-mail", ended, RUNNING_RUN)


@pytest.mark.parametrize("draft", ["revised-mail-2", "draft-mail"])
def test_a_draft_is_launched(earlier, draft):
    path = earlier.hand.root / "pilots" / draft / "charter.yaml"
    charter = yaml.safe_load(path.read_text())
    charter["time_box"] |= {"start": date(2026, 4, 8), "end": date(2026, 4, 22)}
    if draft == "draft-mail":  # it says to customers what the other one says, which goes before it
        before = {"pilot": "revised-mail-2", "change": "another month", "alpha_spent": 0.05}
        charter |= {"follows": before, "sample": charter["sample"] | {"alpha": 0.0125}}
    charter |= {"decide_by": date(2026, 5, 6)}
    path.write_text(yaml.safe_dump(charter))
    at = RUNNING_RUN + 4 * HOUR
    # How much its line has spent is told by the gate: a line that was registered by later rules is longer.
    _, checked = earlier.hand.ask(at, "lab", "check", draft)
    for problem in checked["problems"]:
        if told := re.search(r"alpha_spent: ([\d.]+)", problem["expected"] or ""):
            charter["follows"]["alpha_spent"] = float(told[1])
            path.write_text(yaml.safe_dump(charter))
    earlier.hand.say(at, "lab", "launch", draft)
    shown = earlier.hand.say(at, "lab", "show", draft)
    assert shown["state"] == "running"
    verified(earlier, at)
