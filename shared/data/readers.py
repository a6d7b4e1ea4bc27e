"""Files of tables, as other tools write them: read row for row where one reading is possible, or refused whole.

Read are CSV and its relatives (commas, semicolons, tabs or bars; UTF-8, or UTF-16 with its mark; packed by gzip; any
line ends, even mixed ones) and Parquet. What could be read in two ways is not guessed at: the message names the line
and what to do. Everything else is somebody's document: its message says how to make a table of it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import duckdb

from shared.core.errors import BadInput, Damaged
from shared.core.faults import fault, first_line
from shared.core.sql import file_literal, identifier, literal
from shared.data.contracts import Column

ROW = "_row"
TEXTS, GZIP, PARQUET = (".csv", ".tsv", ".txt"), ".gz", ".parquet"
READ = "a .csv, .tsv or .txt file, also with .gz behind it, or a .parquet file"
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
PIECE_BYTES = 1 << 20
# A header is shorter; what is longer is no table.
HEADER_MAX = 1 << 20
# What files begin with that are no texts, whatever their name.
_SIGNATURES = {
    b"PK\x03\x04": "this is an Excel workbook or a zip archive: save the sheet as CSV UTF-8 (in Excel: File, Save As)",
    b"\xd0\xcf\x11\xe0": "this is an old Excel workbook: save the sheet as CSV UTF-8 (in Excel: File, Save As)",
    b"\x1f\x8b": "this is packed by gzip: give it a name that ends in .csv.gz, or unpack it",
    b"PAR1": "this is a Parquet file: give it a name that ends in .parquet",
    b"%PDF": "this is a PDF document: export the table itself as CSV",
}
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_NO_TITLE = "the header must be the first line: delete what stands above it"
_EXPORT_UTF8 = "export it again as CSV UTF-8 (in Excel: File, Save As, CSV UTF-8)"
# Numbers of which the sign between the digits says what it is, and such of which it does not.
_DECIMAL = r"\s*[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+\s*"
_GROUPED = r"\s*[+-]?\d{1,3}(,\d{3})+\s*"
_FRACTION = r"\s*[+-]?(0*\.\d+|\d+\.(\d{1,2}|\d{4,})|\d{4,}\.\d+)\s*"
_POINTED = r"\s*[+-]?\d{1,3}(\.\d{3})+\s*"
# Types of Parquet that are no value of one cell.
_NESTED = ("STRUCT", "MAP", "UNION", "BLOB", "VARIANT")
_FLOATS = ("DOUBLE", "FLOAT")


@dataclass(frozen=True, slots=True)
class _Text:
    """A text file that DuckDB can read: UTF-8, unpacked, with one kind of line ends.

    Attributes:
        lines_before: lines above the header, which say how the table is written (`sep=;`) and hold nothing of it.
    """

    path: Path
    delimiter: str
    header: list[str]
    lines_before: int


def read_raw(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    name: str,
    columns: Sequence[Column] = (),
    folder: Path | None = None,
) -> list[str]:
    """Reads a file whole, as relation `name`: every value as text, rows numbered from 1 in `_row`; returns its columns.

    With a `folder` its rows lie there, so that a file of any size takes no memory. `columns` are those that a contract
    knows: the file may call them by their physical name, and in other capitals; numbers with decimal commas are then
    written with points, where commas do not part the columns.

    Raises BadInput, with the line where there is one, for a file that is missing, empty or no table, or that could be
    read in more than one way.
    """
    if not path.is_file():
        raise BadInput("there is no such file", where=str(path), remedy="check the name and the folder")
    if path.stat().st_size == 0:
        raise BadInput("the file is empty", where=str(path), remedy="export it again")
    if path.suffix.lower() == PARQUET:
        found = _read_parquet(connection, path, _Rows(name, folder), columns)
    elif _is_text(path):
        with _text(path, folder=folder) as text:
            found = _read_text(connection, path, text, _Rows(name, folder), columns)
    else:
        raise BadInput(
            f"files of type `{path.suffix or path.name}` are not read",
            where=str(path),
            expected=READ,
            remedy=_signed(path) or "export the table as CSV (UTF-8)",
        )
    counted = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    if counted is None or counted[0] == 0:
        raise BadInput("the file has no rows", where=str(path), remedy="check the export: only its header arrived")
    return found


def delimiter_of(path: Path) -> str:
    """The sign that parts a text file's columns, as `read_raw` takes it; a comma for a file that is no text."""
    if not _is_text(path):
        return ","
    with _text(path, folder=None) as text:
        return text.delimiter


