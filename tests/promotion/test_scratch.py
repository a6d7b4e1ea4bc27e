def test_it(stage):
    found = stage.judge()
    for f in found.findings:
        print(f.model_dump())
    assert found.verdict == "admit"
