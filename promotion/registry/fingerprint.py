"""Fingerprints: by what a pilot is known again under another name: its messages, and its audience with its goal.

Blanks, comments, capital letters, punctuation and marks that nobody sees make no other message and no other audience.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from shared.core.digests import digest_bytes, digest_json
from shared.core.errors import BadInput, Contained, PilotPlantError
from shared.core.printable import IGNORABLE
from shared.data.contracts import Column, load_contract
from shared.experiment.charter import Promise
from shared.experiment.line import Why
from shared.experiment.play import Play
from shared.sandbox import render

if TYPE_CHECKING:
    import pyarrow as pa

# A message is compared as so many made-up customers would read it.
READERS = 8
_WORDS = tuple(f"word{number}" for number in range(READERS))
_NUMBERS = (0, 1, 2, 5, 10, 50, 100, 1000)
_DAYS = tuple(f"2026-01-{number:02}" for number in range(1, READERS + 1))
_SAMPLES: dict[str, tuple[Any, ...]] = {
    "string": _WORDS,
    "integer": _NUMBERS,
    "number": tuple(map(float, _NUMBERS)),
    "boolean": (True, False),
    "date": _DAYS,
    "timestamp": tuple(f"{day}T09:00:00Z" for day in _DAYS),
}
_UNSEEN = re.compile(
    r"(?si)<!--.*?-->|<(style|script)\b.*?</\1\s*>|"
    r"<(\w+)\b[^>]*(?:display\s*:\s*none|visibility\s*:\s*hidden|\shidden\b)[^>]*>.*?</\2\s*>|<[^>]*>"
)
# Letters that look like ours, of one case or the other (Unicode Technical Standard 39, confusables.txt).
_LIKE_OURS = str.maketrans("авекмнорстухіјѕһԁԛԝӏαεικνορτυχ", "abekmhopctyxijshdqwlaeikvoptux")
_TAG = re.compile(r"\{[{%#]")
_COMMENT = re.compile(r"(?s)\{#.*?#\}")
# Where something stands in the text, and what it is called, says nothing of whom it selects.
_NO_MEANING = frozenset(
    {"query_location", "query_location_length", "alias", "column_name_alias", "catalog_name", "schema_name"}
)
_ORDER_ONLY = frozenset({"ORDER_MODIFIER", "DISTINCT_MODIFIER"})


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a promise is known by; digests, sorted.

    Attributes:
        messages: of each treatment's subject and body, as written and as read.
        audiences: of each treatment's selection; none of one that takes the whole population.
        goals: of each primary metric, by its name and by what it computes.
        synthetic: whether the units are made up: who asks those has not looked at customers.
    """

    messages: tuple[str, ...]
    audiences: tuple[str, ...]
    goals: tuple[str, ...]
    synthetic: bool

    def as_json(self) -> dict[str, Any]:
        """As the ledger's entry of the registration carries it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def alike(self, other: Fingerprint) -> Why | None:
        """Why two pilots are one under two names; None where they are not."""
        if self.synthetic != other.synthetic:
            return None
        if set(self.messages) & set(other.messages):
            return "messages"
        same = set(self.audiences) & set(other.audiences) and set(self.goals) & set(other.goals)
        return "audience" if same else None


def read_fingerprint(content: Mapping[str, Any]) -> Fingerprint:
    """A fingerprint as `as_json` wrote it."""
    messages, audiences, goals = (tuple(content[name]) for name in ("messages", "audiences", "goals"))
    return Fingerprint(messages, audiences, goals, bool(content["synthetic"]))


def fingerprint(promise: Promise, texts: Mapping[str, bytes]) -> Fingerprint:
    """The fingerprint of a promise, of whose files these are the bytes; raises BadInput where they are not."""
    for name, digest in promise.files.items():
        if name not in texts or digest_bytes(texts[name]) != digest:
            raise BadInput(
                f"the file {name} that was shown to the gate is not the one that was promised",
                where=f"pilot {promise.charter.pilot}",
                expected=f"the content {digest}",
                remedy="give the command again",
            )
    charter = promise.charter
    contract = texts.get(f"contracts/{charter.population}.odcs.yaml", b"")
    plays = [arm.play for arm in charter.treatments if arm.play is not None]
    audiences = (_audience(_text(texts[play.audience])) for play in plays)
    goals = (goal for each in charter.primaries for goal in (each.metric, promise.metrics[each.metric].definition))
    return Fingerprint(
        messages=_sorted(digest for play in plays for digest in _message(play, _text(texts[play.template]), contract)),
        audiences=_sorted(digest for digest in audiences if digest is not None),
        goals=_sorted(map(str, goals)),
        synthetic=charter.synthetic,
    )


def plain(text: str) -> str:
    """The letters and digits that a reader sees, without case, and nothing of how they are set."""
    seen = unicodedata.normalize("NFKC", html.unescape(_UNSEEN.sub(" ", text))).casefold()
    letters = "".join(character for character in re.sub(IGNORABLE, "", seen) if character.isalnum())
    return letters.translate(_LIKE_OURS)


def _sorted(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(texts)))


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def _message(play: Play, template: str, contract: bytes) -> list[str]:
    """The digests of a message: as written, and as each reads it for whom it can be rendered.

    Readings count one by one: what is said to some in other words is the same message to all others.
    """
    written = plain(_COMMENT.sub("", f"{play.subject}\n{template}"))
    read = _read(play.subject, template, tuple(sorted(play.fields)), contract)
    return [
        digest_json([kind, text]) for kind, text in (("written", written), *(("read", one) for one in read)) if text
    ]


@lru_cache(maxsize=256)
def _read(subject: str, template: str, fields: tuple[str, ...], contract: bytes) -> tuple[str, ...]:
    """What made-up customers would read, each once; nothing of those for whom the template cannot be rendered.

    A message that cannot be rendered at all is still known by how it is written.
    """
    if not _TAG.search(subject + template):
        return _sorted(filter(None, [plain(f"{subject}\n{template}")]))  # everybody reads what is written
    import pyarrow as pa

    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder).resolve()
            (place / "contract.yaml").write_bytes(contract)
            columns = {column.name: column for column in load_contract(place / "contract.yaml").columns}
            readers = pa.table(_customers([columns[name] for name in fields]))
            texts = _rendered(template, subject, readers, place) or [
                text
                for number in range(READERS)
                for text in _rendered(template, subject, readers.slice(number, 1), place)
            ]
    except (PilotPlantError, KeyError, OSError):
        return ()
    return _sorted(filter(None, map(plain, texts)))


def _rendered(template: str, subject: str, readers: pa.Table, place: Path) -> list[str]:
    """What these readers would read; nothing where it fails for any of them."""
    import pyarrow.parquet as pq

    pq.write_table(readers, place / "rows.parquet")
    try:
        render(template, subject, place / "rows.parquet", place / "read.parquet", where="a template")
    except Contained:
        return []
    return [f"{row['subject']}\n{row['body']}" for row in pq.read_table(place / "read.parquet").to_pylist()]


def _customers(columns: list[Column]) -> dict[str, list[Any]]:
    """Made-up customers: what each has depends on the column's name alone, so that a further one changes no other."""
    # Units look like those of a snapshot, so that no template can tell who is made up by that.
    digests = (hashlib.sha256(f"reader {number}".encode()).hexdigest() for number in range(READERS))
    table: dict[str, list[Any]] = {"unit": [f"u_{digest[:32]}" for digest in digests]}
    for column in columns:
        values: tuple[Any, ...] = column.valid_values or _SAMPLES[column.type]
        begin = crc32(column.name.encode())
        table[column.name] = [values[(begin + number) % len(values)] for number in range(READERS)]
    return table


