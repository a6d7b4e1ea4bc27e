"""Drafts of contracts: what a file says of its own columns, for a person to correct before anything is loaded.

Nothing is settled here: a contract is a promise that somebody makes. So a draft says what was seen, proposes what
follows from it, and marks with DOUBT each place where the file alone cannot tell.
"""

from __future__ import annotations

import re
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from itertools import combinations
from pathlib import Path

import duckdb
import yaml

from factory.state.settings import warehouse_path
from factory.warehouse.warehouse import contract_path, count, open_warehouse, tables
from shared.core.errors import BadInput
from shared.core.files import write_atomically
from shared.core.sql import COLUMN, identifier
from shared.data.contracts import Classification, Column, ColumnType, load_new_contract
from shared.data.personal_data import personal_sql
from shared.data.readers import pointed_sql, read_raw
from shared.data.tabular import connect_within
from shared.data.typed import value_sql
from shared.state.workspace import Workspace
from shared.ui.console import counted

# A column is of a type that so many of its values are of; the others would be held back.
OF_TYPE_MIN = 0.98
# A column tells rows apart where so many of them have a value that no other has.
TELLS_APART_MIN = 0.99
# Texts of which so many are different, and so long, were written by somebody.
FREE_TEXT_DISTINCT, FREE_TEXT_CHARACTERS = 0.5, 25
# A share of values that look like addresses or telephone numbers, from which on the column holds them.
PERSONAL_MIN = 0.01
KEY_COLUMNS_MAX = 8
_TRANSLITERATED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "&": " and "}
)
_DATES = ("dd.MM.yyyy", "d.M.yyyy", "dd.MM.yy", "dd/MM/yyyy", "MM/dd/yyyy", "yyyy/MM/dd", "dd-MM-yyyy")
_TIMES = ("HH:mm", "HH:mm:ss")
_WORDS = r"(?:^|_)(?:{})(?:$|_)"
_IS_ID = re.compile(_WORDS.format(r"id|ids|nr|no|key|number|nummer|uuid|guid|kennung|code") + r"|(?:id|nr|nummer)$")
_IS_CUSTOMER = re.compile(r"customer|client|member|user|subscriber|contact|kund|mitglied|nutzer|abonnent|kontakt")
_IS_PERSONAL = re.compile(
    _WORDS.format(
        r"e?_?mails?|e_mail_\w+|phone\w*|tel|telefon\w*|mobil\w*|handy\w*|fax|name|\w*vorname|\w*nachname|first_?name|"
        r"last_?name|sur_?name|full_?name|street|strasse|str|hausnummer|address|adresse|anschrift|birth\w*|geburt\w*|"
        r"dob|iban|bic|ip|ip_address|login|username|user_name|"
        r"prenom\w*|nom|nom_de_famille|courriel|portable|rue|naissance|"  # French
        r"nombre|apellidos?|correo\w*|movil|calle|direccion|nacimiento|"  # Spanish
        r"nome|cognome|sobrenome|cellulare|indirizzo|endereco|nascita|nascimento|"  # Italian, Portuguese
        r"voornaam|achternaam|naam|straat\w*|adres|geboorte\w*|"  # Dutch
        r"imie|imiona|nazwisko|ulica|urodzenia|"  # Polish
        r"f(?:oe|o)rnamn|efternamn|fornavn|efternavn|gata|gade"  # Swedish, Danish
    )
    + r"|(?:email|vorname|nachname|telefon|strasse|geburtsdatum)$"
)
_IS_PLACE = re.compile(
    _WORDS.format(
        r"zip|zip_?code|plz|postleitzahl|post_?code|postal_?code|eircode|"
        r"code_?postal|cp|codigo_postal|cod_?postal|cap|codice_postale|cep|postnr|postnummer|kod_pocztowy"
    )
)


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft of a contract.

    Attributes:
        file: where it was written.
        columns: as they are proposed.
        key: the columns that tell the rows apart; empty where none do.
        seen: by column, what was seen of its values.
        doubts: by column, what a person has to look at; under "" what concerns the table.
    """

    file: Path
    rows: int
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    seen: dict[str, str]
    doubts: dict[str, list[str]]


@dataclass(slots=True)
class _Found:
    """What was counted of one column of a file.

    Attributes:
        values: how many there are; distinct: how many different ones.
        of_type: how many are of each type and format that was tried.
    """

    header: str
    name: str
    values: int
    distinct: int
    padded: int
    negative: int
    characters: float
    personal: int
    of_type: dict[tuple[ColumnType, str | None], int]


def draft_contract(workspace: Workspace, table: str, file: Path, *, replace_: bool = False) -> Drafted:
    """Writes configs/contracts/TABLE.odcs.yaml, drafted from a file of the table.

    The example's contract gives way as long as nothing was loaded by it. Raises BadInput for a name that no table can
    have, for a file that is no table, and where there is another contract already and `replace_` does not say that it
    goes.
    """
    path = contract_path(workspace, table)
    _require_place(table, path, replace_=replace_ or is_unused_example(workspace, table))
    with tempfile.TemporaryDirectory(prefix="pilotplant-draft-") as folder, connect_within(Path(folder)) as connection:
        headers = read_raw(connection, file, "raw", folder=Path(folder))
        rows = count(connection, "raw")
        found = [_found(connection, header, name) for header, name in zip(headers, _names(headers), strict=True)]
        key, doubts = _key(connection, found, rows)
        columns = tuple(_column(each, rows, key, doubts) for each in found)
        columns = tuple(_as_loaded(file, columns, doubts, Path(folder)))
    seen = {each.name: _seen(each, rows) for each in found}
    drafted = Drafted(path, rows, columns, key, seen, {name: told for name, told in doubts.items() if told})
    write_atomically(path, _document(table, file, drafted))
    if key:
        load_new_contract(path)  # a draft that could not be loaded would be a defect of ours
    return drafted


def _require_place(table: str, path: Path, *, replace_: bool) -> None:
    if not re.fullmatch(COLUMN, table) or table.startswith("_"):
        raise BadInput(
            f"`{table}` is not a table's name",
            where="TABLE",
            expected="letters, digits and underscores, with a letter first",
            remedy="name it after what a row is, like customers",
        )
    if path.exists() and not replace_:
        raise BadInput(
            f"table `{table}` has a contract already",
            where=str(path),
            remedy="correct it there; or add --replace to have a draft in its place",
        )


def is_unused_example(workspace: Workspace, table: str) -> bool:
    """Whether a table's contract is the one that every new workspace has, as it came, and no row was loaded by it."""
    path = contract_path(workspace, table)
    example = resources.files("configs") / "contracts" / path.name
    if not (path.is_file() and example.is_file() and path.read_bytes() == example.read_bytes()):
        return False
    if not warehouse_path(workspace).exists():
        return True  # to open it would make it
    with open_warehouse(workspace, read_only=True) as warehouse:
        return table not in tables(warehouse)


