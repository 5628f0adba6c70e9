# SPDX-License-Identifier: ISC
"""The closed vocabularies of the spec, in sentences."""

from __future__ import annotations

ACTION = {
    "user": "leaves the decision to the client",
    "emulate": "does what the instruction does",
    "inject": "raises {vector} in the guest, as if the instruction did not exist",
    "reflect": "hands the exception on to the guest, which it was meant for",
    "host": "lets the host take its own event, and enters the guest again",
    "resume": "has nothing to do but enter the guest again",
    "error": "does not expect it: it asks for no such exit, or the CPU refused the guest",
}

# By the function of src/core that the row names.
FUNCTION = {
    "emulate_cpuid": "cpuid.yaml says what the guest sees (vmmspec explain cpuid LEAF)",
    "emulate_msr": "msrs.yaml says what happens (vmmspec explain msr NUMBER)",
    "emulate_cr": "arch.yaml says which bits a guest may set (vmmspec explain register cr4)",
    "emulate_xsetbv": "arch.yaml says which bits a guest may set (vmmspec explain register xcr0)",
    "emulate_skip": "the instruction is stepped over and does nothing",
    "exit_machine_check": "the host's machine-check handler runs",
    "exit_window": "what waits for the guest is delivered",
    "user_fault": "a page that the client has mapped is brought in without the client",
    "user_hlt": "unless an interrupt for the guest waits already",
    "user_inout": "INS and OUTS are taken apart, one access an element",
}

# What the client sees: of exits that reach it, before the words of ioctls.yaml; and of others.
CLIENT = ("VMM_IOC_RUN returns 0 with vrp_exit_reason = {reason}, and with all registers in "
          "vrp_exit->vrs.")
_NOTHING = "Nothing: VMM_IOC_RUN goes on"
NO_CLIENT = {
    "emulate": _NOTHING + ".",
    "inject": _NOTHING + ".",
    "reflect": _NOTHING + ".",
    "host": _NOTHING + ", or ends with VM_EXIT_NONE when the event brought a signal.",
    "resume": _NOTHING + ".",
    "error": "VMM_IOC_RUN fails with EINVAL, and the kernel's log names the exit. The vCPU stays "
             "stopped.",
}

RIP = {
    "advance": "moves past the instruction before the guest goes on",
    "keep": "stays where it was",
    "handler": "moves past the instruction when that is complete",
}

CONTROL = {
    "required": "always set",
    "wanted": "set where the CPU has it",
    "fallback": "set where {unless} cannot be",
    "dynamic": "set and cleared while the guest runs",
    "refused": "never set",
    "default1": "reserved, and 1 where the CPU insists",
}

CAPABILITY = {
    "required": "the driver cannot do without it",
    "wanted": "the driver uses it where it is there",
    "unused": "the driver does not look at it",
}

CPUID = {
    "pass": "the guest sees what the host has",
    "hidden": "the guest always sees 0",
    "set": "the guest always sees {value}",
    "synthesise": "the driver makes the value",
}

MSR_READ = {
    "pass": "reads the register itself, without an exit",
    "fault": "raises #GP(0) in the guest",
    "constant": "gives {constant:#x}",
    "shadow": "gives the value that the driver keeps",
    "emulate": "is done by msr_read_{name}() in the driver",
}
MSR_WRITE = {
    "pass": "writes the register itself, without an exit",
    "fault": "raises #GP(0) in the guest",
    "ignore": "does nothing",
    "shadow": "changes the value that the driver keeps",
    "emulate": "is done by msr_write_{name}() in the driver",
}

GUEST_BIT = {
    "free": "the guest's own",
    "refused": "a guest that sets it gets #GP",
    "ignored": "what a guest writes is ignored",
    "cpuid": "the guest's own if its CPUID shows {feature}, otherwise #GP",
}

FLOW = {
    "in": "VMRUN reads it",
    "out": "an exit writes it",
    "both": "VMRUN reads it and an exit writes it",
    "vmload": "VMLOAD reads it and VMSAVE writes it",
    "off": "it belongs to a feature that is off",
    "reserved": "reserved, must be zero",
}

GROUP = {
    "control": "what an entry is asked to do",
    "info": "what an exit reports",
    "guest": "the guest's state",
    "host": "the host's state",
}