@lru_cache(maxsize=256)
def _audience(sql: str) -> str | None:
    """The digest of whom an audience selects; None where that is the whole population."""
    import duckdb  # not for those who only list what waits

    try:
        with duckdb.connect() as connection:
            row = connection.execute("SELECT json_serialize_sql(?)", [sql.rstrip().rstrip(";")]).fetchone()
        tree: Any = json.loads(row[0]) if row else {"error": True}
        if tree["error"]:
            return digest_json(["text", plain(sql)])
        nodes = [statement["node"] for statement in tree["statements"]]
        if all(_takes_all(node) for node in nodes):
            return None
        return digest_json(["select", [_meaning(node) for node in nodes]])
    except (duckdb.Error, RecursionError, ValueError):
        return digest_json(["text", plain(sql)])


def _takes_all(node: Any) -> bool:
    """Whether a SELECT has one table and nothing that leaves any of its rows out."""
    return (
        node["type"] == "SELECT_NODE"
        and node["from_table"]["type"] == "BASE_TABLE"
        and not node["from_table"].get("sample")
        and not any(node.get(part) for part in ("where_clause", "group_expressions", "having", "qualify", "sample"))
        and all(modifier["type"] in _ORDER_ONLY for modifier in node["modifiers"])
    )


def _meaning(node: Any, key: str = "") -> Any:
    """A parsed SELECT without what makes no difference to whom it selects."""
    if isinstance(node, list):
        return [_meaning(part, key) for part in node]
    if isinstance(node, str):
        return node if key in {"text", "value"} else node.casefold()
    if not isinstance(node, dict):
        return node
    if node.get("class") == "COLUMN_REF":
        return ["column", node["column_names"][-1].casefold()]
    if node.get("class") == "CONJUNCTION":
        return _conjunction(node)
    if "modifiers" in node and all(modifier["type"] in _ORDER_ONLY for modifier in node["modifiers"]):
        node = {**node, "modifiers": []}
    return {name: _meaning(value, name) for name, value in node.items() if name not in _NO_MEANING}


def _conjunction(node: Any) -> Any:
    """Conditions in whatever order; one without a column is none."""
    parts = {json.dumps(_meaning(child), sort_keys=True) for child in node["children"] if _reads(child)}
    return json.loads(next(iter(parts))) if len(parts) == 1 else [node["type"], sorted(parts)]


def _reads(node: Any) -> bool:
    """Whether an expression reads anything of a row."""
    if isinstance(node, dict):
        return node.get("class") in {"COLUMN_REF", "SUBQUERY"} or any(_reads(part) for part in node.values())
    return isinstance(node, list) and any(_reads(part) for part in node)
