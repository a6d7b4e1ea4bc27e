"""Ids and units: replaced both ways by the type of the table's contract, and nobody slips in or out unseen."""

import duckdb
import pytest
import yaml

from factory.warehouse.ids import pseudonymise, resolve
from factory.warehouse.load import load
from factory.warehouse.mask import pseudonym_key
from shared.core.errors import BadInput
from shared.data.pseudonym import pseudonym
from tests.makers import make_workspace

TEXTS = "customer_id,email,recency,history,zip_code\n007,c1@example.com,3,10.5,Urban\nc2,c2@example.com,12,0,Rural\n"
NUMBERS = TEXTS.replace("007", "12346").replace("c2,c2", "7,c2")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two workspaces: in one the customers' ids are texts, in the other whole numbers."""
    found = {}
    for kind, text in (("string", TEXTS), ("integer", NUMBERS)):
        root = tmp_path_factory.mktemp(kind)
        workspace = make_workspace(root / "workspace")
        path = workspace.configs / "contracts" / "customers.odcs.yaml"
        document = yaml.safe_load(path.read_text())
        key = next(c for c in document["schema"][0]["properties"] if c.get("primaryKey"))
        if kind == "integer":
            key.pop("logicalTypeOptions", None)
        key["logicalType"] = kind
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        (root / "customers.csv").write_text(text)
        load(workspace, "customers", root / "customers.csv")
        found[kind] = workspace
    return found


def told(tmp_path, text, name="reported.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def masked(workspace, path, **said):
    out = path.with_name("masked.csv")
    result = pseudonymise(workspace, path, out, column="customer_id", table="customers", **said)
    return result, out.read_text().splitlines()


def test_ids_become_units_and_units_ids_again(made, tmp_path):
    workspace = made["string"]
    result, lines = masked(workspace, told(tmp_path, "customer_id,visit\nc2,1\n007,0\n"))
    key = pseudonym_key(workspace)
    assert result == (2, 0)
    assert lines == ["unit,visit", f"{pseudonym(key, 'c2')},1", f"{pseudonym(key, '007')},0"]
    assert resolve(workspace, tmp_path / "masked.csv", tmp_path / "back.csv", table="customers") == 2
    assert [line.split(",")[0] for line in (tmp_path / "back.csv").read_text().splitlines()] == ["id", "c2", "007"]


@pytest.mark.parametrize("spelling", ["12346", "12346.0", " 12346 ", "+12346", "012346"])
def test_a_number_is_a_number_however_it_is_written(made, tmp_path, spelling):
    workspace = made["integer"]
    _, lines = masked(workspace, told(tmp_path, f'customer_id\n"{spelling}"\n'))
    assert lines[1] == pseudonym(pseudonym_key(workspace), "12346")


@pytest.mark.parametrize("file", ["a.parquet", "b.csv"])
def test_the_same_ids_are_the_same_units_in_every_kind_of_file(made, tmp_path, file):
    workspace, path = made["integer"], tmp_path / file
    duckdb.execute(f"COPY (SELECT 12346::DOUBLE AS customer_id) TO '{path}'")
    assert masked(workspace, path)[1][1] == pseudonym(pseudonym_key(workspace), "12346")


@pytest.mark.parametrize(
    ("kind", "id_"),
    [
        ("string", "7"), ("string", "0007"), ("string", " 007"), ("string", "C2"), ("string", "007.0"), ("string", ""),
        ("integer", "12347"), ("integer", "12346.5"), ("integer", "1_2346"), ("integer", "twelve"), ("integer", ""),
    ],
)  # fmt: skip
def test_an_id_in_another_spelling_is_a_stranger(made, tmp_path, kind, id_):
    known = "c2" if kind == "string" else "7"
    path = told(tmp_path, f'customer_id,visit\n{known},1\n"{id_}",0\n')
    with pytest.raises(BadInput) as caught:
        masked(made[kind], path)
    assert caught.value.what.startswith("1 id is nobody in table `customers`: ")
    assert caught.value.where == f"{path}, row 2"
    assert not (tmp_path / "masked.csv").exists()


def test_strangers_are_copied_where_that_is_asked_for_and_counted(made, tmp_path):
    path = told(tmp_path, "customer_id,visit\nc2,1\nc9,0\nc9,1\n")
    result, lines = masked(made["string"], path, keep_strangers=True)
    assert (result, len(lines)) == ((3, 2), 4)


def test_several_strangers_are_counted_and_the_first_named(made, tmp_path):
    path = told(tmp_path, "customer_id\nx1\nx2\nx2\nx3\nx4\n")
    with pytest.raises(BadInput, match=r"^4 ids are nobody in table `customers`: `x1`, `x2`, `x3`, …"):
        masked(made["string"], path)


def test_texts_with_decimals_in_parquet_are_no_ids(made, tmp_path):
    duckdb.execute(f"COPY (SELECT 7::DOUBLE AS customer_id) TO '{tmp_path / 'x.parquet'}'")
    with pytest.raises(BadInput, match="numbers with decimals"):
        masked(made["string"], tmp_path / "x.parquet")


@pytest.mark.parametrize("units", ["u_stranger", '""'])
def test_resolve_refuses_a_unit_that_is_nobody_here(made, tmp_path, units):
    with pytest.raises(BadInput, match="1 unit is nobody"):
        resolve(made["string"], told(tmp_path, f"unit\n{units}\n"), tmp_path / "out.csv", table="customers")
    assert not (tmp_path / "out.csv").exists()


def test_resolve_overwrites_no_column_of_the_file(made, tmp_path):
    path = told(tmp_path, f"unit,id\n{pseudonym(pseudonym_key(made['string']), 'c2')},1\n")
    with pytest.raises(BadInput, match="has a column `id` already"):
        resolve(made["string"], path, tmp_path / "out.csv", table="customers")


def test_pseudonymise_overwrites_no_column_of_the_file(made, tmp_path):
    with pytest.raises(BadInput, match="has a column `unit` already"):
        masked(made["string"], told(tmp_path, "customer_id,unit\nc2,piece\n"))


def test_the_signs_between_columns_are_kept_so_that_decimal_commas_stay_numbers(made, tmp_path):
    path = told(tmp_path, "customer_id;spend\nc2;12,50\n007;0,00\n")
    _, lines = masked(made["string"], path)
    assert [line.split(";")[1] for line in lines] == ["spend", "12,50", "0,00"]
    assert resolve(made["string"], tmp_path / "masked.csv", tmp_path / "back.csv", table="customers") == 2
    assert (tmp_path / "back.csv").read_text().splitlines()[1].endswith(";12,50")
