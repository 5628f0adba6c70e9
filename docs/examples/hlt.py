#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""hlt.c in Python: one vCPU in real mode, whose only instruction is HLT.

    PYTHONPATH=build/python docs/examples/hlt.py        (after make generate)
"""

import ctypes
import mmap
import os

import vmm


def real_mode(state: vmm.vcpu_reg_state) -> None:
    """Real mode at guest-physical address 0."""
    state.vrs_gprs[vmm.VCPU_REGS_RFLAGS] = 0x2
    state.vrs_crs[vmm.VCPU_REGS_CR0] = 0x10
    state.vrs_drs[vmm.VCPU_REGS_DR6] = 0xFFFF0FF0
    state.vrs_drs[vmm.VCPU_REGS_DR7] = 0x400
    for segment in state.vrs_sregs:
        segment.vsi_limit = 0xFFFF
        segment.vsi_ar = 0x93  # data, writable
    state.vrs_sregs[vmm.VCPU_REGS_CS].vsi_ar = 0x9B  # code
    state.vrs_sregs[vmm.VCPU_REGS_LDTR].vsi_ar = 0x82
    state.vrs_sregs[vmm.VCPU_REGS_TR].vsi_ar = 0x8B
    state.vrs_gdtr.vsi_limit = state.vrs_idtr.vsi_limit = 0xFFFF


def main() -> None:
    memory = mmap.mmap(-1, vmm.VMM_MEM_UNIT)
    memory[0] = 0xF4  # HLT

    device = vmm.open_device()
    create = vmm.vm_create_params(vcp_nmemranges=1, vcp_ncpus=1, vcp_name=b"hlt")
    create.vcp_memranges[0].vmr_va = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    create.vcp_memranges[0].vmr_size = len(memory)
    vmm.create(device, create)

    reset = vmm.vm_resetcpu_params(vrp_vm_id=create.vcp_id)
    real_mode(reset.vrp_init_state)
    vmm.resetcpu(device, reset)

    exit_ = vmm.vm_exit()
    run = vmm.vm_run_params(vrp_vm_id=create.vcp_id, vrp_irq=vmm.VMM_NO_IRQ,
                            vrp_exit=ctypes.pointer(exit_), vrp_exit_reason=vmm.VM_EXIT_NONE)
    while run.vrp_exit_reason == vmm.VM_EXIT_NONE:  # a signal, perhaps
        vmm.run(device, run)

    halted = run.vrp_exit_reason in (vmm.SVM_VMEXIT_HLT, vmm.VMX_EXIT_HLT)  # AMD, Intel
    print(f"exit reason {run.vrp_exit_reason:#x}, {'HLT' if halted else 'not HLT'}, "
          f"RIP {exit_.vrs.vrs_gprs[vmm.VCPU_REGS_RIP]:#x}")
    os.close(device)  # ends the VM


if __name__ == "__main__":
    main()
