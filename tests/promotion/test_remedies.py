"""Every refusal says in one sentence what would change the verdict: more units, days, a fix, or nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import promotion.gate.checks
from promotion.gate.checks import CHECKS
from promotion.gate.gate import judge
from promotion.gate.policy import Policy, read_settings
from promotion.gate.waivers import POOR
from shared.core.clock import rfc3339
from tests.makers import moment
from tests.promotion.cases import EXPOSED, GOOD, JUDGED, LAUNCHED, Recorded

HALF = moment("2026-01-12 00:00")
CLOSED = {"covers_until": rfc3339(HALF), "days": 6}
# What is wrong with a pilot; each changes one thing of a good one.
VARIANTS = {
    "weak": {"arms": {**GOOD, "letter": Recorded(visits=24)}},
    "harmful": {"arms": {**GOOD, "letter": Recorded(visits=5, spend=(0.1, 0.3))}},
    "too good": {"arms": {**GOOD, "letter": Recorded(visits=199)}},
    "lopsided": {"arms": {**GOOD, "letter": Recorded(units=40, visits=12)}},
    "empty": {"arms": {}},
    "one arm": {"arms": {"control": Recorded()}},
    "constant": {"arms": {name: Recorded(visits=0, spend=(2.0,)) for name in GOOD}},
    "closed early": CLOSED,
    "one day": {"days": 1},
    "in two arms": {"in_two_arms": 40},
    "never deposited": {"registered": None},
    "deposited late": {"registered": EXPOSED},
    "overspent": {"costs": [("80.00", "USD")]},
    "other currency": {"costs": [("8.00", "EUR")]},
    "no guardrail": {"charter": {"guardrails": []}},
    "too few units": {"charter": {"sample": {"units_per_arm": 5_000}}},
    "unknown owner": {"charter": {"owner": "nobody@example.com"}},
    "own owner": {"charter": {"requester": "owner@example.com"}},
    "no trait": {"charter": {"segments": ["zip_code"]}},
    "null outcomes": {"outcomes": "SELECT * REPLACE (CAST(NULL AS BIGINT) AS visit) FROM outcomes"},
    "before exposure": {"outcomes": 'SELECT * REPLACE ("at" - INTERVAL 9 DAY AS "at") FROM outcomes'},
    "certificate missed": {"certified": {"false": {"visit": 400}}},
    "no preflight": {"preflight": None},
    "follows": {
        "charter": {"follows": {"pilot": "x-email", "candidate": "sha256:1", "change": "y", "alpha_spent": 0.9}}
    },
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("tier", ["high"])
def test_whatever_did_not_pass_says_what_would_change_it(stage, variant, tier):
    judgement = stage.judge(tier=tier, **VARIANTS[variant])
    poor = [one for one in judgement.findings if one.outcome in POOR]
    assert poor
    for one in poor:
        assert one.remedy, one
        assert "\n" not in one.remedy
        assert one.remedy.strip() == one.remedy


def test_a_check_without_a_rule_says_it_too(stage):
    policy = Policy(tier="standard", rules={})
    findings = judge(stage.case(), policy).findings
    assert len(findings) == len(CHECKS)
    assert all(one.remedy for one in findings)


def test_a_damaged_candidate_says_it_too(stage):
    candidate = stage.submit()
    for name in ("promise.json", "evidence.json", "spend.json"):
        (candidate.folder / name).write_text("{")
    judgement = judge(stage.open(candidate, now=JUDGED), read_settings(stage.workspace).policy("standard"))
    poor = [one for one in judgement.findings if one.outcome in POOR]
    assert len(poor) > len(CHECKS) // 2
    assert [one for one in poor if not one.remedy] == []
    assert LAUNCHED < JUDGED


def calls(tree):
    """Each finding that a check's source makes, with its outcome as written and the names of what it says."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "finding":
            yield ast.unparse(node.args[0]), {word.arg for word in node.keywords}


@pytest.mark.parametrize(
    "path", sorted(Path(promotion.gate.checks.__file__).parent.glob("*/[!_]*.py")), ids=lambda path: path.stem
)
def test_no_check_can_say_no_without_saying_what_would_help(path):
    """Also where no case of ours gets it to: the source of every finding but a pass names a remedy."""
    found = list(calls(ast.parse(path.read_text(encoding="utf-8"))))
    assert [outcome for outcome, said in found if outcome != "'passed'" and "remedy" not in said] == []
