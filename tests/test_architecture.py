"""The house as DESIGN draws it: who imports whom, what loads early, and whose the four names are."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parent.parent
ROOMS = ("pilotplant", "lab", "promotion", "factory", "shared")
MODULES_MAX = 20
# Words of the field that end like what somebody does: of signing, sequential tests, imports, and MLflow.
NOUNS = {"alpha_spending", "blinding", "finding", "keyring", "mapping", "tracking"}
HEAVY = ("mlflow", "prefect", "great_expectations", "pandas")


def imports_of(path: Path) -> set[str]:
    """The top-level names that a file imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def files_importing(name: str) -> set[str]:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    return {str(path.relative_to(ROOT)) for path in files if name in imports_of(path)}


def python(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=folder, check=False)


def test_import_linter_keeps_every_contract():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("state.py", "import factory.state.tables\n"),
        ("pilots/clusters.py", "import lab.budget.budget\n"),
        ("launch/launch.py", "import typer\n"),
    ],
    ids=["another room", "a layer above", "a terminal"],
)
def test_a_forbidden_import_breaks_a_contract(tmp_path, where, text):
    """The contracts above can fail: the same configuration over a copy with one forbidden import."""
    for room in set(ROOMS) - {"lab"}:
        (tmp_path / room).symlink_to(ROOT / room)
    shutil.copytree(ROOT / "lab", tmp_path / "lab")
    (tmp_path / "lab" / where).write_text(text)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    done = python("-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache", folder=tmp_path)
    assert "BROKEN" in done.stdout


