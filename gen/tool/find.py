# SPDX-License-Identifier: ISC
"""From the words of a question to what can be explained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gen.tool.article import Article
from gen.tool.numbers import fold, near, number
from gen.tool.tables import Entry, Tables, ToolError
from gen.tool.topics import TOPICS, Topic

# Words before a number that say whose it is.
SCOPES = {"vmx": "vmx", "intel": "vmx", "svm": "svm", "amd": "svm"}
_PREFIXES = ("struct_", "vmmspec_")


def find(tables: Tables, topic: Topic, words: list[str]) -> list[Entry]:
    """What the words name in one topic: nothing, one thing, or several of which all fit."""
    scope, text = _scoped(words)
    entries = [entry for entry in topic.entries(tables)
               if not scope or entry.scope == scope]
    value = number(text)
    if value is not None:
        found = [entry for entry in entries if value in entry.numbers]
        if found:
            return sorted(found, key=lambda entry: entry.scope, reverse=True)  # Intel first
    return _rows_first(named(entries, text))


def _scoped(words: list[str]) -> tuple[str, str]:
    """Whose it is, and what."""
    if len(words) > 1 and words[0].lower() in SCOPES:
        return SCOPES[words[0].lower()], " ".join(words[1:])
    return "", " ".join(words)


def named(entries: Iterable[Entry], text: str) -> list[Entry]:
    """By name, and where there is none, by alias."""
    wanted = fold(text)
    for prefix in _PREFIXES:
        wanted = wanted.removeprefix(prefix)
    entries = list(entries)
    return ([entry for entry in entries if fold(entry.name) == wanted]
            or [entry for entry in entries if wanted in map(fold, entry.aliases)])


def _rows_first(found: list[Entry]) -> list[Entry]:
    """Of entries of one row, the first; the row itself comes before its numbers."""
    kept: dict[object, Entry] = {}
    for entry in found:
        kept.setdefault((entry.topic, entry.group) if entry.group else id(entry), entry)
    return list(kept.values())


def explain(tables: Tables, name: str, words: list[str]) -> list[Article]:
    """Everything that fits; ToolError with a suggestion when nothing does."""
    topic = TOPICS[name]
    found = find(tables, topic, words)
    if found:
        return [entry.write() for entry in found]
    scope, text = _scoped(words)
    if topic.missing is not None:
        article = topic.missing(tables, text)
        if article is not None:
            return [article]
    nearest = _near(text, list(topic.entries(tables)))
    what = f"{name} '{text}'" + (f" of {scope}" if scope else "")
    raise ToolError(_unknown(what, [f"{name} {item}" for item in nearest], topic))


def _near(text: str, entries: list[Entry]) -> list[str]:
    """Aliases only when no name is near."""
    return near(text, (entry.name for entry in entries)) or \
        near(text, (alias for entry in entries for alias in entry.aliases))


def _unknown(what: str, nearest: list[str], topic: Topic | None = None) -> str:
    lines = [f"no {what}"]
    if nearest:
        lines.append("near it: " + ", ".join(nearest))
    elif topic is not None:
        lines.append(f"examples: {topic.example}; all of them: vmmspec explain {topic.name}")
    return "\n".join(lines)


def everything(tables: Tables) -> Iterator[Entry]:
    for topic in TOPICS.values():
        yield from topic.entries(tables)


def search(tables: Tables, text: str) -> list[Entry]:
    """All tables: exact names and numbers, or else what has the text in its name or its words."""
    entries = list(everything(tables))
    value = number(text)
    exact = named(entries, text)
    # Not whatever spans the number: bytes of large fields would drown the rest.
    exact += [entry for entry in entries if value is not None and value in entry.numbers]
    if exact:
        return _rows_first(exact)
    wanted = fold(text)
    found = _rows_first([entry for entry in entries if wanted in fold(entry.name)])
    found = found or _rows_first([entry for entry in entries
                                  if text.lower() in entry.brief.lower()])
    if found:
        return found
    raise ToolError(_unknown(f"row of any table for '{text}'", _near(text, entries)))
