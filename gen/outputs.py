# SPDX-License-Identifier: ISC
"""What is generated: one row a file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Output:
    """templates/TEMPLATE, rendered with the MODELS by their names, becomes OUT/DEST."""

    template: str
    dest: str
    models: tuple[str, ...]


OUTPUTS: tuple[Output, ...] = (
)
