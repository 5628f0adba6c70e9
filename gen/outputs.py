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
    Output("vmmvar.h.j2", "include/machine/vmmvar.h",
           ("ioctls", "registers", "exit_reasons")),
    Output("vmm.py.j2", "python/vmm.py", ("ioctls", "exit_reasons", "python")),
    Output("dev_vmm.txt.j2", "syzkaller/dev_vmm.txt",
           ("ioctls", "registers", "arch", "syzlang")),
    Output("dev_vmm.txt.const.j2", "syzkaller/dev_vmm.txt.const",
           ("ioctls", "registers", "arch", "syzlang")),
    Output("vmm.4.j2", "man/vmm.4", ("ioctls", "registers", "exit_reasons")),
    Output("ioctls.h.j2", "gen/ioctls.h", ("ioctls",)),
    Output("ioctls.c.j2", "gen/ioctls.c", ("ioctls",)),
    Output("insn_ops.h.j2", "gen/insn_ops.h", ("insns",)),
    Output("insn.re.j2", "gen/insn.re", ("insns",)),
    Output("memory_insn_ops.h.j2", "vmctl.gen/insn_ops.h", ("insns", "memory_insns")),
    Output("memory_insn.re.j2", "vmctl.gen/insn.re", ("insns", "memory_insns")),
    Output("svm_vmcb.h.j2", "gen/svm_vmcb.h", ("vmcb_fields",)),
    Output("exits.h.j2", "gen/exits.h", ("exit_reasons",)),
    Output("exits.c.j2", "gen/exits.c", ("exit_reasons",)),
    Output("trace_words.h.j2", "gen/trace_words.h", ("exit_reasons", "arch")),
    Output("arch.h.j2", "gen/arch.h", ("arch",)),
    Output("arch.c.j2", "gen/arch.c", ("arch",)),
    Output("msrs.h.j2", "gen/msrs.h", ("msrs",)),
    Output("msrs.c.j2", "gen/msrs.c", ("msrs",)),
    Output("svm_msrpm.h.j2", "gen/svm_msrpm.h", ("msrs",)),
    Output("svm_msrpm.c.j2", "gen/svm_msrpm.c", ("msrs",)),
    Output("cpuid.h.j2", "gen/cpuid.h", ("cpuid",)),
    Output("cpuid.c.j2", "gen/cpuid.c", ("cpuid",)),
    Output("registers.h.j2", "gen/registers.h", ("registers",)),
    Output("registers.c.j2", "gen/registers.c", ("registers",)),
    Output("svm_registers.h.j2", "gen/svm_registers.h", ("registers",)),
    Output("svm_registers.c.j2", "gen/svm_registers.c", ("registers",)),
    Output("gpr_offsets.h.j2", "gen/gpr_offsets.h", ("registers",)),
    Output("svm_controls.h.j2", "gen/svm_controls.h", ("controls",)),
    Output("svm_controls.c.j2", "gen/svm_controls.c", ("controls",)),
    Output("vmcs.h.j2", "gen/vmcs.h", ("vmcs_fields",)),
    Output("vmcs.c.j2", "gen/vmcs.c", ("vmcs_fields",)),
    Output("vmx_controls.h.j2", "gen/vmx_controls.h", ("controls",)),
    Output("vmx_controls.c.j2", "gen/vmx_controls.c", ("controls",)),
    Output("vmx_msrbm.h.j2", "gen/vmx_msrbm.h", ("msrs",)),
    Output("vmx_msrbm.c.j2", "gen/vmx_msrbm.c", ("msrs",)),
    Output("vmx_registers.h.j2", "gen/vmx_registers.h", ("registers",)),
    Output("vmx_registers.c.j2", "gen/vmx_registers.c", ("registers",)),
    Output("vmx_entry_checks.h.j2", "gen/vmx_entry_checks.h", ("entry_checks",)),
    Output("vmx_entry_checks.c.j2", "gen/vmx_entry_checks.c", ("entry_checks",)),
    Output("vmx_entry_vectors.h.j2", "gen/vmx_entry_vectors.h", ("entry_checks",)),
    Output("svm_entry_checks.h.j2", "gen/svm_entry_checks.h", ("entry_checks",)),
    Output("svm_entry_checks.c.j2", "gen/svm_entry_checks.c", ("entry_checks",)),
    Output("svm_entry_vectors.h.j2", "gen/svm_entry_vectors.h", ("entry_checks",)),
)
