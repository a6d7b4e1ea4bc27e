"""The contract of a table as the Lab sees it: its columns as they are masked, with the rules that still hold.

It is made anew rather than copied: what is said of a personal column, and every comment in the file, stays here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from factory.warehouse.mask import generalised
from shared.core.yamlfile import read_yaml
from shared.data.contracts import Document, Property, parse_contract
from shared.data.generalisation import Generalisation
from shared.data.pseudonym import PREFIX, PSEUDONYM_HEX

PSEUDONYM = "a pseudonym (a keyed hash): the same id has the same one in every table"
REDACTED = "redacted: every value is missing"
# What holds of any values, and of no value at all.
_KEPT = {"name", "description", "classification", "customProperties"}
# What says how files from elsewhere are read, which no snapshot is.
_OF_FILES = {"physicalName"}
_KEYS = ("required", "unique", "primaryKey", "primaryKeyPosition")
_RULES = {"minimum", "maximum", "minLength", "maxLength", "pattern"}


def masked_contract(path: Path) -> str:
    """The YAML text of an ODCS file's contract after masking; raises BadInput with file and line."""
    document = read_yaml(path, Document, as_it_is=True)
    plain = document.model_dump(mode="json", by_alias=True, exclude_unset=True)
    [table] = plain["schema"]
    table["properties"] = [
        _masked(given, said)
        for given, said in zip(document.objects[0].properties, table["properties"], strict=True)
        if given.classification != "personal"
    ]
    parse_contract(plain, where=f"the masked contract of {path}")
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)


def _masked(given: Property, said: dict[str, Any]) -> dict[str, Any]:
    """One property as it is published; `said` is what the file says of it."""
    said = {key: value for key, value in said.items() if key not in _OF_FILES}
    if given.classification == "public":
        return said
    kept = {key: value for key, value in said.items() if key in _KEPT}
    if given.classification == "identifier":
        keys = {key: value for key, value in said.items() if key in _KEYS}
        options = {"pattern": f"^{PREFIX}[0-9a-f]{{{PSEUDONYM_HEX}}}$"}
        return {
            **kept,
            "logicalType": "string",
            **keys,
            "logicalTypeOptions": options,
            "transformDescription": PSEUDONYM,
        }
    coarse = {**kept, "logicalType": given.logicalType}
    if given.generalise is None:
        return {**coarse, "transformDescription": REDACTED}
    return coarse | _generalised(given, given.generalise, said) | {"transformDescription": str(given.generalise)}


def _generalised(given: Property, rule: Generalisation, said: dict[str, Any]) -> dict[str, Any]:
    """The rules that hold of coarse values: every form keeps an order that there was, and none keeps values apart."""
    options = {key: value for key, value in said.get("logicalTypeOptions", {}).items() if key not in _RULES}
    required = given.required
    if rule.characters:
        options = {"minLength": rule.characters, "maxLength": rule.characters}
        required = required and (given.logicalTypeOptions.minLength or 0) > rule.characters
    for bound in ("minimum", "maximum"):
        value = getattr(given.logicalTypeOptions, bound)
        if value is not None:
            options[bound] = generalised(rule, value)
    found: dict[str, Any] = {"required": True} if required else {}
    if options:
        found["logicalTypeOptions"] = options
    coarse = (generalised(rule, value) for value in given.valid_values or ())
    values = list(dict.fromkeys(value for value in coarse if value is not None))
    if values:
        found["quality"] = [{**said["quality"][0], "arguments": {"validValues": values}}]
    return found