def _is_text(path: Path) -> bool:
    kind = Path(path.stem).suffix if path.suffix.lower() == GZIP else path.suffix
    return kind.lower() in TEXTS


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where the rows of a file are to be: a view of this name, over a table or over a file in the folder."""

    name: str
    folder: Path | None

    def keep(self, connection: duckdb.DuckDBPyConnection, query: str) -> None:
        """Keeps a query's rows."""
        if self.folder is None:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {self._kept} AS {query}")
        else:
            connection.execute(f"COPY ({query}) TO {self._kept} (FORMAT parquet)")
        self.show(connection, {})

    def show(self, connection: duckdb.DuckDBPyConnection, instead: Mapping[str, str]) -> None:
        """Shows the rows that were kept, with another value in the place of some columns: an expression by column."""
        said = ", ".join(f"{expression} AS {identifier(column)}" for column, expression in instead.items())
        rows = f"SELECT *{f' REPLACE ({said})' if said else ''} FROM {self._kept}"
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {self.name} AS {rows}")

    @property
    def _kept(self) -> str:
        return f"{self.name}_kept" if self.folder is None else literal(str(self.folder / f"{self.name}.parquet"))


def _read_parquet(
    connection: duckdb.DuckDBPyConnection, path: Path, rows: _Rows, columns: Sequence[Column]
) -> list[str]:
    source = f"read_parquet({file_literal(path)}, hive_partitioning = false)"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        given = [str(row[0]) for row in described]
        found = _named(path, given, columns, line=None)
        _refuse_types(path, {new: str(row[1]) for new, row in zip(found, described, strict=True)}, columns)
        _keep(connection, source, rows, given, found)
    except duckdb.Error as error:
        _raise_fault(error)
        raise BadInput(
            f"the file cannot be read as a parquet table: {first_line(error)}",
            where=str(path),
            remedy=_signed(path) or "export it again",
        ) from error
    return found


