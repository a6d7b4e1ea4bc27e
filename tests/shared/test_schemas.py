"""The published schemas: they take what the models take, and refuse what the models refuse by structure."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import yaml
from jinja2 import Environment
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from docs.json_schemas import attributes
from factory.state.settings import FactorySettings
from lab.charters.briefs import TEMPLATES, Brief, filled
from lab.charters.drafts import charter_text
from lab.state import LabSettings
from promotion.gate.policy import GateSettings
from shared.experiment.charter import Charter
from shared.experiment.metrics import Catalogue
from shared.experiment.people import People
from shared.state.workspace import create
from tests.lab_makers import CHARTER

CONFIGS = Path(str(resources.files("configs")))
MODELS = {
    "charter": Charter,
    "metrics": Catalogue,
    "people": People,
    "lab": LabSettings,
    "gate": GateSettings,
    "factory": FactorySettings,
}
# What pydantic says where the structure is wrong; everything else needs more than one key, or a value's meaning.
STRUCTURAL = {
    "extra_forbidden", "missing", "literal_error", "string_type", "model_type", "model_attributes_type", "dict_type",
    "tuple_type", "union_tag_invalid", "union_tag_not_found", "float_type", "int_type", "decimal_type", "date_type",
    "bool_type", "string_pattern_mismatch", "too_short",
}  # fmt: skip
EVERYTHING = (
    CHARTER
    + """\
risk_tier: low
cluster: household
covariates: [history]
segments: [zip_code]
sources: [customers]
layer: {name: mails, start: 0.25, end: 0.5}
kill_criteria: [{metric: visit, worse_than: -0.1}]
follows: {pilot: winter-mail, candidate: "sha256:00", change: other words, alpha_spent: 0.05}
"""
)
METRICS = """\
schema_version: 1
metrics:
  visit: {kind: proportion, column: visit, unit: share, direction: increase, description: Visits.}
  basket: {kind: ratio, expression: spend - 1, denominator: conversion, unit: USD, cap_quantile: 0.99}
  spend: {kind: mean, column: spend, unit: USD, cap: 500.0, window_days: 7, source: outcomes}
  high: {kind: quantile, column: spend, quantile: 0.9, unit: USD}
"""


class _Loader(yaml.SafeLoader):
    """As editors read YAML: a date is a text."""


_Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in known if not tag.endswith("timestamp")]
    for sign, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def loaded(text):
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader


def validator(name):
    schema = json.loads((CONFIGS / "schemas" / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "charter"])
def test_the_default_files_are_valid_and_name_their_schema(name):
    text = (CONFIGS / f"{name}.yaml").read_text()
    assert list(validator(name).iter_errors(loaded(text))) == []
    assert text.startswith(f"# yaml-language-server: $schema=schemas/{name}.schema.json\n")


def test_every_templates_draft_is_valid(tmp_path):
    workspace, _ = create(tmp_path / "team", "rehearsal")
    for template in TEMPLATES:
        text = charter_text(workspace, "autumn", filled(workspace, Brief(template=template)))
        assert list(validator("charter").iter_errors(loaded(text))) == [], template


@pytest.mark.parametrize("pilot", ["spring-mail", "womens-mail"])
def test_the_example_pilots_are_valid(pilot):
    text = (Path(str(resources.files("pilotplant.demo"))) / "pilots" / pilot / "charter.yaml").read_text()
    days = {"start": "2026-01-05", "end": "2026-01-19", "decide_by": "2026-01-26"}
    filled_in = Environment(autoescape=True).from_string(text).render(assignment="source", synthetic="true", **days)
    assert list(validator("charter").iter_errors(loaded(filled_in))) == []


def test_a_new_workspace_has_the_schemas_where_a_draft_looks_for_them(tmp_path):
    workspace, _ = create(tmp_path / "team", "rehearsal")
    first = charter_text(workspace, "autumn", filled(workspace, Brief())).split("\n", maxsplit=1)[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert (workspace.pilots / "autumn" / named).resolve() == (workspace.configs / "schemas" / "charter.schema.json")
    assert (workspace.configs / "schemas" / "charter.schema.json").is_file()


def mutants(node, path=()):
    """Every way to break one place: a key too many, a key too few, a value of another kind."""
    if isinstance(node, dict):
        yield path, "add"
        for key, value in node.items():
            yield (*path, key), "drop"
            yield (*path, key), "mistype"
            yield from mutants(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield (*path, index), "mistype"
            yield from mutants(value, (*path, index))


def mutated(document, path, how):
    changed = copy.deepcopy(document)
    here = changed
    for step in path if how == "add" else path[:-1]:
        here = here[step]
    if how == "add":
        here["zzz"] = 1
    elif how == "drop":
        del here[path[-1]]
    else:
        here[path[-1]] = {"zzz": []} if not isinstance(here[path[-1]], dict) else "zzz"
    return changed


DOCUMENTS = {
    "charter": [
        EVERYTHING,
        CHARTER.replace("150}", "150, looks: {method: group_sequential, at: [0.5, 1]}}"),
        CHARTER.replace("150}", "150, looks: {method: always_valid}, alpha: 0.1}"),
    ],
    "metrics": [METRICS],
    **{name: [(CONFIGS / f"{name}.yaml").read_text()] for name in ("people", "lab", "gate", "factory")},
}


@pytest.mark.parametrize("name", MODELS)
def test_schema_and_model_refuse_the_same_mistakes_of_structure(name):
    judge, broken = validator(name), 0
    for text in DOCUMENTS[name]:
        document = loaded(text)
        assert list(judge.iter_errors(document)) == []
        MODELS[name].model_validate(document)
        for path, how in mutants(document):
            changed = mutated(document, path, how)
            schema_refuses = any(judge.iter_errors(changed))
            problems = model_problems(MODELS[name], changed)
            assert not (schema_refuses and not problems), f"only the schema refuses: {how} {path}"
            if problems & STRUCTURAL:
                broken += 1
                assert schema_refuses, f"only the model refuses: {how} {path}: {problems}"
    assert broken > 5


def model_problems(model, document):
    try:
        model.model_validate(document)
    except ValidationError as error:
        return {problem["type"] for problem in error.errors()}
    return set()


@pytest.mark.parametrize("model", [Charter, LabSettings, People])
def test_no_docstring_names_an_attribute_that_is_not_there(model):
    assert set(attributes(model)) <= set(model.model_fields)


def test_an_editor_shows_help_for_every_key_of_a_charter():
    schema = validator("charter").schema
    silent = [key for key, said in schema["properties"].items() if "description" not in said]
    assert silent == ["schema_version"]
    assert "below zero where more is better" in schema["$defs"]["Guardrail"]["properties"]["margin"]["description"]


def test_the_published_schemas_are_what_the_models_say():
    script = Path(__file__).parents[2] / "docs" / "schemas.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