def graph() -> dict[str, set[str]]:
    """Every module with those of ours that it imports: at the top, inside functions, and for type checking alone."""
    paths = {module_of(path): path for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    return {
        name: {each for each in dotted_imports(path) if each in paths and each != name} for name, path in paths.items()
    }


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def dotted_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node."""
    names = sorted(edges)
    place = {name: number for number, name in enumerate(names)}
    pairs = [(place[one], place[other]) for one in names for other in edges[one]]
    matrix = csr_matrix(([1] * len(pairs), tuple(zip(*pairs, strict=True))), shape=(len(names), len(names)))
    labels = connected_components(matrix, connection="strong")[1]
    groups = [[names[n] for n in np.flatnonzero(labels == label)] for label in np.unique(labels)]
    return [group for group in groups if len(group) > 1]


def test_no_module_imports_itself_by_way_of_others():
    edges = graph()
    assert len(edges) > 400
    # A package that names its modules for whoever imports it is not a circle of theirs.
    own = {name: {each for each in found if not each.startswith(f"{name}.")} for name, found in edges.items()}
    assert circles(own) == []
    assert circles({**own, "lab.state": own["lab.state"] | {"lab.cli.run"}}), "one import is enough to make a circle"


def test_no_folder_holds_more_modules_than_one_can_overlook():
    folders = Counter(path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py") if path.stem[0] != "_")
    assert {str(folder.relative_to(ROOT)): held for folder, held in folders.items() if held > MODULES_MAX} == {}


def test_modules_are_nouns():
    names = {path.stem for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert {name for name in names if name.endswith("ing")} == NOUNS


def test_the_page_names_every_folder_and_no_other():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    described = set(re.findall(r"\*\*`([a-z_/]+)/`\*\*", page))
    holding = {path.parent.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert described == {str(folder) for folder in holding if len(folder.parts) > 1}


def test_the_picture_draws_the_layers_that_are_kept():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    kept = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    drawn = dict(re.findall(r"^  subgraph (\w+)\[.*?\n(.*?)^  end", page, re.MULTILINE | re.DOTALL))
    for contract in kept:
        if contract["type"] == "layers" and (room := "".join(contract.get("containers", ()))):
            boxes = [set(box.split(" · ")) for box in re.findall(r'\["([a-z ·]+)"\]', drawn[room])]
            layers = [set(layer.split(" | ")) for layer in contract["layers"]]
            if room == "promotion":  # one box, for both are small and one stands on the other
                layers[-2:] = [layers[-2] | layers[-1]]
            assert [box for box in boxes if box != {"sandbox"}] == layers, room


def test_only_the_tracking_file_imports_mlflow():
    assert files_importing("mlflow") == {"lab/analysis/tracking.py"}


def test_only_the_quality_file_imports_great_expectations():
    assert files_importing("great_expectations") == {"shared/data/quality.py"}


def test_prefect_is_imported_in_the_factory_only():
    found = files_importing("prefect")
    assert found
    assert all(name.startswith("factory/") for name in found)


@pytest.mark.parametrize("name", [room for room in ROOMS if room != "pilotplant"])
def test_a_rooms_name_is_this_projects_from_anywhere(name):
    """factory_boy imports as `factory` too, and must never win."""
    done = python("-P", "-c", f"import {name}; print({name}.__file__)", folder=Path("/"))
    assert Path(done.stdout.strip()).parent == ROOT / name


def test_factory_boy_is_no_dependency():
    assert "factory-boy" not in (ROOT / "requirements.lock").read_text().lower().replace("_", "-")


def test_the_lock_names_no_address():
    lock = (ROOT / "requirements.lock").read_text()
    assert "http://" not in lock
    assert "https://" not in lock


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("early") / "workspace"
    assert python("-m", "pilotplant", "init", str(folder)).returncode == 0
    return folder


@pytest.mark.parametrize(
    "words",
    [["--help"], ["lab", "--help"], ["promote", "--help"], ["factory", "--help"], ["status"], ["clock"]],
)
def test_help_and_status_load_nothing_heavy(workspace, words):
    script = (
        "import sys; from pilotplant.app import _exit_code\n"
        f"code = _exit_code(['--workspace', {str(workspace)!r}, *{words!r}])\n"
        f"print('LOADED', code, sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert python("-c", script).stdout.splitlines()[-1] == "LOADED 0 []"


@pytest.mark.parametrize("room", [[], ["lab"], ["promote"], ["factory"]], ids=" ".join)
def test_help_opens_no_database(workspace, room):
    """Whoever asks for help waits for nothing but the text: half of the time was once SQLAlchemy's."""
    early = (*HEAVY, "sqlalchemy", "croniter", "duckdb", "numpy", *(() if room else ("pydantic", "yaml")))
    script = (
        "import sys; from pilotplant.app import _exit_code\n"
        f"code = _exit_code([*{room!r}, '--help'])\n"
        f"print('LOADED', code, sorted(set({early!r}) & set(sys.modules)))"
    )
    assert python("-c", script).stdout.splitlines()[-1] == "LOADED 0 []"


@pytest.mark.parametrize("words", [["lab", "list"], ["lab", "remind"]])
def test_a_list_of_pilots_loads_no_engine_and_no_statistics(workspace, words):
    """The list is looked at all day: what it imports is most of the time it takes."""
    early = (*HEAVY, "duckdb", "scipy", "matplotlib", "securesystemslib", "numpy")
    script = (
        "import sys; from pilotplant.app import _exit_code\n"
        f"code = _exit_code(['--workspace', {str(workspace)!r}, *{words!r}])\n"
        f"print('LOADED', code, sorted(set({early!r}) & set(sys.modules)))"
    )
    assert python("-c", script).stdout.splitlines()[-1] == "LOADED 0 []"


def test_the_overview_loads_no_engine_and_computes_nothing(workspace):
    early = (*HEAVY, "duckdb", "scipy", "pyarrow", "matplotlib", "securesystemslib")
    script = (
        "import sys; from pilotplant.app import _exit_code\n"
        f"code = _exit_code(['--workspace', {str(workspace)!r}, 'status'])\n"
        f"print('LOADED', code, sorted(set({early!r}) & set(sys.modules)))"
    )
    assert python("-c", script).stdout.splitlines()[-1] == "LOADED 0 []"


def commands() -> list[list[str]]:
    import typer.main

    from pilotplant.app import app

    def walk(command, path):
        children = getattr(command, "commands", {})
        if not children:
            yield path, command
        for name, child in children.items():
            yield from walk(child, [*path, name])

    return list(walk(typer.main.get_command(app), []))


@pytest.mark.parametrize(
    ("path", "command"), commands(), ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_every_command_has_help_and_speaks_json(path, command):
    assert command.help, path
    assert all(option.help for option in command.params if option.param_type_name == "option"), path
    assert any("--json" in option.opts for option in command.params), path


def test_the_documented_command_line_is_what_the_commands_say():
    assert python("docs/cli.py", "--check", folder=ROOT).returncode == 0


CONSOLE, TABLES = "shared/ui/console.py", {"shared/data/tabular.py", "shared/sandbox/tables.py"}
# What the confined child says to its parent, and the demo's own shop, are for no reader.
MACHINES = {"shared/sandbox/child.py", "pilotplant/demo/shop.py"}


def calls_of(path: Path) -> set[str]:
    """What a file calls, as it is written: `print`, `typer.echo`, `sys.stdout.write`."""
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}


def test_only_the_console_prints():
    """So that new code cannot forget: whatever reaches a terminal goes through the one place that makes it safe."""
    printing = {"print", "typer.echo", "typer.secho", "typer.prompt", "typer.confirm", "sys.stdout.write",
                "sys.stderr.write", "traceback.print_exception", "traceback.print_exc", "warnings.warn"}  # fmt: skip
    found = {
        str(path.relative_to(ROOT)): sorted(calls_of(path) & printing)
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if calls_of(path) & printing
    }
    assert set(found) - MACHINES == {CONSOLE}, found
    assert files_importing("rich") == {CONSOLE}


def test_only_two_files_write_sheets():
    written = {
        str(path.relative_to(ROOT))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if any(
            sign in path.read_text() for sign in ("csv.writer", "DictWriter", "CSVWriter", "write_csv", "FORMAT csv")
        )
    }
    assert written - MACHINES == TABLES


def test_only_these_files_make_pages_mails_and_pictures():
    """One environment for every template of a page, one letter for every mail, one writer for every drawing."""
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert {str(p.relative_to(ROOT)) for p in files if "autoescape=True" in p.read_text()} == {"shared/ui/page.py"}
    assert {str(p.relative_to(ROOT)) for p in files if "EmailMessage()" in p.read_text()} == {"shared/notify/mail.py"}
    assert {str(p.relative_to(ROOT)) for p in files if "savefig(" in p.read_text()} == {"shared/ui/svg.py"}