def _read_text(
    connection: duckdb.DuckDBPyConnection, path: Path, text: _Text, rows: _Rows, columns: Sequence[Column]
) -> list[str]:
    found = _named(path, text.header, columns, line=text.lines_before + 1)
    # No row is a comment, and none is skipped in search of the header: nothing is lost in silence.
    source = (
        f"read_csv({file_literal(text.path)}, header = true, all_varchar = true, delim = {literal(text.delimiter)}, "
        f"quote = '\"', escape = '\"', comment = '', skip = {text.lines_before}, null_padding = false, "
        "ignore_errors = false, hive_partitioning = false)"
    )
    try:
        given = [str(row[0]) for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
        if len(given) != len(found):
            raise _crooked(path, text, None)
        _keep(connection, source, rows, given, found)
    except duckdb.Error as error:
        _raise_fault(error)
        raise _crooked(path, text, error) from error
    _refuse_header_again(connection, path, rows.name, found, text)
    if text.delimiter != ",":
        _point_decimals(connection, path, rows, [c for c in columns if c.name in found])
    return found


def _raise_fault(error: duckdb.Error) -> None:
    """Raises what the machine has against writing the rows down; no file is to blame for that."""
    found = fault(error)
    if found is not None and not isinstance(found, Damaged):
        raise found from error


def _keep(
    connection: duckdb.DuckDBPyConnection, source: str, rows: _Rows, given: Sequence[str], found: Sequence[str]
) -> None:
    texts = ", ".join(
        f"CAST({identifier(old)} AS VARCHAR) AS {identifier(new)}" for old, new in zip(given, found, strict=True)
    )
    rows.keep(connection, f"SELECT row_number() OVER () AS {ROW}, {texts} FROM {source}")


def _named(path: Path, given: Sequence[str], columns: Sequence[Column], line: int | None) -> list[str]:
    """The names of a file's columns, a contract's own where it knows them; `line` is the header's."""
    where = str(path) if line is None else f"{path}, line {line}"
    known = {called.lower(): column.name for column in columns for called in (column.name, column.physical) if called}
    plain = [name.strip() for name in given]
    for place, name in enumerate(plain, 1):
        if not name:
            raise BadInput(
                f"column {place} of {len(plain)} has no name",
                where=where,
                remedy="name it, or leave it out: it may be an index that pandas wrote (`to_csv(index=False)` leaves "
                "it out), an empty column at the end, or a title above the header",
            )
        if name.lower() == ROW:
            raise BadInput(f"a column is called `{name}`, which is used inside", where=where, remedy="rename it")
    found = [known.get(name.lower(), name) for name in plain]
    lowered = [name.lower() for name in found]
    for name in found:
        if lowered.count(name.lower()) > 1:
            raise BadInput(
                f"column `{name}` is there {lowered.count(name.lower())} times",
                where=where,
                remedy="keep one of them; which one counts cannot be told",
            )
    return found


def _refuse_types(path: Path, types: dict[str, str], columns: Sequence[Column]) -> None:
    """Raises BadInput for columns of Parquet whose values are none of the contract's."""
    for column in columns:
        kind = types.get(column.name, "")
        if kind.startswith(_NESTED) or kind.endswith("]"):
            raise BadInput(
                f"column `{column.name}` holds values of type {kind}, and one value of each row is expected",
                where=str(path),
                expected=f"a {column.type}",
                remedy="write one value into each row of the export",
            )
        if column.type == "string" and (kind in _FLOATS or (kind.startswith("DECIMAL") and not kind.endswith(",0)"))):
            raise BadInput(
                f"column `{column.name}` holds numbers with decimals ({kind}), and is a text: 12346 would be `12346.0`",
                where=str(path),
                expected=f"`{column.name}` as text or as whole numbers",
                remedy="export it as text (pandas makes such numbers of ids where one is missing: use dtype=str)",
            )


def _refuse_header_again(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, found: Sequence[str], text: _Text
) -> None:
    pairs = zip(found, text.header, strict=True)
    same = " AND ".join(
        f"lower(trim(ltrim({identifier(new)}, '\ufeff'))) = {literal(old.strip().lower())}" for new, old in pairs
    )
    row = connection.execute(f"SELECT min({ROW}) FROM {name} WHERE {same}").fetchone()
    if row and row[0] is not None:
        raise BadInput(
            "a row repeats the header, as where two exports were joined",
            where=f"{path}, row {row[0]}",
            remedy="delete that row, after a look whether both parts have the same columns",
        )


def _point_decimals(connection: duckdb.DuckDBPyConnection, path: Path, rows: _Rows, columns: Sequence[Column]) -> None:
    """Writes `12,50` as `12.50`, and `1.234,50` as `1234.50`; raises BadInput where a number could be two."""
    numeric = [column for column in columns if column.type in {"number", "integer"}]
    forms, pointed = {column.name: _forms(connection, rows.name, column) for column in numeric}, dict[str, str]()
    # Where any number of the file has a decimal comma, a point stands between thousands.
    commas = any(form.decimals for form in forms.values())
    for column, form in forms.items():
        # `4.000` may be four thousand as well, unless another number of its column can only have decimals.
        points = form.pointed if commas or not form.fractions else None
        unclear = points if commas else form.grouped or points
        if unclear is not None:
            raise BadInput(
                f"the numbers of column `{column}` could be thousands or decimals",
                where=f"{path}, row {unclear}",
                expected="decimals in one way throughout the file, and no sign between thousands",
                remedy="export the numbers so",
            )
        if form.decimals:
            pointed[column] = pointed_sql(identifier(column))
    rows.show(connection, pointed)


def pointed_sql(text: str) -> str:
    """The SQL of a text in which a number whose decimals a comma parts is written with a point."""
    points = f"replace(replace({text}, '.', ''), ',', '.')"
    return f"CASE WHEN {_looks(text, _DECIMAL)} THEN {points} ELSE {text} END"


@dataclass(frozen=True, slots=True)
class _Forms:
    """How the numbers of a column are written.

    Attributes:
        decimals: how many have a comma that can only be a decimal one.
        fractions: how many have a point that can only be a decimal one, like 0.125 and 1.5.
        grouped, pointed: the first row whose commas, or points, may stand between thousands; None without any.
    """

    decimals: int
    fractions: int
    grouped: int | None
    pointed: int | None


def _forms(connection: duckdb.DuckDBPyConnection, name: str, column: Column) -> _Forms:
    text = identifier(column.name)
    decimal, grouped, pointed = (_looks(text, form) for form in (_DECIMAL, _GROUPED, _POINTED))
    row = connection.execute(
        f"SELECT count_if({decimal} AND NOT {grouped}), count_if({_looks(text, _FRACTION)}), "
        f"min({ROW}) FILTER ({grouped}), min({ROW}) FILTER ({pointed}) FROM {name}"
    ).fetchone()
    return _Forms(*(row or (0, 0, None, None)))


def _looks(text: str, form: str) -> str:
    return f"regexp_full_match({text}, {literal(form)})"


def _crooked(path: Path, text: _Text, error: Exception | None) -> BadInput:
    """Why a text is no table: the first line that has another number of values than the header."""
    with text.path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=text.delimiter, strict=True)
        begins, first = 1, True
        try:
            for number, row in enumerate(reader):
                values, wanted = len(row), len(text.header)
                if number > text.lines_before and row:
                    if values != wanted:
                        return _of_line(path, begins, values, wanted, text, first=first)
                    first = False
                begins = reader.line_num + 1
        except csv.Error as problem:
            return BadInput(
                f"the file cannot be read as a table: {problem}",
                where=f"{path}, from line {begins}",
                remedy="look for a quote that is not closed; a quote inside a value is written twice",
            )
    return BadInput(
        "the file cannot be read as a table: "
        + (first_line(error).replace(str(text.path), path.name) if error else "its rows differ"),
        where=str(path),
        remedy=f"export it again; values with {DELIMITERS[text.delimiter]} need double quotes",
    )


