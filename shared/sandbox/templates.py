"""Inside the box: Jinja2 templates whose every name, filter and method is on a list, rendered row by row."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import jinja2.debug  # noqa: F401 -- finds the line of an error, when it can no longer be imported
import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from shared.core.errors import BadInput, Contained
from shared.sandbox.tables import forbid_processes, rows_of

FILTER_NAMES = frozenset(
    {"abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "filesizeformat", "first", "float"}
    | {"groupby", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject"}
    | {"rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort", "string", "striptags", "sum"}
    | {"title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordcount"}
)
# Methods that make much out of little, or read a format string that can.
GROWING_METHODS = frozenset(
    {"center", "encode", "expandtabs", "format", "format_map", "ljust", "rjust", "to_bytes", "translate", "zfill"}
)
MAX_RANGE = 1_000
MAX_CHARACTERS = 1_000_000
_MAX_EXPONENT = 16
_MAX_BITS = 256
_BATCH_ROWS = 4_096
_NUMBERS = (int, float, Decimal)


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2's own sandbox, minus everything that grows without asking."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, finalize=_present, autoescape=False)
        self.filters = {name: FILTERS[name] for name in FILTER_NAMES}
        self.globals = {"range": _short_range, "namespace": Namespace, "dict": dict}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers of ordinary size; no repetition, no format strings."""
        if not (isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS)):
            raise Contained(f"`{operator}` works on numbers only", remedy="join text with `~`")
        if operator == "**" and not -_MAX_EXPONENT <= float(right) <= _MAX_EXPONENT:
            raise Contained(f"an exponent is at most {_MAX_EXPONENT} here")
        if any(isinstance(side, int) and side.bit_length() > _MAX_BITS for side in (left, right)):
            raise Contained("a number is too large to calculate with")
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """What Jinja2 finds safe, except the methods that grow."""
        return attr not in GROWING_METHODS and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """No format method, not even Jinja2's own: a width of ten digits is enough to fill the memory."""


def load() -> None:
    """Render a template that uses what Jinja2 and Python import only on first use."""
    _Environment().from_string("{{ '<b>\\u00e9</b>'|striptags|urlencode|tojson }}").render()


def check_template(job: dict[str, Any]) -> dict[str, Any]:
    """Refuse a subject or body that cannot be compiled or names what is not among the variables."""
    forbid_processes()
    _compile(job)
    return {}


def render(job: dict[str, Any]) -> dict[str, Any]:
    """Write unit, subject (one line) and body for every row, in order, to the job's `out`; return their number."""
    forbid_processes()
    rows = pq.ParquetFile(job["rows"], pre_buffer=False)
    job["variables"] = rows.schema_arrow.names
    if "unit" not in job["variables"]:
        raise BadInput("the rows have no column `unit`", expected="one column `unit`, and one per variable")
    if rows.metadata.num_rows > job["limits"]["rows"]:
        raise Contained(f"there are more than {job['limits']['rows']:,} rows to render")
    subject, body = _compile(job)
    schema = pa.schema([rows.schema_arrow.field("unit"), ("subject", pa.string()), ("body", pa.string())])
    done, before = 0, int(job.get("before", 0))
    with pq.ParquetWriter(job["out"], schema) as writer:
        for batch in rows.iter_batches(_BATCH_ROWS, use_threads=False):
            names = batch.schema.names
            rows_here = enumerate(rows_of(batch), before + done + 1)
            contexts = [(number, dict(zip(names, row, strict=True))) for number, row in rows_here]
            subjects = pa.array([" ".join(_text(subject, *each).split()) for each in contexts], pa.string())
            bodies = pa.array([_text(body, *each) for each in contexts], pa.string())
            writer.write_batch(pa.record_batch([batch.column("unit"), subjects, bodies], schema=schema))
            done += len(batch)
    return {"rows": done}


def _compile(job: dict[str, Any]) -> tuple[Template, Template]:
    environment = _Environment()
    subject, body = (_template(environment, job[name], name, job["variables"]) for name in ("subject", "body"))
    return subject, body


def _template(environment: _Environment, source: str, name: str, variables: Iterable[str]) -> Template:
    try:
        tree = environment.parse(source, name, name)
        _admit(tree, name, variables, environment)
        code = environment.compile(source, name, name)
        return environment.template_class.from_code(environment, code, environment.make_globals(None))
    except TemplateSyntaxError as error:
        raise _refusal(f"{error.message}", name, error.lineno) from error
    except (TemplateError, SyntaxError, ValueError, SystemError) as error:  # SystemError: the compiler's stack
        raise _refusal(f"the template cannot be compiled: {error}", name, None) from error


def _admit(tree: nodes.Template, name: str, variables: Iterable[str], environment: _Environment) -> None:
    for node in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
        raise _refusal("a template stands alone: it may not include, import or extend", name, node.lineno)
    for used in tree.find_all(nodes.Filter):
        if used.name not in environment.filters:
            allowed = ", ".join(sorted(environment.filters))
            raise _refusal(f"there is no filter `{used.name}` here; there are {allowed}", name, used.lineno)
    missing = meta.find_undeclared_variables(tree) - set(environment.globals) - set(variables)
    for named in tree.find_all(nodes.Name):
        if named.name in missing:
            known = ", ".join(variables) or "none"
            raise _refusal(f"there is no variable `{named.name}`; there are {known}", name, named.lineno)


def _text(template: Template, number: int, row: dict[str, Any]) -> str:
    try:
        text = template.render(row)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # a template can raise anything, and all of it is its own fault
        what = error.what if isinstance(error, Contained) else f"{type(error).__name__}: {error}"
        remedy = error.remedy if isinstance(error, Contained) else None
        raise _refusal(f"row {number}: {what}", str(template.name), _line(error, template), remedy) from error
    if len(text) > MAX_CHARACTERS:
        raise _refusal(f"row {number}: the text is longer than {MAX_CHARACTERS:,} characters", str(template.name), None)
    return text


def _line(error: BaseException, template: Template) -> int | None:
    """The template's line that was at work, from the trace that Jinja2 rewrites to the template's own lines."""
    trace, line = error.__traceback__, None
    while trace:
        if trace.tb_frame.f_code.co_filename == template.filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _refusal(what: str, name: str, line: int | None, remedy: str | None = None) -> Contained:
    return Contained(what, where=f"{name}, line {line}" if line else name, remedy=remedy)


def _present(value: Any) -> Any:
    """The value, unless it is NULL: nobody is to be greeted as None."""
    if value is None:
        raise Contained("a variable that is printed is NULL", remedy="write {{ name or 'friend' }}, or fill the column")
    return value


def _short_range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MAX_RANGE:
        raise Contained(f"range() may count to {MAX_RANGE:,} at most")
    return numbers
