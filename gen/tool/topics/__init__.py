# SPDX-License-Identifier: ISC
"""What can be asked about: one row a topic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gen.tool.article import Article
from gen.tool.tables import Entries, Tables
from gen.tool.topics import (check, control, cpuid, exit, insn, ioctl, msr, register, vmcb, vmcs,
                             word)


@dataclass(frozen=True)
class Topic:
    name: str
    many: str
    example: str
    entries: Entries
    # Of what has no row, where that means something.
    missing: Callable[[Tables, str], Article | None] | None = None


TOPICS = {topic.name: topic for topic in (
    Topic("exit", "exits", "48, svm 0x400, EPT_VIOLATION", exit.entries),
    Topic("vmcs", "VMCS fields", "0x4002, guest_cr0", vmcs.entries),
    Topic("vmcb", "VMCB fields", "0x70, exitcode, clean.seg", vmcb.entries),
    Topic("control", "controls", "ept, proc2.ept, proc2, intercept_misc1.8", control.entries),
    Topic("capability", "capabilities", "npt, INVEPT", control.capability_entries),
    Topic("msr", "MSRs", "0x1d9, efer", msr.entries, msr.missing),
    Topic("cpuid", "CPUID leaves and bits", "7, 7.0.ebx.5, avx2", cpuid.entries, cpuid.missing),
    Topic("register", "registers", "cr4, cr4.smep, tr", register.entries),
    Topic("word", "words with structure", "qual_ept, intr_info, npf, pte", word.entries),
    Topic("exception", "exceptions", "PF, 14", word.exception_entries),
    Topic("ioctl", "ioctls", "VMM_IOC_RUN, run, 2", ioctl.entries),
    Topic("struct", "structures", "vm_exit, vm_exit.vee", ioctl.struct_entries),
    Topic("constant", "constants", "VEE_FAULT_PROTECT, vm_rwregs", ioctl.constant_entries),
    Topic("insn", "instructions", "lmsw, prefix.66", insn.entries),
    Topic("check", "entry checks", "see vmmspec explain check", check.entries),
)}
