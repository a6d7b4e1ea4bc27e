"""The overview says whose move it is."""

from pilotplant.overview import overview, waits
from shared.workspace import create


def release(state: str, last: str | None) -> dict:
    return {"name": "spring-mail", "state": state, "last_state": last}


def test_live_releases_whose_last_run_went_wrong_wait_for_ops():
    for last in ("failed", "refused"):
        [found] = waits([], [], [release("live", last)])
        assert (found["for"], found["next"]) == ("ops", "look at it: pilotplant factory show spring-mail")


def test_a_good_run_none_and_a_paused_release_wait_for_nobody():
    assert waits([], [], [release("live", "done"), release("live", None), release("paused", "failed")]) == []


def test_a_draft_waits_for_its_author(tmp_path):
    made, _ = create(tmp_path / "team", "rehearsal")
    (made.pilots / "autumn").mkdir()
    (made.pilots / "autumn" / "charter.yaml").write_text("schema_version: 1\n")
    found = overview(made).as_json()["waits"]
    assert [(entry["what"], entry["next"]) for entry in found] == [("autumn (draft)", "pilotplant lab check autumn")]
