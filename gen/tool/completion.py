# SPDX-License-Identifier: ISC
"""completion: what shells need to complete the words of vmmspec, from the tables themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from gen.tool.decode import KINDS
from gen.tool.decode.shape import shapes
from gen.tool.tables import Tables
from gen.tool.topics import TOPICS

_WIDTH = 96

_BASH = """\
# SPDX-License-Identifier: ISC
# bash completion for vmmspec(1); made by `vmmspec completion bash`.

declare -A _vmmspec_names=(
@NAMES@
)

_vmmspec() {
	local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} topic=${COMP_WORDS[2]}
	local words

	if [[ $cur == -* ]]; then
		words="--help --json --spec --all --capability --check"
	elif ((COMP_CWORD == 1)); then
		words="@COMMANDS@"
	elif [[ $command == diff ]]; then
		words=$(git for-each-ref --format='%(refname:short)' 2>/dev/null)
	elif [[ $command == completion ]]; then
		words="@SHELLS@"
	elif [[ $command == decode && ( $topic == vmcb || $topic == vmcs ) ]] &&
	    ((COMP_CWORD > 2)); then
		COMPREPLY=($(compgen -f -- "$cur"))
		return
	elif ((COMP_CWORD == 2)); then
		words=${_vmmspec_names[$command]}
	else
		words=${_vmmspec_names["$command $topic"]}
	fi
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}

complete -F _vmmspec vmmspec
"""

_ZSH = """\
#compdef vmmspec
# SPDX-License-Identifier: ISC
# zsh completion for vmmspec(1); made by `vmmspec completion zsh`.

_vmmspec() {
	local -A names
	names=(
@NAMES@
	)
	if [[ $PREFIX == -* ]]; then
		compadd -- --help --json --spec --all --capability --check
	elif ((CURRENT == 2)); then
		compadd -- @COMMANDS@
	elif [[ $words[2] == diff ]]; then
		compadd -- ${(f)"$(git for-each-ref --format='%(refname:short)' 2>/dev/null)"}
	elif [[ $words[2] == completion ]]; then
		compadd -- @SHELLS@
	elif [[ $words[2] == decode && $words[3] == (vmcb|vmcs) && $CURRENT -gt 3 ]]; then
		_files
	elif ((CURRENT == 3)); then
		compadd -- ${=names[$words[2]]}
	else
		compadd -- ${=names[$words[2] $words[3]]}
	fi
}

_vmmspec "$@"
"""


def names(tables: Tables) -> dict[str, list[str]]:
    """What may follow each beginning of a command line."""
    known = list(shapes(tables))
    exits = [number.name for number, _ in tables.exits.vmx if number.qualification]
    found = {"explain": list(TOPICS), "decode": [*KINDS, *known]}
    for topic in TOPICS.values():
        found[f"explain {topic.name}"] = _plain(entry.name for entry in topic.entries(tables))
    found["decode control"] = [word.name for word in tables.controls.vmx.words]
    found["decode control"] += [word.word for word in tables.controls.words]
    found["decode qualification"] = exits
    for key in ("info1", "info2"):
        found[f"decode exit{key}"] = [number.name for number, _ in tables.exits.svm
                                      if getattr(number, key)]
    found["decode exit"] = ["svm", "vmx"]
    found["decode msr"] = [msr.name for msr in tables.msrs.msrs if msr.bits or msr.name in known]
    found["decode cpuid"] = [f"{leaf.leaf:#x}.{leaf.subleaf}.{register}"
                             for leaf in tables.cpuid.leaves
                             for register in dict.fromkeys(row.register for row in leaf.rows)]
    return {key: list(dict.fromkeys(words)) for key, words in found.items()}


def _plain(words: Iterable[str]) -> list[str]:
    """Those that a shell takes as one word."""
    return [word for word in words if " " not in word]


def _table(found: Mapping[str, list[str]], entry: Callable[[str, str], str]) -> str:
    return "\n".join(entry(key, _folded(words)) for key, words in found.items())


def _folded(words: list[str]) -> str:
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) > _WIDTH:
            lines.append("")
        lines[-1] += f" {word}"
    return "\n".join(lines).strip()


def _script(template: str, entry: Callable[[str, str], str], tables: Tables,
            commands: Iterable[str]) -> str:
    return (template.replace("@NAMES@", _table(names(tables), entry))
            .replace("@COMMANDS@", " ".join(commands)).replace("@SHELLS@", " ".join(SHELLS)))


def completion(shell: str, tables: Tables, commands: Iterable[str]) -> str:
    template, entry = SHELLS[shell]
    return _script(template, entry, tables, commands)


SHELLS: dict[str, tuple[str, Callable[[str, str], str]]] = {
    "bash": (_BASH, lambda key, words: f'["{key}"]="{words}"'),
    "zsh": (_ZSH, lambda key, words: f"'{key}' '{words}'"),
}
