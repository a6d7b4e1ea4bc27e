import pytest

from promotion.gate.checks.effects.evidence_recomputed import differences


def test_honest_evidence_passes(stage, ask):
    [found] = ask("evidence_recomputed", stage.case())
    assert (found.outcome, found.measured, found.threshold) == ("passed", [], 1e-9)


def test_another_release_of_the_software_may_have_computed_it(stage, ask, edit):
    alter = edit("evidence.json", lambda evidence: evidence.update(software="pilotplant 0.0.1"))
    [found] = ask("evidence_recomputed", stage.case(alter=alter))
    assert found.outcome == "passed"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda e: e["effects"][0].update(estimate=0.3), "effects[0].estimate is 0.3, the gate computes 0.1999"),
        (lambda e: e["effects"][0].update(p_adjusted=None), "effects[0].p_adjusted is None, the gate computes"),
        (lambda e: e["effects"].pop(), "effects is "),
        (lambda e: e["arms"][1].update(units=201), "arms[1].units is 201, the gate computes 200"),
        (lambda e: e["health"].update(multiple_units=1), "health.multiple_units is 1, the gate computes 0"),
        (lambda e: e["health"]["sample_ratio"].update(p=0.5), "health.sample_ratio.p is 0.5, the gate computes 1.0"),
        (lambda e: e.update(outcomes=399), "outcomes is 399, the gate computes 400"),
        (lambda e: e.update(first_exposure="2026-01-06T09:00:00Z"), "first_exposure is '2026-01-06T09:00:00Z'"),
        (lambda e: e["data"].update({"outcomes.parquet": "sha256:0"}), "data.outcomes.parquet is 'sha256:0'"),
        (lambda e: e.update(promise="sha256:0"), "promise is 'sha256:0'"),
    ],
)
def test_every_invented_number_fails_and_is_named(stage, ask, edit, change, named):
    [found] = ask("evidence_recomputed", stage.case(alter=edit("evidence.json", change)))
    assert (found.outcome, named in found.reason) == ("failed", True)
    assert "analyse and submit again" in found.remedy


def test_only_the_first_five_are_told_and_all_are_kept(stage, ask, edit):
    def change(evidence):
        for effect in evidence["effects"]:
            effect.update(estimate=9.0, low=9.0, high=9.0, p=0.9)

    [found] = ask("evidence_recomputed", stage.case(alter=edit("evidence.json", change)))
    assert (len(found.measured), found.reason.endswith(" and 3 more")) == (8, True)


def test_evidence_that_cannot_be_read_is_unevaluable(stage, ask):
    [found] = ask("evidence_recomputed", stage.case(alter=lambda folder: (folder / "evidence.json").write_text("{}")))
    assert (found.outcome, found.remedy) == ("unevaluable", "submit the pilot again")


def test_data_that_cannot_be_read_are_unevaluable(stage, ask):
    [found] = ask("evidence_recomputed", stage.case(alter=lambda f: (f / "data" / "conflicts.parquet").unlink()))
    assert found.outcome == "unevaluable"


@pytest.mark.parametrize(
    ("submitted", "own", "same"),
    [
        (1.0, 1.0 + 9e-10, True),
        (1.0, 1.0 + 3e-9, False),
        (0.0, 9e-10, True),
        (1, 1.0, False),
        (True, 1, False),
        (None, 0.0, False),
        (float("nan"), float("nan"), False),
        ([1], [1, 2], False),
        ({"a": 1}, {"a": 1, "b": None}, True),
        ({"a": 1}, {"a": 1, "b": 0}, False),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}, True),
    ],
)
def test_counts_are_compared_exactly_and_fractions_to_a_billionth(submitted, own, same):
    assert (list(differences(submitted, own)) == []) is same
