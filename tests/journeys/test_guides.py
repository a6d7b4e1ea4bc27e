"""What the guides show: their blocks pasted as they stand, and each command that a sentence names, with its options."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer.main

from pilotplant.app import app
from tests.pasting import paste

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted({ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("proof/*.md"), *DOCS.glob("benchmarks/*.md")})
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
WORD, OPTION = re.compile(r"[a-z][a-z-]*"), re.compile(r"--[a-z][a-z-]*")
# Options of every command: those of the front door.
ANYWHERE = {"--workspace", "--help", "--version", "--json"}


def tree():
    """The options of every command, by the words that call it."""
    found = {}

    def walk(command, words):
        children = getattr(command, "commands", {})
        for name, child in children.items():
            walk(child, (*words, name))
        if not children:
            found[words] = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}

    walk(typer.main.get_command(app), ())
    return found


COMMANDS = tree()
GROUPS = {words[0] for words in COMMANDS if len(words) > 1}


def named(text):
    """The commands that a span of code calls: `lab check NAME --json` or `pilotplant status`; none for other code."""
    words = text.removeprefix("pilotplant ").split()
    while words[:1] == ["--workspace"]:
        words = words[2:]
    if not words or not WORD.fullmatch(words[0]):
        return None
    if words[0] in GROUPS:
        return tuple(words[:2]) if len(words) > 1 and WORD.fullmatch(words[1]) else None
    return (words[0],) if text.startswith("pilotplant ") and len(words) > 0 else None


def wrong(text):
    """What is wrong with a command that a page shows; None for what is well, or no command."""
    words = named(text)
    if words is None:
        return None
    if words not in COMMANDS:
        return f"`{text}`: there is no such command"
    strange = set(OPTION.findall(text)) - COMMANDS[words] - ANYWHERE
    return f"`{text}` has no {', '.join(sorted(strange))}" if strange else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_that_a_page_names_exists_with_its_options(page):
    text = page.read_text(encoding="utf-8")
    lines = [line.partition("#")[0].strip() for block in BLOCK.findall(text) for line in block.splitlines()]
    shown = [*SPAN.findall(BLOCK.sub("", text).replace("\n", " ")), *lines]
    assert [problem for problem in map(wrong, shown) if problem] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lab chekc NAME", "there is no such command"),
        ("pilotplant factory load TABLE FILE --replce", "has no --replce"),
        ("promote decide NAME stop --insigth TEXT", "has no --insigth"),
    ],
)
def test_a_command_that_is_none_is_found(text, said):
    assert said in wrong(text)


def pasted(script, folder, **environment):
    """The script in the shell, in a folder, every command of which must end well."""
    done = paste(script, folder, **environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def block(page):
    """The page's first block of commands."""
    return (DOCS / page).read_text(encoding="utf-8").split("```")[1].lstrip("\n")


def test_a_live_workspace_is_set_up_as_its_guide_says(tmp_path):
    (tmp_path / "here").mkdir()
    script = block("live.md")
    phrases = {
        "PILOTPLANT_GATE_PASSPHRASE": "correct horse gate",
        "PILOTPLANT_FACTORY_PASSPHRASE": "battery staple factory",
        "PILOTPLANT_PASSPHRASE": "an owner's own words",
    }
    # On a terminal each command asks for its passphrase; here, as in a service, they are in the environment.
    pasted(script, tmp_path / "here", PILOTPLANT_KEYS=str(tmp_path / "keys"), **phrases)
    said = pasted("pilotplant --workspace marketing status --json", tmp_path, PILOTPLANT_KEYS=str(tmp_path / "keys"))
    assert json.loads(said)["mode"] == "live"
    trusted = (tmp_path / "marketing" / "configs" / "trusted_keys").iterdir()
    assert {path.stem for path in trusted} == {"gate", "owner@example.com"}
