"""What a new workspace is told of its team: time zone, budget, and who decides; each is written where it is read."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import TypeAdapter, ValidationError

from lab.state import read_settings
from shared.core.errors import BadInput, Refused
from shared.core.files import write_atomically
from shared.core.money import Money
from shared.core.zones import is_everywhere
from shared.experiment.people import Email, read_people, same_person
from shared.state.team import read_team
from shared.state.workspace import Workspace
from shared.ui.console import ask

# The addresses of configs/people.yaml as it comes.
ASKS, DECIDES = "requester@example.com", "owner@example.com"
_BUDGET = re.compile(r"\s*(?P<amount>\d+(\.\d{1,2})?)\s+(?P<currency>[A-Za-z]{3})\s*")
_PROPOSED_ZONE = re.compile(r"^#\s*timezone:.*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Team:
    """What was answered; None for what stays as it comes.

    Attributes:
        timezone: an IANA name.
        budget: what all pilots together may cost in a quarter; the team sets it anew for the next one.
        owner: the address of the person who decides.
    """

    timezone: str | None = None
    budget: Money | None = None
    owner: str | None = None

    def said(self) -> dict[str, Any]:
        """What was answered, by its option."""
        answers = {"timezone": self.timezone, "budget": self.budget, "owner": self.owner}
        return {name: answer for name, answer in answers.items() if answer is not None}


def zone(text: str) -> str:
    """The time zone; raises BadInput for a name that not every machine and library knows."""
    if not is_everywhere(text.strip()):
        raise BadInput(
            f"there is no time zone `{text}`", where="--timezone", expected="a name like Europe/Berlin or UTC"
        )
    return text.strip()


def budget(text: str) -> Money:
    """The budget; raises BadInput for what is no amount with its currency."""
    found = _BUDGET.fullmatch(text)
    if found is None:
        raise BadInput(
            f"`{text}` is not a budget", where="--budget", expected="an amount and its currency, like `20000 EUR`"
        )
    return Money.model_validate({"amount": found["amount"], "currency": found["currency"].upper()})


def owner(text: str) -> str:
    """The address; raises BadInput for what is none, and for the one that stands for whoever asks for pilots."""
    try:
        address: str = TypeAdapter(Email).validate_python(text.strip())
    except ValidationError as error:
        raise BadInput(
            f"`{text}` is not an e-mail address", where="--owner", expected="like owner@example.com"
        ) from error
    if same_person(address, ASKS):
        raise BadInput(
            f"{ASKS} stands in configs/people.yaml for whoever asks", where="--owner", expected="another address"
        )
    return address


def given(timezone: str | None, budget_: str | None, owner_: str | None) -> Team:
    """The team as the options say; raises BadInput for one that cannot be read."""
    return Team(
        None if timezone is None else zone(timezone),
        None if budget_ is None else budget(budget_),
        None if owner_ is None else owner(owner_),
    )


def asked(team: Team) -> Team:
    """The team with an answer for everything that no option said, asked for on a terminal."""
    return Team(
        team.timezone or _ask("The team's time zone", default=_zone_here(), value=zone),
        team.budget or _ask("What its pilots may cost in a quarter", default="20000.00 USD", value=budget),
        team.owner or _ask("Who decides on pilots (an e-mail address)", default=DECIDES, value=owner),
    )


def _ask(question: str, *, default: str, value: Callable[[str], Any]) -> Any:
    try:
        return ask(question, default=default, value=value)
    except typer.Abort:
        raise KeyboardInterrupt from None  # Typer would end with 1, which is a defect's


def settle(workspace: Workspace, team: Team, *, fresh: bool) -> None:
    """Writes the answers into the workspace's settings, whose comments stay.

    Raises Refused where the workspace was there already, and says something else.
    """
    if not fresh:
        _require_the_same(workspace, team)
        return
    if team.timezone is not None:
        _rewrite(workspace.configs / "team.yaml", lambda it: it.update(timezone=team.timezone), drop=_PROPOSED_ZONE)
    if team.budget is not None:
        _settle_budget(workspace, team.budget)
    if team.owner is not None and team.owner != DECIDES:
        _rewrite(workspace.configs / "people.yaml", lambda it: _decider(it).update(email=team.owner))


def _settle_budget(workspace: Workspace, wanted: Money) -> None:
    before = read_settings(workspace).budget
    if before == wanted:
        return
    money = _loaded(f"{{amount: {wanted.amount:.2f}, currency: {wanted.currency}}}")
    _rewrite(workspace.configs / "lab.yaml", lambda it: it["budget"].update(money))
    if before.currency != wanted.currency:
        # A limit in another currency than a pilot's lets nobody decide on it.
        limit = {"currency": wanted.currency}
        _rewrite(workspace.configs / "people.yaml", lambda it: _decider(it)["decides"]["up_to"].update(limit))
        _rewrite(workspace.configs / "metrics.yaml", lambda it: _rename_unit(it, before.currency, wanted.currency))


def _rename_unit(document: Any, before: str, after: str) -> None:
    for metric in document["metrics"].values():
        if str(metric.get("unit", "")).startswith(f"{before} "):
            metric["unit"] = after + str(metric["unit"]).removeprefix(before)


def _decider(document: Any) -> Any:
    return next(person for person in document["people"] if "decides" in person)


def _require_the_same(workspace: Workspace, team: Team) -> None:
    wrong = []
    if team.timezone not in {None, read_team(workspace).timezone}:
        wrong.append("team.yaml")
    if team.budget is not None and read_settings(workspace).budget != team.budget:
        wrong.append("lab.yaml")
    if team.owner is not None:
        person = read_people(workspace).find(team.owner)
        wrong += [] if person is not None and person.decides is not None else ["people.yaml"]
    if wrong:
        raise Refused(
            "there is a workspace already, whose settings say something else",
            where=", ".join(f"configs/{name}" for name in wrong),
            remedy="change them there",
        )


def _rewrite(path: Path, change: Callable[[Any], object], *, drop: re.Pattern[str] | None = None) -> None:
    text = path.read_text(encoding="utf-8")
    document = _loaded(drop.sub("", text) if drop else text)
    change(document)
    stream = io.StringIO()
    _yaml().dump(document, stream)
    write_atomically(path, stream.getvalue())


def _loaded(text: str) -> Any:
    return _yaml().load(text)


def _yaml() -> Any:
    from ruamel.yaml import YAML

    found = YAML()
    found.width, found.preserve_quotes = 10_000, True
    found.indent(mapping=2, sequence=4, offset=2)
    return found


def _zone_here() -> str:
    """The machine's own zone, where it says one that is a zone everywhere; else UTC."""
    named = os.environ.get("TZ", "").removeprefix(":") or os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    return named if named and is_everywhere(named) else "UTC"
