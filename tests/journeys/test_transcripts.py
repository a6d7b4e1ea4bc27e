"""What the tutorial and the guides show of a terminal is what their commands print, given one after another."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from pilotplant.demo.shop import open_shop, write_customers
from tests import transcripts

pytestmark = [pytest.mark.check, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TUTORIAL, DECIDING, OPERATIONS = "tutorial.md", "deciding.md", "operations.md"
PAGES = (TUTORIAL, DECIDING, OPERATIONS)
# The pilot waits for its owner until here; the guide for owners goes on from a copy.
DECIDED = "\n## 6. Decide"
NEW = "pilotplant init ../my-team --rehearsal"
# The same customers have the same pseudonyms, and these the same arms, in every run of this test.
SAME = """
python -c "print('5a' * 32, end='')" >../my-team/var/factory/pseudonym.key
chmod 600 ../my-team/var/factory/pseudonym.key
echo 'nonce_seed: tutorial' >>../my-team/configs/gate.yaml
"""


def text(page):
    return (DOCS / page).read_text(encoding="utf-8")


def parts():
    """The tutorial's commands, until somebody decides and from then on."""
    before, decided, after = text(TUTORIAL).partition(DECIDED)
    assert decided
    return transcripts.shown(before), transcripts.shown(after)


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What every command of every page printed, with the folders that they worked in."""
    home, second = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("second")
    (home / "pilot-plant" / "demo" / "inputs").mkdir(parents=True)
    write_customers(open_shop(None), home / "pilot-plant" / "demo" / "inputs" / "customers.csv")
    until, after = parts()
    found = {TUTORIAL: transcripts.give(until, home, "pilot-plant", unseen={NEW: SAME})}
    shutil.copytree(home, second, dirs_exist_ok=True, symlinks=True)
    found[DECIDING] = transcripts.give(transcripts.shown(text(DECIDING)), second, "my-team")
    found[TUTORIAL] += transcripts.give(after, home, "my-team")
    found[OPERATIONS] = transcripts.give(transcripts.shown(text(OPERATIONS)), home, "my-team")
    if os.environ.get("APPROVE"):
        for page in PAGES:
            (DOCS / page).write_text(transcripts.approved(text(page), found[page]), encoding="utf-8")
        pytest.skip("what was printed is on the pages now; look at what changed")
    return found, home


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_is_what_its_commands_print(printed, page):
    found, _ = printed
    wrong = [f"$ {each.shown.command}\n" + "\n".join(each.lines) for each in found[page] if transcripts.differs(each)]
    assert not wrong, "\n".join(["docs shows something else than was printed:", *wrong])


@pytest.mark.parametrize("page", PAGES)
def test_a_command_that_fails_is_shown_with_its_exit_code(printed, page):
    found, _ = printed
    failed = [number for number, each in enumerate(found[page]) if each.code and "echo $?" not in each.shown.command]
    assert [found[page][number + 1].shown.command for number in failed] == ["echo $?"] * len(failed)


def test_every_page_with_a_terminal_is_given_here():
    shown = {path.name for path in DOCS.rglob("*.md") if transcripts.BLOCK.search(path.read_text(encoding="utf-8"))}
    assert shown == set(PAGES)


def test_what_readme_shows_of_a_first_pilot_is_the_tutorials(printed):
    """README names the same commands in the same order, so that they are run here."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## A first pilot")[2].partition("\n## ")[0]
    readme = [line for block in section.split("```")[1::2] for line in block.strip().splitlines()]
    assert len(readme) > 6
    tutorial = iter(each.shown.command for each in printed[0][TUTORIAL])
    assert all(line in tutorial for line in readme)


def test_it_takes_nine_commands_at_most_from_a_new_workspace_to_the_verdict():
    """The desk is there to look on."""
    named = [each.command for each in parts()[0] if each.command not in transcripts.ENDLESS]
    given = [command for command in named if command.startswith("pilotplant ")]
    verdict = next(number for number, line in enumerate(given, start=1) if " lab rehearse " in line)
    assert given[0] == NEW
    assert verdict <= 9


@pytest.fixture(scope="module")
def with_history(printed):
    """The same workspace, whose metrics say where their history is, as the guide of the certificate asks for."""
    team = printed[1] / "my-team"
    metrics = team / "configs" / "metrics.yaml"
    metrics.write_text(metrics.read_text().replace("    column: spend\n", "    column: spend\n    history: history\n"))
    return team


@pytest.mark.parametrize(("guide", "name"), [("certificate.md", "spring-mail"), ("preflight.md", "NAME")])
def test_what_two_guides_show_can_be_pasted_next(printed, with_history, guide, name):
    block = re.sub(rf"\b{name}\b", "spring-offer", text(guide).split("```")[1])
    assert "spring-offer" in block
    commands = [transcripts.Shown(line.partition(" #")[0], ()) for line in block.strip().splitlines()]
    assert [each.code for each in transcripts.give(commands, printed[1], "my-team")] == [0] * len(commands)


@pytest.mark.parametrize(
    ("on_the_page", "was_printed", "other"),
    [
        ([], [], False),
        ([], ["one line"], True),
        (["2 rows"], ["3 rows"], True),
        (["first", "…", "last"], ["first", "a", "b", "last"], False),
        (["first", "…", "last"], ["first", "last"], False),
        (["first", "…", "last"], ["first", "a", "b"], True),
        (["…", "last"], ["a", "last"], False),
        (["first", "…"], ["first", "a", "b"], False),
        (["in … of 100"], ["in 91 of 100"], False),
        (["in … of 100"], ["in 91", "of 100"], True),
        (["sha256:0123456789ab…"], ["sha256:fedcba987654…"], False),
        (["on 2026-11-02 08:00 UTC"], ["on 2026-11-02 08:03 UTC"], False),
        (["on 2026-11-02 08:00 UTC"], ["on 2026-11-03 08:00 UTC"], True),
        (["+2.25 pp [1.67, 2.82]"], ["+2.25 pp [1.67, 2.82]"], False),
        (["+2.25 pp [1.67, 2.82]"], ["+2.25 pp [1.67, 2.83]"], True),
    ],
)
def test_another_answer_is_told_from_the_same(on_the_page, was_printed, other):
    shown = transcripts.Shown("pilotplant status", tuple(on_the_page))
    assert transcripts.differs(transcripts.Given(shown, tuple(was_printed), 0)) is other


PAGE = """# A page

```console
$ cat <<END
> 1 row
> END
2 rows
$ false
$ echo $?
0
```

Words.

```console
$ seq 5
1
…
7
```
"""


def test_what_differs_is_written_anew_and_all_else_stays(tmp_path):
    found = transcripts.give(transcripts.shown(PAGE), tmp_path, ".")
    assert [each.code for each in found] == [0, 1, 0, 0]
    approved = transcripts.approved(PAGE, found)
    assert approved == PAGE.replace("2 rows", "1 row").replace("\n0\n", "\n1\n").replace("7", "5")
    again = transcripts.give(transcripts.shown(approved), tmp_path, ".")
    assert not any(map(transcripts.differs, again))
