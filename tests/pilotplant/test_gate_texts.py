"""What the gate's commands print for people."""

from promotion.cli.history import gist, when
from promotion.cli.texts import numbers_text
from shared.core.times import date_time
from shared.trust.finding import Finding


def test_an_explained_finding_is_one_plain_line():
    finding = Finding(
        check="guardrails",
        arm="mens",
        outcome="passed",
        measured={"estimate": 0.123456789, "arms": {"control": 21379}, "p": 6.1e-289},
        threshold={"margin": -0.1, "held": True, "list": ["a", 2]},
        reason="spend is no worse",
    )
    assert numbers_text(finding) == (
        "guardrails (mens): spend is no worse; measured estimate=0.1235, arms=(control=21,379), p=6.1e-289; "
        "asked margin=-0.1, held=yes, list=(a, 2)"
    )


def test_the_log_names_who_decided_what():
    decision = {"word": "stop", "owner": "owner@example.com"}
    assert gist("decided", {"decision": decision}) == "stop by owner@example.com"
    assert gist("registered", {"promise": "sha256:" + "a" * 64}) == "promise sha256:aaaaaaaaaaaa…"
    assert gist("enrolled", {"role": "owner"}) == "owner"


def test_a_time_is_told_to_the_minute_and_what_is_none_as_it_stands():
    assert date_time("2026-01-05T09:00:59.123456Z") == when("2026-01-05T10:00:59+01:00") == "2026-01-05 09:00 UTC"
    assert (date_time(None), date_time("soon"), when("2026-01-05T09:00:59")) == ("–", "soon", "2026-01-05T09:00:59")
    # SQLite keeps what a hand has put into a column of text, whatever it is.
    assert (when(b"\x00"), when(None)) == ("b'\\x00'", "None")
    lapsed = {"owner": "owner@example.com", "deadline": "never"}
    assert gist("lapsed", lapsed) == "owner@example.com did not decide before never, which is *stop*"
