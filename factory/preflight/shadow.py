"""The shadow run: an arm's play as it would be run now, by the run's own functions, without the step that writes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from factory.delivery.messages import Composed, compose
from factory.releases.admission import against_policy
from factory.state.settings import read_settings
from factory.warehouse.warehouse import contract_of, count, open_warehouse
from shared.core.errors import Contained, PilotPlantError
from shared.core.sql import file_literal, identifier, literal
from shared.data.contracts import Contract
from shared.data.pseudonym import PREFIX, PSEUDONYM_HEX
from shared.experiment.assignment import held_out, within, workspace_holdout_salt
from shared.state.workspace import Workspace
from shared.trust.package import Sealed
from shared.trust.preflight import PersonalData, ShadowRun

# An address as people write it; RFC 5322 allows more, and none of that is in use.
ADDRESS = r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
PSEUDONYM = rf"{PREFIX}[0-9a-f]{{{PSEUDONYM_HEX}}}"
# A shorter one, like an age, stands in many a message by chance.
VALUE_CHARACTERS_MIN = 3
_BARE_NUMBER_MIN = 5
# Two texts say the same if they do in small letters and digits, whatever stands in between.
_WORDS = "' ' || trim(regexp_replace(lower({}), '[^\\p{{L}}\\p{{N}}]+', ' ', 'g')) || ' '"


def shadow_run(workspace: Workspace, arm: Sealed, scratch: Path, exposures: Path) -> tuple[ShadowRun, Path | None]:
    """What the arm's release would do now, and a Parquet file of the `unit`s it would write to.

    `exposures` are the pilot's, whose units are looked for in the audience. What the Factory or the box refuses is a
    finding and no error; then there is no such file.
    """
    names = {"arm": arm.arm, "release": arm.release}
    try:
        refusals = against_policy(workspace, arm)
        if refusals:
            return ShadowRun(**names, refusals=tuple(refusals)), None
        composed = compose(workspace, arm, scratch)
        return _counted(workspace, arm, composed, exposures), composed.selection.rows
    except Contained as error:
        return ShadowRun(**names, refusals=(f"{error.where}: {error.what}",)), None
    except PilotPlantError as error:
        return ShadowRun(**names, problem=error.what), None


def _counted(workspace: Workspace, arm: Sealed, composed: Composed, exposures: Path) -> ShadowRun:
    with open_warehouse(workspace, read_only=True) as connection:
        connection.execute(f"CREATE TEMP VIEW rendered AS FROM read_parquet({file_literal(composed.rendered)})")
        connection.execute(f"CREATE TEMP VIEW known AS FROM read_parquet({file_literal(composed.known)})")
        longest = connection.execute(
            "SELECT coalesce(max(length(subject)), 0), coalesce(max(length(body)), 0) FROM rendered"
        ).fetchone()
        personal = _personal_data(connection, workspace, arm)
        tested, tested_selected = _tested(connection, exposures, composed.selection.selected)
    subject_max, body_max = longest or (0, 0)
    # By the assignment in Python: the run itself asks in SQL.
    salt, share = workspace_holdout_salt(workspace.id), Fraction(read_settings(workspace).holdout_frac)
    units = pq.read_table(composed.rendered, columns=["unit"]).column("unit").to_pylist()
    own = (arm.play.holdout, arm.nonce)
    touched = sum(held_out(arm.release, unit, *own) or within(salt, unit, Fraction(0), share) for unit in units)
    return ShadowRun(
        arm=arm.arm,
        release=arm.release,
        audience=composed.selection.audience,
        held_out=composed.selection.held_out,
        strangers=composed.strangers,
        messages=composed.messages,
        subject_max=subject_max,
        body_max=body_max,
        holdout_touched=touched,
        tested=tested,
        tested_selected=tested_selected,
        personal=personal,
    )


def _tested(
    connection: duckdb.DuckDBPyConnection, exposures: Path, selected: Path
) -> tuple[int, int] | tuple[None, None]:
    """How many units were exposed, and how many of them are in the audience; None where the exposures cannot be read.

    That the gate's own checks refuse.
    """
    units = f"(SELECT DISTINCT unit FROM read_parquet({file_literal(exposures)}))"
    among = f"(SELECT unit FROM read_parquet({file_literal(selected)}))"
    try:
        return count(connection, units), count(connection, f"{units} WHERE unit IN {among}")
    except duckdb.Error:
        return None, None


def _personal_data(connection: duckdb.DuckDBPyConnection, workspace: Workspace, arm: Sealed) -> PersonalData:
    contract = contract_of(workspace, arm.promise.charter.population)
    kinds = {column.name: column.classification for column in contract.columns}
    template = f"{arm.play.subject}\n{arm.text(arm.play.template)}"
    hidden = [column.name for column in contract.columns if column.classification in {"identifier", "personal"}]
    found = {name: _own_values(connection, contract, name, template) for name in hidden}
    return PersonalData(
        fields={name: kinds[name] for name in arm.play.fields},
        pseudonyms=count(connection, f"rendered WHERE regexp_matches(subject || ' ' || body, '{PSEUDONYM}')"),
        addresses=count(connection, _addressed(template)),
        looked_for={name: kinds[name] for name in hidden},
        values={name: rows for name, rows in found.items() if rows},
    )


def _addressed(template: str) -> str:
    """The messages that name an e-mail address that the template's own words do not."""
    pattern = literal(ADDRESS)
    own = f"regexp_extract_all({literal(template.lower())}, {pattern})"
    there = f"regexp_extract_all(lower(subject || ' ' || body), {pattern})"
    return f"rendered WHERE len(list_filter({there}, lambda x: NOT list_contains({own}, x))) > 0"


def _own_values(connection: duckdb.DuckDBPyConnection, contract: Contract, column: str, template: str) -> int:
    """How many messages hold their own unit's value of a column, in words that are not the template's own."""
    value = f"CAST(t.{identifier(column)} AS VARCHAR)"
    spelt, said, own = (
        _WORDS.format(value),
        _WORDS.format("r.subject || ' ' || r.body"),
        _WORDS.format(literal(template)),
    )
    # A number of few digits may be any other number.
    least = f"CASE WHEN regexp_full_match({value}, '[0-9.,-]+') THEN {_BARE_NUMBER_MIN} ELSE {VALUE_CHARACTERS_MIN} END"
    pairs = (
        f"SELECT {spelt} AS spelt, {said} AS said, length({value}) >= {least} AS long FROM rendered r "
        f"JOIN known k USING (unit) JOIN {identifier(contract.table)} t "
        f"ON CAST(t.{identifier(contract.primary_key)} AS VARCHAR) = k.id WHERE {value} IS NOT NULL"
    )
    own_words = f"contains(said, spelt) AND NOT contains({own}, spelt)"
    return count(connection, f"({pairs}) WHERE long AND spelt <> '  ' AND {own_words}")
