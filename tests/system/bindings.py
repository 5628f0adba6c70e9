# SPDX-License-Identifier: ISC
"""A guest run from Python, by the generated bindings; run by t_python.c on the test machine.

The guest writes to a port, reads from one, and halts. What goes wrong is an exception.
"""

import ctypes
import errno
import mmap
import os

import vmm

# mov ax, 0x1234; mov dx, 0x3f8; out dx, al; in ax, dx; mov bx, ax; hlt
CODE = bytes.fromhex("b83412 baf803 ee ed 89c3 f4")
CODE_SEGMENT, STACK = 0x1000, 0x800


def same(got: object, wanted: object) -> None:
    if got != wanted:
        raise AssertionError(f"{got!r}, not {wanted!r}")


def fails(wanted: int, call: str, fd: int, params: ctypes.Structure) -> None:
    """The errno, and its name in the text."""
    try:
        getattr(vmm, call)(fd, params)
    except OSError as error:
        same(error.errno, wanted)
        same(errno.errorcode[wanted] in str(error), True)
        same(bool(error.__notes__), True)
    else:
        raise AssertionError(f"{call} works, and should say {errno.errorcode[wanted]}")


class Guest:
    """A VM with one vCPU in real mode, at the first byte of CODE."""

    def __init__(self, device: int) -> None:
        self.device = device
        self.memory = mmap.mmap(-1, vmm.VMM_MEM_UNIT)
        self.memory[CODE_SEGMENT:CODE_SEGMENT + len(CODE)] = CODE
        params = vmm.vm_create_params(vcp_nmemranges=1, vcp_ncpus=1, vcp_name=b"bindings")
        params.vcp_memranges[0].vmr_va = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        params.vcp_memranges[0].vmr_size = len(self.memory)
        vmm.create(device, params)
        self.vm = params.vcp_id
        self.exit = vmm.vm_exit()
        self._reset()

    def _reset(self) -> None:
        params = vmm.vm_resetcpu_params(vrp_vm_id=self.vm)
        state = params.vrp_init_state
        state.vrs_gprs[vmm.VCPU_REGS_RFLAGS] = 0x2
        state.vrs_gprs[vmm.VCPU_REGS_RSP] = STACK
        state.vrs_crs[vmm.VCPU_REGS_CR0] = 0x10
        state.vrs_drs[vmm.VCPU_REGS_DR6] = 0xFFFF0FF0
        state.vrs_drs[vmm.VCPU_REGS_DR7] = 0x400
        for segment in state.vrs_sregs:
            segment.vsi_limit, segment.vsi_ar = 0xFFFF, 0x93
        code = state.vrs_sregs[vmm.VCPU_REGS_CS]
        code.vsi_sel, code.vsi_base, code.vsi_ar = CODE_SEGMENT >> 4, CODE_SEGMENT, 0x9B
        state.vrs_sregs[vmm.VCPU_REGS_LDTR].vsi_ar = 0x82
        state.vrs_sregs[vmm.VCPU_REGS_TR].vsi_ar = 0x8B
        state.vrs_gdtr.vsi_limit = state.vrs_idtr.vsi_limit = 0xFFFF
        vmm.resetcpu(self.device, params)

    def run(self, answered: bool = False) -> int:
        params = vmm.vm_run_params(
            vrp_vm_id=self.vm, vrp_continue=int(answered), vrp_irq=vmm.VMM_NO_IRQ,
            vrp_exit=ctypes.pointer(self.exit), vrp_exit_reason=vmm.VM_EXIT_NONE)
        while params.vrp_exit_reason == vmm.VM_EXIT_NONE:
            vmm.run(self.device, params)
        return params.vrp_exit_reason

    def registers(self) -> vmm.vcpu_reg_state:
        params = vmm.vm_rwregs_params(vrwp_vm_id=self.vm, vrwp_mask=vmm.VM_RWREGS_ALL)
        vmm.readregs(self.device, params)
        return params.vrwp_regs

    def listed(self) -> list[str]:
        """Names of the VMs that INFO has for us."""
        params = vmm.vm_info_params()
        vmm.info(self.device, params)
        entries = (vmm.vm_info_result * 8)()
        same(params.vip_size <= ctypes.sizeof(entries), True)
        params.vip_size = ctypes.sizeof(entries)
        params.vip_info = ctypes.cast(entries, ctypes.POINTER(vmm.vm_info_result))
        vmm.info(self.device, params)
        return [entry.vir_name.decode() for entry in entries[:params.vip_info_ct]]

    def terminate(self) -> None:
        vmm.term(self.device, vmm.vm_terminate_params(vtp_vm_id=self.vm))


def main() -> None:
    device = vmm.open_device()
    guest = Guest(device)
    same(guest.listed(), ["bindings"])

    io = (vmm.SVM_VMEXIT_IOIO, vmm.VMX_EXIT_IO)
    same(guest.run() in io, True)
    access = guest.exit.vei
    same((access.vei_dir, access.vei_port, access.vei_size, access.vei_data),
         (vmm.VEI_DIR_OUT, 0x3F8, 1, 0x34))

    same(guest.run() in io, True)
    same((access.vei_dir, access.vei_port, access.vei_size), (vmm.VEI_DIR_IN, 0x3F8, 2))
    access.vei_data = 0xBEEF
    same(guest.run(answered=True) in (vmm.SVM_VMEXIT_HLT, vmm.VMX_EXIT_HLT), True)

    state = guest.registers()
    same(state.vrs_gprs[vmm.VCPU_REGS_RBX], 0xBEEF)
    same(state.vrs_gprs[vmm.VCPU_REGS_RIP], len(CODE))
    same(state.vrs_sregs[vmm.VCPU_REGS_CS].vsi_base, CODE_SEGMENT)
    same(bytes(state), bytes(guest.exit.vrs))

    guest.terminate()
    same(guest.listed(), [])
    fails(errno.ENOENT, "term", device, vmm.vm_terminate_params(vtp_vm_id=guest.vm))
    fails(errno.EINVAL, "create", device, vmm.vm_create_params())
    os.close(device)
    print("a guest ran")


if __name__ == "__main__":
    main()
