"""What a page shows of a terminal: its blocks of ```console, given again, and what was printed beside what is shown.

In a block a line that begins with `$ ` is a command, lines with `> ` go on with it, and what stands below is what it
printed on stdout (of one that fails: on stderr as well). A line `…` stands for any lines, and `…` within a line for
any text. Digests, times of the day and the account's name are nobody's; everything else has to be what was printed.
`APPROVE=1` writes it anew.
"""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
HOME = "/home/you"
ANY = "…"
# What each run has its own of; on the page stands that of the run that was approved.
_OWN = (
    (re.compile(r"(?<=sha256:)[0-9a-f]+|\b[0-9a-f]{12,64}\b"), "<digest>"),
    (re.compile(r"(?<=\d{4}-\d\d-\d\d)[T ][0-9][0-9:.]+"), " <time>"),
    (re.compile(r"(http://(?:127\.0\.0\.1|localhost)):\d+"), r"\1:<port>"),
    (re.compile(r"(?<=--port )\d+"), "<port>"),
    (re.compile(r"(?<=sign-in\?link=)[\w-]+"), "<secret>"),
)
# How far a command has come, which no page shows.
_PROGRESS = re.compile(r"^.*…\n", re.MULTILINE)
# What goes on until it is stopped is stopped once it has printed what is shown; it takes any free port.
ENDLESS = {
    "pilotplant desk": "pilotplant desk --port 0",
    "pilotplant factory up": "pilotplant factory up --port 0 --desk-port 0",
}
READY_S = 120
_SCRIPT = """
number=0 code=0
give() {{
  (exit $code); eval "$1" >"{out}/$number.out" 2>"{out}/$number.err" </dev/null; code=$?
  echo $code >"{out}/$number.code"; number=$((number + 1))
}}
begin() {{
  $1 >"{out}/$number.out" 2>"{out}/$number.err" </dev/null & local process=$!
  for second in $(seq {ready_s}); do
    [ "$(wc -l <"{out}/$number.out")" -ge "$2" ] && break; kill -0 $process 2>/dev/null || break; sleep 1
  done
  kill -TERM $process; wait $process; code=0
  echo $code >"{out}/$number.code"; number=$((number + 1))
}}
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A command of a page, and what the page shows of its answer."""

    command: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A command that was given, and what it printed."""

    shown: Shown
    lines: tuple[str, ...]
    code: int


def shown(text: str) -> list[Shown]:
    """The commands of a text's blocks, in their order."""
    return [each for block in BLOCK.findall(text) for each in _commands(block)]


def give(commands: list[Shown], home: Path, folder: str, *, unseen: dict[str, str] | None = None) -> list[Given]:
    """All commands one after another in one shell, which begins in a folder of `home`.

    `unseen` is what the shell does after a command, and no page shows.
    """
    out = home / "printed"
    out.mkdir()
    unseen = unseen or {}
    script = _SCRIPT.format(out=out, ready_s=READY_S) + "".join(
        f"\n{_call(each)}\n{unseen.get(each.command, '')}" for each in commands
    )
    environment = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"), "COLUMNS": "80", "NO_COLOR": "1",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", script], cwd=home / folder, env=environment, capture_output=True, text=True, check=False,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = [_given(each, out / str(number), home) for number, each in enumerate(commands)]
    for path in out.iterdir():
        path.unlink()
    out.rmdir()
    return found


def differs(given: Given) -> bool:
    """Whether a page shows anything else than what was printed."""
    return _pattern(given.shown.lines).fullmatch(_plain("\n".join(given.lines))) is None


def approved(text: str, found: list[Given]) -> str:
    """The page with what was printed, in the place of what is shown and differs."""
    rest = iter(found)

    def block(match: re.Match[str]) -> str:
        return "".join(_approved(next(rest)) for _ in _commands(match[0]))

    return BLOCK.sub(block, text)


def _approved(given: Given) -> str:
    lines = _kept(given) if differs(given) else given.shown.lines
    return "".join(f"{line}\n" for line in ("$ " + given.shown.command.replace("\n", "\n> "), *lines))


def _kept(given: Given) -> tuple[str, ...]:
    """What was printed, as short as the page had it: as many lines around a first `…`, and lines with one within."""
    old = given.shown.lines
    short = [line for line in old if ANY in line and line != ANY]
    new = tuple(
        next((line for line in short if _pattern((line,)).fullmatch(_plain(said))), said) for said in given.lines
    )
    if ANY not in old:
        return new
    before, after = old.index(ANY), len(old) - 1 - old.index(ANY)
    return (*new[:before], ANY, *(new[-after:] if after else ()))


def _commands(block: str) -> list[Shown]:
    found: list[tuple[list[str], list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif line.startswith("> ") and not found[-1][1]:
            found[-1][0].append(line[2:])
        else:
            found[-1][1].append(line)
    return [Shown("\n".join(command), tuple(lines)) for command, lines in found]


def _given(command: Shown, path: Path, home: Path) -> Given:
    code = int(path.with_suffix(".code").read_text())
    complaint = path.with_suffix(".err").read_text() if code else ""
    text = _PROGRESS.sub("", complaint) + path.with_suffix(".out").read_text()
    text = re.sub(rf"\bby {re.escape(getpass.getuser())}\b", "by you", text.replace(str(home), HOME))
    return Given(command, tuple(line.rstrip() for line in text.rstrip("\n").splitlines()), code)


def _pattern(lines: tuple[str, ...]) -> re.Pattern[str]:
    # A line of its own that is `…` may stand for no line at all.
    text = re.escape(_plain("\n".join(line.rstrip() for line in lines)))
    text = re.sub(rf"(?m)^{ANY}\n", r"(?:.*\\n)*?", text.replace("\\\n", "\n"))
    text = re.sub(rf"\n{ANY}$", r"(?:\\n.*)*", text)
    text = r"(?:.*\n?)*" if text == ANY else text.replace(ANY, ".*?")
    return re.compile(text)


def _plain(text: str) -> str:
    for pattern, name in _OWN:
        text = pattern.sub(name, text)
    return text


def _call(each: Shown) -> str:
    if each.command in ENDLESS:
        return f"begin {_quoted(ENDLESS[each.command])} {len(each.lines)}"
    return f"give {_quoted(each.command)}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
