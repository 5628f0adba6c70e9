# SPDX-License-Identifier: ISC
"""JSON Schema over a loaded document.

Two libraries read the same schema: fastjsonschema says yes quickly, and only when it says no does
jsonschema list everything that is wrong. They must agree, or the run stops as a bug.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any, Callable

import fastjsonschema

from gen.errors import Errors, Message, Place
from gen.load import Doc, Map, Seq

UNKNOWN_KEY = Message("{path}: unknown key '{name}'", "one of {known}")
MISSING_KEY = Message("{path}: key '{name}' is missing", "add it")
NEEDS_KEY = Message("{path}: '{name}' without '{needed}'", "add it, or leave both out")
WRONG_TYPE = Message("{path}: {value} is no {expected}", "write a value of that type")
NOT_IN_ENUM = Message("{path}: unknown word {value}", "one of {known}")
NOT_CONST = Message("{path}: {value} is not allowed", "write {expected}")
NO_MATCH = Message("{path}: '{value}' does not look right", "it must match {expected}")
OUT_OF_RANGE = Message("{path}: {value} is out of range", "{expected}")
BAD_LENGTH = Message("{path}: wrong number of items or characters, {value}", "{expected}")
NO_ALTERNATIVE = Message("{path}: fits none of the {count} allowed forms", "{expected}")
REPEATED = Message("{path}: an item stands twice", "keep one")

LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
}
LENGTHS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} keys",
    "maxProperties": "at most {} keys",
}

# What _explain() has words for.
KEYWORDS = {"additionalProperties", "required", "dependencies", "type", "enum", "const", "pattern",
            "oneOf", "anyOf", "uniqueItems", *LIMITS, *LENGTHS}


def validate(doc: Doc, schema_file: Path, errors: Errors) -> bool:
    """True when the document keeps to the schema; otherwise every breach is in `errors`."""
    schema, quick = _compiled(schema_file)
    try:
        quick(doc)
        return True
    except fastjsonschema.JsonSchemaValueException:
        pass
    before = len(errors)
    import jsonschema  # costs 0.1 s: only for the sentences

    for found in jsonschema.Draft7Validator(schema).iter_errors(doc):
        _explain(doc, found, errors)
    if len(errors) == before:
        raise AssertionError(f"{schema_file.name}: fastjsonschema and jsonschema disagree")
    return False


@functools.cache
def _compiled(schema_file: Path) -> tuple[dict[str, Any], Callable[[Doc], Any]]:
    schema = json.loads(schema_file.read_text(encoding="utf-8"))
    return schema, fastjsonschema.compile(schema, use_default=False)


def _explain(doc: Doc, found: Any, errors: Errors) -> None:
    node, key = _locate(doc, list(found.absolute_path))
    path = _path(doc, list(found.absolute_path))
    rule = str(found.validator)
    want = found.validator_value
    value = _show(found.instance)
    if rule == "additionalProperties":
        known = sorted(found.schema.get("properties", {}))
        patterns = list(found.schema.get("patternProperties", {}))
        inner = found.instance
        for extra in inner:
            if patterns and not re.search(patterns[0], extra):
                errors.add(inner, NO_MATCH, extra, path=path, value=extra, expected=patterns[0])
            elif not patterns and extra not in known:
                errors.add(inner, UNKNOWN_KEY, extra, path=path, name=extra, known=", ".join(known))
    elif rule == "required":
        inner = found.instance if isinstance(found.instance, Map) else node
        for name in want:
            if name not in found.instance:
                errors.add(inner, MISSING_KEY, path=path, name=name)
    elif rule == "dependencies":
        for name in want:
            for needed in want[name]:
                if name in found.instance and needed not in found.instance:
                    errors.add(found.instance, NEEDS_KEY, name, path=path, name=name,
                               needed=needed)
    elif rule == "type":
        expected = want if isinstance(want, str) else " or ".join(want)
        errors.add(node, WRONG_TYPE, key, path=path, value=value, expected=expected)
    elif rule == "enum":
        known_words = ", ".join(str(word) for word in want)
        errors.add(node, NOT_IN_ENUM, key, path=path, value=value, known=known_words)
    elif rule == "const":
        errors.add(node, NOT_CONST, key, path=path, value=value, expected=_show(want))
    elif rule == "pattern":
        errors.add(node, NO_MATCH, key, path=path, value=found.instance, expected=want)
    elif rule in LIMITS:
        errors.add(node, OUT_OF_RANGE, key, path=path, value=value,
                   expected=LIMITS[rule].format(want))
    elif rule in LENGTHS:
        errors.add(node, BAD_LENGTH, key, path=path, value=len(found.instance),
                   expected=LENGTHS[rule].format(want))
    elif rule in ("oneOf", "anyOf"):
        errors.add(node, NO_ALTERNATIVE, key, path=path, count=len(want),
                   expected=found.schema.get("description", "see the schema"))
    elif rule == "uniqueItems":
        errors.add(node, REPEATED, key, path=path)
    else:
        raise AssertionError(f"schema keyword '{rule}' has no message in gen/validate.py")


def _locate(doc: Doc, path: list[Any]) -> tuple[Place, Any]:
    """The innermost container on the way, and the key in it."""
    node: Any = doc
    holder: Place = doc
    key: Any = None
    for step in path:
        holder, key = node, step
        node = node[step]
    if isinstance(node, (Map, Seq)):
        return node, None
    return holder, key


def _path(doc: Doc, path: list[Any]) -> str:
    """exit 'cpuid'.svm.code - rows are called by their name, other steps by key."""
    words: list[str] = []
    node: Any = doc
    for step in path:
        node = node[step]
        if isinstance(step, int):
            name = _name(node)
            if name is not None and words:
                words[-1] += f" '{name}'"
            elif words:
                words[-1] += f"[{step}]"
        else:
            words.append(str(step))
    return ".".join(words) or "top level"


def _name(node: Any) -> str | None:
    """What a row is called: its `name`, or the value of its first key."""
    if not isinstance(node, Map) or not node:
        return None
    name = node.get("name", next(iter(node.values())))
    return name if isinstance(name, str) else None


def _show(value: Any) -> str:
    if isinstance(value, Map):
        return "a mapping"
    if isinstance(value, Seq):
        return "a sequence"
    return json.dumps(value)
