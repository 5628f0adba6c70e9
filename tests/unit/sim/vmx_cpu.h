/* SPDX-License-Identifier: ISC */
/*
 * sim/vmx_cpu.h - simulated VMX behind the names of src/vmx/vmx_cpu.h.
 *
 * VMCSs have the fields that this CPU has. What a CPU
 * would answer with VMfail or a failed entry is answered so; what it would
 * silently do wrong (a VMCS active on two CPUs, stale translations, a host
 * state that is not the host's) is a panic.
 *
 * Tests of VMX itself may look at the VMCS, and their guests may change it.
 */
#ifndef VMX_CPU_H
#define VMX_CPU_H

#include "cpu.h"

void	vmx_vmwrite_failed(uint32_t field, uint64_t value);
uint64_t vmx_vmread(uint32_t field);
#define vmx_vmread_on(field)	vmx_vmread(field)
void	vmx_vmwrite(uint32_t field, uint64_t value);
bool	vmx_vmxon(uint64_t pa);
void	vmx_vmxoff(void);
bool	vmx_vmclear(uint64_t pa);
bool	vmx_vmptrld(uint64_t pa);
void	vmx_invept(uint64_t type, uint64_t eptp);
void	vmx_invvpid(uint64_t type, uint16_t vpid);
uint64_t vmx_read_cr3(void);
void	vmx_write_cr2(uint64_t v);
int	vmx_enter(uint64_t *gpr, bool launched, uint64_t *host_rsp,
	    uint32_t host_rsp_field);
void	vmx_exit(void);

/* --- For tests ------------------------------------------------------------ */

/* What a CPU may lack, and the driver does without. */
enum sim_vmx_option {
	SIM_VMX_TRUE_CONTROLS, SIM_VMX_TPR_SHADOW, SIM_VMX_VPID,
	SIM_VMX_INVVPID_SINGLE, SIM_VMX_INVEPT_SINGLE, SIM_VMX_PAUSE_LOOP,
	SIM_VMX_INS_OUTS, SIM_VMX_ENCLS, SIM_VMX_TIMER, SIM_VMX_EXECUTE_ONLY,
	SIM_VMX_EPT_ACCESSED,
	SIM_VMX_OPTIONS
};
#define SIM_VMX_ALL	((1u << SIM_VMX_OPTIONS) - 1)

#define SIM_FIELDS	256
#define SIM_VPIDS	1024

/* What the CPU makes of the page that the driver gives it. */
struct sim_vmcs {
	uint32_t revision, abort;
	uint64_t known;			/* a VMCLEAR or VMPTRLD has seen it */
	unsigned int active;		/* CPU + 1; 0: clear */
	bool	 launched;
	uint64_t flushes[HOST_USER_CPUS];	/* of each, at the last entry there */
	uint64_t field[SIM_FIELDS];	/* by place in vmcs_fields[] */
	uint64_t violation;		/* GPA of the last EPT violation + 1, or 0 */
};
_Static_assert(sizeof(struct sim_vmcs) <= 4096, "a VMCS is a page");

struct sim_vmx_cpu {
	bool	 on;
	uint64_t region;		/* of VMXON */
	uint64_t cr3;
	uint64_t rtit_ctl;		/* while VMX operation forbids it */
	struct sim_vmcs *current;
	unsigned int active;		/* VMCSs */
	struct sim_vmcs entered;	/* as the last entry found it */
	/* Who may have left translations behind, by VPID. */
	const struct sim_vmcs *vpid[SIM_VPIDS];
	uint64_t flushes;		/* INVEPT and INVVPID */
};

struct sim_vmx {
	unsigned int options;
	uint64_t launches, resumes;
	uint64_t failed;		/* VMLAUNCH or VMRESUME refused: VMfail */
	uint64_t invepts, invvpids;
	uint64_t write_errors;		/* VMWRITEs that failed */
	uint64_t check_entries;		/* so many end in a machine check */
	struct sim_vmx_cpu cpu[HOST_USER_CPUS];
};
extern struct sim_vmx sim_vmx;

bool	sim_vmx_has(enum sim_vmx_option o);
/* Before the driver attaches, after sim_reset(): an Intel CPU. */
void	sim_vmx_reset(unsigned int options);
/* A field as the last entry found it. */
uint64_t sim_vmx_entered(uint32_t field);
/* For guests: the current VMCS, read-only fields too. */
uint64_t sim_vmx_get(uint32_t field);
void	sim_vmx_set(uint32_t field, uint64_t value);
struct sim_guest;
struct exit_info;
/* End the stay, for a guest whose exit.kind is SIM_EXITED. */
void	sim_vmx_exits(struct sim_guest *g, uint32_t reason,
	    uint64_t qualification, unsigned int length);
/* Exit reason of an exit; SIM_NO_NUMBER: VMX has none such. */
uint64_t sim_vmx_reason(const struct exit_info *x);

#endif /* VMX_CPU_H */
