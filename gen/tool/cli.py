# SPDX-License-Identifier: ISC
"""The command line of vmmspec: 0 done, 1 there is no such thing, 2 wrong usage."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gen.tool.article import Article, width
from gen.tool.completion import SHELLS, completion
from gen.tool.decode import KINDS, Question, decode, value_of
from gen.tool.diff import diff
from gen.tool.diff import text as diff_text
from gen.tool.find import explain, search
from gen.tool.numbers import near
from gen.tool.tables import SPEC, Entry, Tables, ToolError
from gen.tool.topics import TOPICS


class _Parser(argparse.ArgumentParser):
    """Errors with a suggestion."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice: '" in message:
            given, choices = message.split("invalid choice: '")[1].split("'", 1)
            nearest = near(given, [word.strip("' ()") for word in
                                   choices.partition("choose from")[2].split(",")])
            if nearest:
                message = f"no '{given}'; near it: {', '.join(nearest)}"
        super().error(message)


def parser() -> argparse.ArgumentParser:
    top = _Parser(prog="vmmspec", description="Questions about vmm's specification.",
                  epilog="vmmspec(1) has examples.")
    top.add_argument("--spec", type=Path, default=SPEC, metavar="DIR", help="where the YAML is")
    top.add_argument("--json", action="store_true", help="print JSON")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND",
                                  parser_class=_Parser)
    topics = "; ".join(f"{topic.name} ({topic.example})" for topic in TOPICS.values())
    item = commands.add_parser(
        "explain", help="what something is, when it happens, what the driver does",
        description="Explain one thing, list a topic, or look for WORD in all tables.",
        epilog=f"Topics: {topics}.")
    item.add_argument("words", nargs="+", metavar="TOPIC [NAME] | WORD")
    _common(item)
    kinds = "; ".join(f"{kind.name} {kind.arguments}: {kind.doc}" for kind in KINDS.values())
    item = commands.add_parser(
        "decode", help="what a raw value says",
        description="Take a value apart by the word's name (cr4, efer, npf, intr_info, a VMCS "
                    "or VMCB field), or by one of these kinds.",
        epilog=f"Kinds: {kinds}.")
    item.add_argument("kind", metavar="WORD | KIND")
    item.add_argument("words", nargs="+", metavar="VALUE")
    item.add_argument("--capability", metavar="VALUE", help="of the word's capability MSR, or "
                      "of CPUID 0x8000000a EDX for AMD's words: what the driver would choose")
    item.add_argument("--all", action="store_true", help="what is zero too")
    _common(item)
    item = commands.add_parser(
        "diff", help="what a change of the spec does, in words",
        description="Compare the spec at revision REV of git with the working tree, or with "
                    "another revision.")
    item.add_argument("old", metavar="REV")
    item.add_argument("new", metavar="REV", nargs="?")
    item.add_argument("--check", action="store_true", help="exit with 1 when the binary "
                      "interface breaks")
    _common(item)
    item = commands.add_parser("completion", help="a completion script for a shell",
                               description="Print a script that completes commands and names.")
    item.add_argument("shell", choices=SHELLS)
    _common(item)
    return top


def _common(item: argparse.ArgumentParser) -> None:
    """Options that may stand behind the command too."""
    item.add_argument("--json", action="store_true", default=argparse.SUPPRESS,
                      help="print JSON")
    item.add_argument("--spec", type=Path, default=argparse.SUPPRESS, metavar="DIR",
                      help="where the YAML is")


def _print(args: argparse.Namespace, data: object, text: str) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False) if args.json else text.rstrip("\n"))


def _articles(args: argparse.Namespace, articles: list[Article]) -> None:
    _print(args, [article.data() for article in articles],
           "\n".join(article.text(width()) for article in articles))


def _list(args: argparse.Namespace, entries: list[Entry]) -> None:
    seen = list({id(entry): entry for entry in entries}.values())
    columns = max(len(f"{entry.topic} {entry.name}") for entry in seen)
    lines = []
    for entry in seen:
        line = f"{entry.topic} {entry.name}".ljust(min(columns, 48)) + f"  {entry.brief}"
        room = width()
        lines.append(line if len(line) <= room else line[:room - 3] + "...")
    _print(args, [{"topic": entry.topic, "name": entry.name, "doc": entry.brief}
                  for entry in seen], "\n".join(lines))


def _explain(args: argparse.Namespace, tables: Tables) -> None:
    first, *rest = args.words
    if first in TOPICS and rest:
        _articles(args, explain(tables, first, rest))
    elif first in TOPICS:
        entries = list(TOPICS[first].entries(tables))
        if not entries:
            raise ToolError(f"the spec has no {TOPICS[first].many}")
        _list(args, entries)
    else:
        found = search(tables, " ".join(args.words))
        if len(found) == 1:
            _articles(args, [found[0].write()])
        else:
            _list(args, found)


def _decode(args: argparse.Namespace, tables: Tables) -> None:
    capability = None if args.capability is None else value_of(args.capability)
    _articles(args, [decode(tables, args.kind, Question(args.words, capability, args.all))])


def _diff(args: argparse.Namespace, tables: Tables) -> None:
    changes = diff(tables.directory, args.old, args.new)
    data = {"changes": [change.data() for change in changes.changes],
            "reworded": changes.reworded, "not_compared": changes.skipped}
    _print(args, data, diff_text(changes))
    if args.check and changes.breaks:
        raise ToolError("the binary interface breaks")


def _completion(args: argparse.Namespace, tables: Tables) -> None:
    sys.stdout.write(completion(args.shell, tables, _RUN))


_RUN = {"explain": _explain, "decode": _decode, "diff": _diff, "completion": _completion}


def run(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    gc.disable()  # a run is short, and all it makes lives to its end
    try:
        _RUN[args.command](args, Tables(args.spec))
        sys.stdout.flush()
        return 0
    except ToolError as error:
        for line in str(error).split("\n"):
            print(f"vmmspec: {line}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
