# SPDX-License-Identifier: ISC
"""The spec directory: documents and models, each read and built once, on demand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from gen.errors import Errors, SpecError
from gen.load import Doc, load_file
from gen.validate import validate

_SCHEMAS = Path(__file__).parent / "schema"


def has_file(model: str) -> bool:
    """Whether there is a spec/MODEL.yaml behind the model; if not, it is a view of others."""
    return (_SCHEMAS / f"{model}.json").is_file()


class Spec:
    """What models see of the world."""

    def __init__(self, directory: Path, errors: Errors,
                 docs: dict[str, Doc] | None = None,
                 models: dict[str, Any] | None = None) -> None:
        """`docs` and `models` have been read, built and found valid before."""
        self._directory = directory
        self._errors = errors
        self._docs: dict[str, Doc | None] = dict(docs or {})
        self._models = dict(models or {})
        self._building: list[str] = []

    def doc(self, name: str) -> Doc:
        """spec/NAME.yaml, valid by its schema; SpecError (already noted) when it is not."""
        if name not in self._docs:
            self._docs[name] = self._read(name)
        doc = self._docs[name]
        if doc is None:
            raise SpecError(name)
        return doc

    def model(self, name: str) -> Any:
        """What gen.model.NAME builds; SpecError when its documents do not allow it."""
        if name not in self._models:
            if name in self._building:
                raise AssertionError(" -> ".join([*self._building, name]))
            self._building.append(name)
            try:
                module = importlib.import_module(f"gen.model.{name}")
                self._models[name] = module.build(self, self._errors)
            except SpecError:
                self._models[name] = None
            finally:
                self._building.pop()
        if self._models[name] is None:
            raise SpecError(name)
        return self._models[name]

    def _read(self, name: str) -> Doc | None:
        file = f"spec/{name}.yaml"
        before = len(self._errors)
        try:
            doc = load_file(self._directory / f"{name}.yaml", file, self._errors)
        except SpecError:
            return None
        valid = validate(doc, _SCHEMAS / f"{name}.json", self._errors)
        return doc if valid and len(self._errors) == before else None
