"""Is personal data absent from what was recorded, and from what the play would write?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.per_arm import by_arm
from promotion.gate.preflight import remedy
from shared.data.personal_data import personal
from shared.trust.finding import Finding
from shared.trust.preflight import PersonalData, ShadowRun
from shared.ui.console import counted

# The rules from which on it is asked of what was recorded; before, nothing was refused at intake.
RECORDED_SINCE = 2
_HIDDEN = ("identifier", "personal")


class PersonalRule(Rule):
    """Threshold. Pseudonyms, identifiers and foreign e-mail addresses are allowed in no message.

    Attributes:
        values_frac_max: the share of messages that may hold the unit's own value of a personal column: somebody may be
            called Urban who lives in an Urban place.
    """

    values_frac_max: float = Field(default=0.001, ge=0, lt=1)


@check(
    PersonalRule,
    reads="sealed rows and costs; the preflight report: the columns that are printed, and every rendered message",
    group="schema quality",
    blind=True,
)
def no_personal_data(case: Case, rule: PersonalRule) -> Iterator[Finding]:
    """Is personal data absent from what was recorded, and from what the play would write?"""
    if case.promise.rules >= RECORDED_SINCE:
        yield _recorded(case)
    yield from by_arm(case, case.preflight.report.shadow_runs, lambda run: _judged(case, rule, run))


def _recorded(case: Case) -> Finding:
    """What is sealed stays for years: ids, free texts, rows that were held back, and what costs were for."""
    texts = (text for entry in case.spend.entries for text in (entry.id, entry.purpose))
    found = {**case.personal_rows, "costs": sum(personal(text) is not None for text in texts)}
    found = {name: values for name, values in found.items() if values}
    compared: dict[str, Any] = {"measured": {"recorded": found}, "threshold": {"recorded": 0}}
    if found:
        told = ", ".join(f"{counted(values, 'value')} of {name}" for name, values in found.items())
        return finding(
            "failed",
            f"what was recorded holds what looks like e-mail addresses or telephone numbers: {told}",
            remedy="replace them by pseudonyms where the files are exported, and run the pilot again",
            **compared,
        )
    return finding(
        "passed", "no id and no text that was recorded looks like an address or telephone number", **compared
    )


def _judged(case: Case, rule: PersonalRule, run: ShadowRun) -> Finding:
    data = run.personal
    if data is None or run.messages == 0:
        told = "no message was rendered that could be searched"
        return finding("unevaluable", told, remedy=f"see shadow_run, then {remedy(case.charter.pilot)}")
    compared: dict[str, Any] = {
        "measured": {**data.model_dump(mode="json"), "messages": run.messages},
        "threshold": {"pseudonyms": 0, "addresses": 0, "values_frac_max": rule.values_frac_max},
    }
    found = list(_found(data, run.messages, rule))
    if found:
        return finding(
            "failed",
            "personal data would be written: " + "; ".join(found),
            remedy="take it out of the template in a new pilot, or classify the column and load the table anew",
            **compared,
        )
    searched = ", ".join(data.looked_for) or "no column"
    return finding(
        "passed", f"none in {run.messages:,} messages; looked for {searched}, pseudonyms, addresses", **compared
    )


def _found(data: PersonalData, messages: int, rule: PersonalRule) -> Iterator[str]:
    for name, kind in data.fields.items():
        if kind in _HIDDEN:
            yield f"the templates print `{name}`, which is classified {kind}"
    if data.pseudonyms:
        yield f"a unit's pseudonym in {counted(data.pseudonyms, 'message')}"
    if data.addresses:
        yield f"an e-mail address that the template does not name in {data.addresses:,} messages"
    for name, rows in data.values.items():
        allowed = rule.values_frac_max * messages if data.looked_for.get(name) == "personal" else 0
        if rows > allowed:
            yield f"the unit's own `{name}` in {rows:,} messages"