def _of_line(path: Path, line: int, values: int, wanted: int, text: _Text, *, first: bool) -> BadInput:
    sign = DELIMITERS[text.delimiter]
    title = first and wanted <= 1
    return BadInput(
        f"the line has {values} value{'s' * (values != 1)}, and the header {wanted} column{'s' * (wanted != 1)}",
        where=f"{path}, line {line}",
        remedy=_NO_TITLE
        if title
        else f"put values that hold {sign} in double quotes, and write an empty value between two {sign} where none is",
    )


@contextmanager
def _text(path: Path, *, folder: Path | None) -> Iterator[_Text]:
    """The file as DuckDB can read it; itself, unless it has to be unpacked, recoded or given one kind of line ends."""
    packed = path.suffix.lower() == GZIP
    if not packed and (remedy := _signed(path)):
        raise BadInput("the file is no text", where=f"{path}, line 1", remedy=remedy)
    with _unpacked(path, packed=packed) as stream:
        encoding = _MARKS.get(stream.read(2), "utf-8-sig")
    if encoding == "utf-8-sig" and not packed and _is_plain(path):
        with path.open(encoding=encoding, newline="") as text:
            yield _described(path, path, text)
        return
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        plain = Path(scratch) / "plain.csv"
        with _decoded(path, encoding, packed=packed) as text:
            found = _described(path, plain, text)
        with _decoded(path, encoding, packed=packed) as text, plain.open("w", encoding="utf-8", newline="") as out:
            _rewrite(path, text, out, encoding, found.delimiter)
        yield found


def _is_plain(path: Path) -> bool:
    """Whether all of a file is UTF-8 without zero bytes, and its line ends are of one kind: read in large pieces."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    both = feeds = returns = 0
    last = b""
    with path.open("rb") as stream:
        try:
            while piece := stream.read(PIECE_BYTES):
                if b"\0" in piece:
                    where = _line_where(path, lambda line: b"\0" in line)
                    raise BadInput("the file holds binary data", where=where, remedy=_EXPORT_UTF8)
                decoder.decode(piece)
                both += piece.count(b"\r\n") + (last == b"\r" and piece[:1] == b"\n")
                feeds += piece.count(b"\n")
                returns += piece.count(b"\r")
                last = piece[-1:]
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise BadInput(
                "the file is not in UTF-8", where=_line_where(path, _undecoded), remedy=_EXPORT_UTF8
            ) from error
    kinds = [both, feeds - both, returns - both]
    return sum(kind > 0 for kind in kinds) <= 1


def _line_where(path: Path, wrong: Callable[[bytes], bool]) -> str:
    with path.open("rb") as stream:
        found = next((number for number, line in enumerate(stream, 1) if wrong(line)), None)
    return str(path) if found is None else f"{path}, line {found}"


def _undecoded(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _rewrite(path: Path, text: IO[str], out: IO[str], encoding: str, delimiter: str) -> None:
    """Writes the text with one kind of line ends; what stands in quotes keeps its own."""
    quoted, number = False, 0
    try:
        for number, line in enumerate(text, 1):
            if "\0" in line:
                raise BadInput("the file holds binary data", where=f"{path}, line {number}", remedy=_EXPORT_UTF8)
            body = line.rstrip("\r\n")
            quoted = _is_open(body, delimiter, quoted)
            out.write(line if quoted else f"{body}\n")
    except UnicodeDecodeError as error:
        name = encoding.upper().removesuffix("-SIG")
        raise BadInput(
            f"the file is not in {name}", where=f"{path}, after line {number}", remedy=_EXPORT_UTF8
        ) from error


def _is_open(body: str, delimiter: str, open_: bool) -> bool:
    """Whether a quoted value goes on behind the end of a line; within a plain value a quote is any sign."""
    at, begins = 0, True
    while True:
        if open_:
            end = body.find('"', at)
            if end < 0:
                return True
            doubled = body.startswith('"', end + 1)
            open_, at = doubled, end + 1 + doubled
            begins = False
        elif begins and body.startswith('"', at):
            open_, at = True, at + 1
        else:
            found = body.find(delimiter, at)
            if found < 0:
                return False
            at, begins = found + 1, True


@contextmanager
def _decoded(path: Path, encoding: str, *, packed: bool) -> Iterator[IO[str]]:
    with _unpacked(path, packed=packed) as stream:
        yield io.TextIOWrapper(stream, encoding=encoding, newline="")


@contextmanager
def _unpacked(path: Path, *, packed: bool) -> Iterator[IO[bytes]]:
    """The file's bytes; names a pack that is damaged. What the disk has against us is told elsewhere."""
    try:
        with cast("IO[bytes]", gzip.open(path, "rb")) if packed else path.open("rb") as stream:
            yield stream
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"the file cannot be unpacked: {error}", where=str(path), remedy="pack it again") from error


