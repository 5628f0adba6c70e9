# SPDX-License-Identifier: ISC
"""What a client is told when VMM_IOC_RUN returns, for each exit that reaches it."""

from __future__ import annotations

from dataclasses import dataclass

from gen.errors import Errors, Message, where
from gen.load import Map, Seq
from gen.model.exit_reasons import Exit, Exits

NO_EXIT = Message("'{exit}' does not end VMM_IOC_RUN", "one of {known}")
EXIT_TWICE = Message("exit '{exit}' is explained twice", "keep one, the first is at {first}")
UNEXPLAINED = Message("exit '{exit}' ends VMM_IOC_RUN and is not explained to clients",
                      "a row of exits in ioctls.yaml")


@dataclass(frozen=True)
class ClientExit:
    exit: Exit
    text: tuple[str, ...]

    @property
    def constants(self) -> tuple[str, ...]:
        """What vrp_exit_reason can be."""
        return (*(f"SVM_VMEXIT_{number.name}" for number in self.exit.svm),
                *(f"VMX_EXIT_{number.name}" for number in self.exit.vmx))


def client_exits(rows: Seq, exits: Exits, errors: Errors) -> tuple[ClientExit, ...]:
    """The rows, which are those that end VMM_IOC_RUN and no others."""
    known = {item.name: item for item in exits.exits if _ends_run(item)}
    seen: dict[str, Map] = {}
    for row in rows:
        name = row["exit"]
        if name not in known:
            errors.add(row, NO_EXIT, "exit", exit=name, known=", ".join(known))
        if name in seen:
            errors.add(row, EXIT_TWICE, "exit", exit=name, first=where(seen[name], "exit"))
        seen.setdefault(name, row)
    for name, item in known.items():
        if name not in seen:
            errors.add(item.row, UNEXPLAINED, "exit", exit=name)
    return tuple(ClientExit(known[row["exit"]], tuple(row["text"])) for row in rows
                 if row["exit"] in known)


def _ends_run(item: Exit) -> bool:
    """It goes to the client, or opens the window that the client has asked for."""
    return item.action == "user" or item.function == "exit_window"
