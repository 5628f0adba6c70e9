# SPDX-License-Identifier: ISC
"""The tables of the benchmark, for people and as JSON:

    python3 -m bench.report --out FILE.json --markdown FILE.md BOOT ...

BOOT is VENDOR:MITIGATIONS:DIRECTORY..., of boots by `run` that belong together.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench.profile import EXPENSIVE, Round
from bench.results import FLOOR, KVM, VMM, Boot, read_boot

MACHINES = {"amd": "AMD SVM, emulated by QEMU", "intel": "Intel VMX, emulated by Bochs"}
SETTINGS = {"off": "mitigations off", "default": "the host's default mitigations"}

# In a name, before how many VMs there were.
AT = " @"

# What no implementation can do without, of what was measured as such.
SWITCH, CALL = "world switch", "empty ioctl"
FLOORS = {
    "CPUID": (SWITCH,), "RDMSR": (SWITCH,), "WRMSR": (SWITCH,),
    "WRMSR, PAT": (SWITCH,),
    "CR0 write": (), "CR4 write": (), "pvclock update": (SWITCH,),
    "OUT": (SWITCH, CALL), "OUT, all registers": (SWITCH, CALL), "IN": (SWITCH, CALL),
    "HLT, interrupt": (SWITCH, CALL),
    "first touch, page present": (SWITCH,), "first touch, page absent": (SWITCH,),
    "first touch, 2 MiB present": (SWITCH,), "READREGS": (CALL,), "WRITEREGS": (CALL,),
    "interrupt from another CPU": (SWITCH, CALL),
    "interrupt window": (SWITCH, SWITCH, CALL, CALL, CALL), "MMIO-style fault": (SWITCH, CALL),
}


def floor_of(boot: Boot, operation: str) -> int | None:
    costs = [boot.cost(part, FLOOR) for part in FLOORS.get(operation, ())]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known and len(known) == len(costs) else None


def as_json(boot: Boot) -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for name in boot.operations():
        row: dict[str, Any] = {"floor": floor_of(boot, name)}
        for by in (KVM, VMM):
            one: dict[str, Any] = {"instructions": boot.cost(name, by)}
            done = boot.rounds.get((name, by))
            if done is not None:
                one["traced"] = done.instructions
                one["expensive"] = dict(sorted(done.expensive.items()))
            row[by] = one
        operations[name] = row
    return {
        "floor": {one.operation: one.cost for one in boot.measured if one.by == FLOOR},
        "operations": operations,
    }


def number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def cost_table(boot: Boot) -> list[str]:
    lines = ["| operation | KVM | vmm | ratio | floor |", "|---|---:|---:|---:|---:|"]
    for name in boot.operations():
        if AT in name:
            continue
        kvm, vmm = boot.cost(name, KVM), boot.cost(name, VMM)
        ratio = f"{vmm / kvm:.2f}" if kvm and vmm is not None else ""
        lines.append(f"| {name} | {number(kvm)} | {number(vmm)} | {ratio} | "
                     f"{number(floor_of(boot, name))} |")
    return lines


def expensive_table(boot: Boot) -> list[str]:
    used = [kind for kind in EXPENSIVE
            if any(done.expensive[kind] for done in boot.rounds.values())]
    lines = ["| operation | " + " | ".join(used) + " |", "|---|" + "---:|" * len(used)]
    for name in boot.operations():
        kvm, vmm = (boot.rounds.get((name, by)) for by in (KVM, VMM))
        if kvm is not None and vmm is not None:
            cells = (f"{kvm.expensive[kind]} / {vmm.expensive[kind]}" for kind in used)
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def scale_table(boot: Boot) -> list[str]:
    """What was measured as `operation @number of VMs`."""
    measured = [name.split(AT) for name in boot.operations() if AT in name]
    names = list(dict.fromkeys(name for name, _ in measured))
    sizes = sorted({int(vms) for _, vms in measured})
    lines = ["| operation | by | " + " | ".join(str(vms) for vms in sizes) + " |",
             "|---|---|" + "---:|" * len(sizes)]
    for name in names:
        for by in (KVM, VMM):
            costs = [boot.cost(f"{name}{AT}{vms}", by) for vms in sizes]
            if any(cost is not None for cost in costs):
                lines.append(f"| {name} | {by} | " + " | ".join(map(number, costs)) + " |")
    return lines


def section(vendor: str, mitigations: str, boot: Boot) -> list[str]:
    lines = [f"## {MACHINES[vendor]}; {SETTINGS[mitigations]}", ""]
    lines += cost_table(boot)
    floors = [f"{one.operation} {one.cost}" for one in boot.measured if one.by == FLOOR]
    if floors:
        lines += ["", "The floor: " + ", ".join(floors) + "."]
    if boot.rounds:
        lines += ["", "Expensive instructions of one round, KVM / vmm:", ""]
        lines += expensive_table(boot)
    if any(AT in name for name in boot.operations()):
        lines += ["", "With so many VMs alive:", ""] + scale_table(boot)
    return lines + [""]


def profile_text(done: Round) -> str:
    """Functions, the most expensive first; those below one percent as one."""
    shown = [(name, count) for name, count in done.functions.most_common()
             if count * 100 >= done.instructions]
    rest = done.instructions - sum(count for _, count in shown)
    words = [f"{name} {count:,}" for name, count in shown]
    return ", ".join(words + ([f"others {rest:,}"] if rest else []))


def profile_section(vendor: str, boot: Boot) -> list[str]:
    lines = [f"## {MACHINES[vendor]}", ""]
    for name in boot.operations():
        for by in (VMM, KVM):
            done = boot.rounds.get((name, by))
            if done is not None:
                lines += [f"**{name}**, {by}: {done.instructions:,} instructions. "
                          f"{profile_text(done)}.", ""]
    return lines


PROFILE_HEAD = """\
<!-- SPDX-License-Identifier: ISC -->
# Where the instructions are

Written by `make bench`: one round of each operation, by function. What it means is in
[docs/profile.md](../docs/profile.md). Functions of a module have its name behind them, those of the
client `[user]`.
"""

HEAD = """\
<!-- SPDX-License-Identifier: ISC -->
# What an exit costs

Written by `make bench`; [docs/bench.md](../docs/bench.md) says what was measured and how. All
numbers but bytes are instructions, the mean of 10,000 rounds or as many as that page says.
"""


def page(lines: list[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="file for JSON")
    parser.add_argument("--markdown", type=Path, help="file for the tables; else standard output")
    parser.add_argument("--profile", type=Path, help="file for the profile")
    parser.add_argument("boots", nargs="+", metavar="BOOT")
    args = parser.parse_args()

    tree: dict[str, Any] = {}
    text, profile = HEAD.splitlines() + [""], PROFILE_HEAD.splitlines() + [""]
    for argument in args.boots:
        vendor, mitigations, *directories = argument.split(":")
        boot = read_boot([Path(directory) for directory in directories])
        tree.setdefault(vendor, {})[mitigations] = as_json(boot)
        text += section(vendor, mitigations, boot)
        if boot.rounds:
            profile += profile_section(vendor, boot)
    args.out.write_text(json.dumps(tree, indent=1) + "\n")
    if args.profile:
        args.profile.write_text(page(profile))
    if args.markdown:
        args.markdown.write_text(page(text))
    else:
        print(page(text), end="")


if __name__ == "__main__":
    main()