def _names(headers: Sequence[str]) -> list[str]:
    """A name that a column can have for each header, none twice; a header that is a name keeps it."""
    found: list[str] = []
    kept = {header.lower() for header in headers if _plain(header) == header.lower()}
    for place, header in enumerate(headers, 1):
        plain = _plain(header) or str(place)
        plain = plain if plain[0].isalpha() else f"column_{plain}"
        name, number = plain, 2
        while name in found or (name in kept and name != header.lower()):
            name, number = f"{plain}_{number}", number + 1
        found.append(name)
    return found


def _plain(header: str) -> str:
    """A header in small letters, digits and underscores; empty where nothing is left of it."""
    text = unicodedata.normalize("NFKD", header.lower().translate(_TRANSLITERATED))
    return re.sub(r"[^a-z0-9]+", "_", text.encode("ascii", "ignore").decode()).strip("_")[:50].strip("_")


def _found(connection: duckdb.DuckDBPyConnection, header: str, name: str) -> _Found:
    """Counts what there is to know of one column, in one pass."""
    said = f"nullif(trim({identifier(header)}), '')"
    tried = [*_tried()]
    texts = {"number": pointed_sql("said")}  # as the reading of files will write it
    counts = [f"count({value_sql(Column('said', kind, format=f), texts.get(kind, 'said'))})" for kind, f in tried]
    row = connection.execute(
        f"SELECT count(said), count(DISTINCT said), count_if(regexp_full_match(said, '[+-]?0[0-9]+')), "
        f"count_if(starts_with(said, '-')), coalesce(avg(length(said)), 0), "
        f"count({personal_sql('said')}), {', '.join(counts)} "
        f"FROM (SELECT {said} AS said FROM raw)"
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    values, distinct, padded, negative, characters, personal, *counted = row
    of_type = dict(zip(tried, counted, strict=True))
    return _Found(header, name, values, distinct, padded, negative, characters, personal, of_type)


def _tried() -> Iterator[tuple[ColumnType, str | None]]:
    """Each type and format, the narrower before the wider."""
    yield from (("integer", None), ("number", None), ("boolean", None), ("date", None), ("timestamp", None))
    yield from (("date", form) for form in _DATES)
    yield from (("timestamp", f"{form} {time}") for form in _DATES for time in _TIMES)


def _column(found: _Found, rows: int, key: tuple[str, ...], doubts: dict[str, list[str]]) -> Column:
    """What is proposed for a column."""
    told = doubts.setdefault(found.name, [])
    kind, form = _kind(found, told)
    physical = None if found.header.lower() == found.name else found.header
    column = Column(
        name=found.name,
        type=kind,
        required=found.name in key or (found.values == rows and kind != "string"),
        unique=key == (found.name,),
        classification=_classification(found, kind, rows, key, told),
        format=form,
        physical=physical,
        minimum=0 if kind in {"integer", "number"} and not found.negative and found.values else None,
    )
    return column if column.classification != "restricted" else replace(column, required=False)


def _kind(found: _Found, told: list[str]) -> tuple[ColumnType, str | None]:
    """The type and format that nearly all values are of; a text where none is, or where a number would lose a zero."""
    if not found.values:
        told.append("it has no values: what it holds cannot be told")
        return "string", None
    if found.padded:
        told.append("some values begin with a zero, so it is a text: a number would lose it")
        return "string", None
    fitting = [each for each in _tried() if found.of_type[each] >= OF_TYPE_MIN * found.values]
    if not fitting:
        return "string", None
    # ISO is read whatever the format, so that a format counts only where ISO alone does not do.
    best = next((each for each in fitting if each[1] is None), fitting[0])
    others = [form for kind, form in fitting if kind == best[0] and _swapped(form, best[1])]
    if others:
        told.append(f"day and month could be the other way round: {best[1]} or {others[0]}")
    if rest := found.values - found.of_type[best]:
        told.append(f"{counted(rest, 'value')} of {found.values:,} would be held back: no {best[0]}")
    return best


def _swapped(one: str | None, other: str | None) -> bool:
    """Whether two formats differ in the order of day and month."""
    return one is not None and other is not None and (one[:2], one[3:5]) == (other[3:5], other[:2])


def _classification(
    found: _Found, kind: ColumnType, rows: int, key: tuple[str, ...], told: list[str]
) -> Classification:
    """What the Lab may see of it: nothing that looks like a person's own, unless somebody says so."""
    is_id, many = bool(_IS_ID.search(found.name)), found.distinct >= FREE_TEXT_DISTINCT * rows
    free = kind == "string" and found.characters >= FREE_TEXT_CHARACTERS
    free = free and found.distinct >= FREE_TEXT_DISTINCT * found.values > 0
    held = f"{found.personal:,} values look like e-mail addresses or telephone numbers"
    rules: tuple[tuple[bool, Classification, str], ...] = (
        (key == (found.name,) or (found.name in key and is_id), "identifier", ""),
        (found.personal > PERSONAL_MIN * found.values, "personal", f"{held}: it never leaves the Factory"),
        (bool(_IS_PERSONAL.search(found.name)), "personal",
         "its name says that it is a person's own: it never leaves the Factory; say `public` if it is not"),
        (bool(_IS_PLACE.search(found.name)), "restricted", "where somebody lives: the Lab sees two characters of it"),
        (kind in {"string", "integer"} and many and is_id, "identifier", "it looks like an id: a pseudonym"),
        (free, "personal",
         "free text may hold anything: it never leaves the Factory; say `public` if it holds no person's data"),
    )  # fmt: skip
    for holds, classification, why in rules:
        if holds:
            told += [why] if why else []
            return classification
    return "public"


def _key(
    connection: duckdb.DuckDBPyConnection, found: Sequence[_Found], rows: int
) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """The column, or the two, that tell the rows apart, the likeliest first; and what is doubtful of them."""
    doubts: dict[str, list[str]] = {"": []}
    able = [one for one in found if min(one.distinct, one.values) >= TELLS_APART_MIN * rows]
    able.sort(key=lambda one: (not _IS_ID.search(one.name), not _IS_CUSTOMER.search(one.name), found.index(one)))
    if able:
        key = able[0]
        if key.distinct < rows:
            doubts[key.name] = [f"of {rows:,} rows {rows - key.distinct:,} have a key that is empty or comes again"]
        if not _IS_ID.search(key.name):
            doubts.setdefault(key.name, []).append("it tells the rows apart today; is it an id, and stays one?")
        others = [one.name for one in able[1:]]
        if others:
            doubts[""].append(f"`{', '.join(others)}` would tell the rows apart as well as `{key.name}`")
        return (key.name,), doubts
    candidates = [one for one in found if one.values >= TELLS_APART_MIN * rows and one.distinct > 1][:KEY_COLUMNS_MAX]
    for one, other in combinations(candidates, 2):
        pair = f"({identifier(one.header)}, {identifier(other.header)})"
        if count(connection, f"(SELECT DISTINCT {pair} AS pair FROM raw)") >= TELLS_APART_MIN * rows:
            doubts[""].append(
                f"no column tells the rows apart alone; `{one.name}` and `{other.name}` do together. A table of "
                "customers, from which arms are drawn, needs one row per customer"
            )
            return (one.name, other.name), doubts
    doubts[""].append(
        "nothing tells the rows apart: say which columns do, with `primaryKey: true`, or it is not loaded"
    )
    return (), doubts


def _as_loaded(file: Path, columns: Sequence[Column], doubts: dict[str, list[str]], folder: Path) -> Iterator[Column]:
    """The columns as a load will read them; one whose numbers could be read in two ways is a text, and doubted."""
    left = list(columns)
    while True:
        try:
            with connect_within(folder) as connection:
                read_raw(connection, file, "again", left, folder)
            break
        except BadInput as error:
            named = next((c for c in left if f"`{c.name}`" in error.what and c.type != "string"), None)
            if named is None:
                raise
            doubts[named.name].append(f"{error.what}, so it is a text for now ({error.remedy})")
            left[left.index(named)] = replace(named, type="string", minimum=None, format=None, required=False)
    yield from left


def _seen(found: _Found, rows: int) -> str:
    """What was seen of a column, in words; no value of it, for it may be a person's."""
    if not found.values:
        return "empty"
    filled = "" if found.values == rows else f", {rows - found.values:,} empty"
    return f"{found.distinct:,} different values in {found.values:,}{filled}"


def _document(table: str, file: Path, drafted: Drafted) -> str:
    """The contract as YAML, with what was seen and doubted as comments."""
    rows, key, doubts = drafted.rows, drafted.key, drafted.doubts
    lines = [
        f"# Drafted from {file.name}: {rows:,} rows. Look at each DOUBT, correct what is wrong, and say what it means.",
        *(f"# DOUBT: {told}" for told in doubts.get("", ())),
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {table}",
        f"name: {table}",
        "version: 1.0.0",
        "status: draft",
        "schema:",
        f"  - name: {table}",
        "    logicalType: object",
        "    quality:",
        "      - metric: rowCount",
        "        mustBeGreaterOrEqualTo: 1",
        "    properties:",
    ]
    for column in drafted.columns:
        coarse = column.classification == "restricted" and column.type == "string"
        options = {"format": column.format, "minimum": column.minimum}
        said = {
            "name": column.name,
            "physicalName": column.physical,
            "logicalType": column.type,
            "required": column.required,
            "unique": column.unique,
            "primaryKey": column.name in key,
            "primaryKeyPosition": len(key) > 1 and column.name in key and key.index(column.name) + 1,
            "classification": column.classification != "public" and column.classification,
            "customProperties": coarse and [{"property": "generalise", "value": {"characters": 2}}],
            "logicalTypeOptions": {name: value for name, value in options.items() if value is not None},
        }
        entry = {name: value for name, value in said.items() if value}
        lines.append(f"      # {drafted.seen[column.name]}")
        lines += [f"      # DOUBT: {told}" for told in doubts.get(column.name, ())]
        written = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=200).rstrip().split("\n")
        lines += [f"      {line}" for line in written]
    return "\n".join(lines) + "\n"