def _described(path: Path, plain: Path, text: IO[str]) -> _Text:
    """How a text is written: told by its header, where that leaves no doubt."""
    try:
        first = text.read(HEADER_MAX)
    except UnicodeDecodeError as error:
        raise BadInput("the file is in another encoding", where=f"{path}, line 1", remedy=_EXPORT_UTF8) from error
    lines_before, told = 0, None
    sep = first.splitlines()[0] if first.strip() else ""
    if sep.lower().startswith("sep=") and sep[4:] in DELIMITERS:
        lines_before, told = 1, sep[4:]
        first = first[len(sep) :].lstrip("\r\n")
    if not first.strip():
        raise BadInput("the file has no rows", where=str(path), remedy="check the export: it holds blanks only")
    delimiter = told or _delimiter(path, first)
    try:
        header = next(csv.reader(io.StringIO(first, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise BadInput(f"the header cannot be read: {error}", where=f"{path}, line 1", remedy=_EXPORT_UTF8) from error
    return _Text(plain, delimiter, header, lines_before)


def _delimiter(path: Path, text: str) -> str:
    """The sign that parts the header's columns; raises BadInput where two of them could."""
    lines = text.splitlines()
    there = _signs(lines[0])
    if not there:
        _refuse_title(path, lines)
        return ","
    most = max(there.values())
    found = [sign for sign, count in there.items() if count == most]
    if len(found) > 1:
        raise BadInput(
            f"the columns could be parted by {' or by '.join(DELIMITERS[sign] for sign in found)}",
            where=f"{path}, line 1",
            remedy="put the names that hold such a sign in double quotes",
        )
    return found[0]


def _signs(line: str) -> dict[str, int]:
    """How often each sign that could part columns stands in a line, outside of quotes."""
    plain = "".join(line.split('"')[::2])
    return {sign: plain.count(sign) for sign in DELIMITERS if sign in plain}


def _refuse_title(path: Path, lines: Sequence[str]) -> None:
    """Raises BadInput where the first line has one column, and the next one that says anything seems to have more.

    Of commas `_crooked` tells: they part such a file.
    """
    number, line = next(((number, line) for number, line in enumerate(lines[1:], 2) if line.strip()), (0, ""))
    sign = next((DELIMITERS[sign] for sign in _signs(line) if sign != ","), None)
    if sign is not None:
        raise BadInput(
            f"this line has {sign}, and the header has none",
            where=f"{path}, line {number}",
            remedy=f"{_NO_TITLE}; if it is one column's name, put values that hold {sign} in double quotes",
        )


def _signed(path: Path) -> str | None:
    """What to do with a file that is no text, by what it begins with."""
    with path.open("rb") as stream:
        first = stream.read(8)
    return next((remedy for sign, remedy in _SIGNATURES.items() if first.startswith(sign)), None)
