# SPDX-License-Identifier: ISC
"""The monitor's part of insns.yaml: instructions that use memory which is not there."""

from __future__ import annotations

from gen.errors import Errors
from gen.model.insns import Insns, decoder
from gen.spec import Spec


def build(spec: Spec, errors: Errors) -> Insns:
    return decoder(spec.model("insns").prefixes, spec.doc("insns")["memory_instructions"], errors)
