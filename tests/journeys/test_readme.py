"""What README shows of a first pilot, pasted as it stands: the gate admits it, and the Factory takes it over."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilotplant.demo.shop import open_shop, write_customers
from tests.pasting import paste

pytestmark = pytest.mark.check

README = Path(__file__).parent.parent.parent / "README.md"
FIRST, NEXT = "## Your first pilot", "## Deciding"
FOREVER = "pilotplant factory up        # Ctrl-C stops it"


def commands():
    """All commands of the section, in their order."""
    section = README.read_text().partition(FIRST)[2].partition(NEXT)[0]
    return "\n".join(block.strip("\n") for block in section.split("```")[1::2])


@pytest.fixture(scope="module")
def pasted(tmp_path_factory):
    home = tmp_path_factory.mktemp("readme") / "pilot-plant"
    (home / "demo" / "inputs").mkdir(parents=True)
    write_customers(open_shop(None), home / "demo" / "inputs" / "customers.csv")
    script = commands()
    assert FOREVER in script
    enters = "cd ../my-team\n"  # from where on the same arms are drawn in every run of this test
    assert enters in script
    script = script.replace(enters, enters + "echo 'nonce_seed: readme' >> configs/gate.yaml\n", 1)
    return home.parent / "my-team", paste(script.replace(FOREVER, "pilotplant factory admit"), home)


def test_it_takes_nine_commands_at_most_from_a_new_workspace_to_the_verdict():
    given = [line for line in commands().splitlines() if line.startswith("pilotplant")]
    verdict = next(number for number, line in enumerate(given, start=1) if " lab rehearse " in line)
    assert given[0].startswith("pilotplant init")
    assert verdict <= 9


def test_every_command_ends_well(pasted):
    _, done = pasted
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def with_history(pasted):
    """The same workspace, whose metrics say where their history is, as the guide of the certificate asks for."""
    team, _ = pasted
    metrics = team / "configs" / "metrics.yaml"
    metrics.write_text(metrics.read_text().replace("    column: spend\n", "    column: spend\n    history: history\n"))
    return team


@pytest.mark.parametrize(("guide", "name"), [("certificate.md", "spring-mail"), ("preflight.md", "NAME")])
def test_what_two_guides_show_can_be_pasted_next(with_history, guide, name):
    text = (README.parent / "docs" / guide).read_text(encoding="utf-8").split("```")[1]
    assert name in text
    done = paste(text.replace(name, "spring-offer"), with_history)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def test_the_gate_admits_and_the_factory_has_the_release(pasted):
    team, done = pasted
    assert "email: ADMIT" in done.stdout
    assert (team / "var" / "factory" / "permits" / "spring-offer-email").exists()
