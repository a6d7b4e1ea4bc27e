from promotion.cli.texts import findings_text


def test_a_remedy_that_helps_several_checks_is_told_once_with_all_of_them(stage):
    judgement = stage.judge(preflight=None, costs=[("99.00", "USD")])
    _, *remedies = findings_text(judgement.findings)
    [tried] = [line for line in remedies if "factory preflight" in line]
    assert tried.startswith("→ preflight_signed, contract_compatible, factory_table,")
    assert tried.endswith(": for ops: pilotplant factory preflight spring-email")
    assert [line for line in remedies if line.startswith("→ budget_kept: ")]
    # Of the arms, which the stage has from elsewhere, there is one more.
    assert len(remedies) == 3
