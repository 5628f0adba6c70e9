/* SPDX-License-Identifier: ISC */
/*
 * vmx_vmcs.c - which VMCS is active and current where (SDM 3C 25.1, 25.11).
 */
#include "vmx.h"

void
vmcs_leave(struct vmx_cpu *c, struct vmx_vcpu *s)
{
	vmx_vmclear(s->vmcs_pa);
	s->launched = false;
	if (c->current == s)
		c->current = NULL;
	*s->prev = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	sync_store_release(&s->cpu, VMX_NO_CPU);
}

/*
 * The list of active VMCSs can be read in an NMI at any time: each change of
 * it is one store, and only its own CPU makes one.
 */
void
vmcs_save_all(const struct vmx_cpu *c)
{
	const struct vmx_vcpu *s;

	for (s = sync_load(&c->active); s != NULL; s = s->next)
		vmx_vmclear(s->vmcs_pa);
}

/* In interrupt context, on the CPU where the VMCS is thought to be active. */
static void
vmcs_leave_here(void *arg)
{
	struct vmx_vcpu *s = arg;

	if (sync_load(&s->cpu) == host_cpu())
		vmcs_leave(vmx_this_cpu(), s);
}

void
vmcs_retire(struct vmx_vcpu *s)
{
	uint32_t cpu;

	while ((cpu = sync_load_acquire(&s->cpu)) != VMX_NO_CPU)
		host_call_on(cpu, vmcs_leave_here, s);
}

void
vmcs_make_current(struct vmx_cpu *c, struct vmx_vcpu *s)
{
	if (sync_load(&s->cpu) != host_cpu())
		vmcs_retire(s);
	/* Other VMCSs may leave this CPU in interrupts. */
	host_irq_disable();
	if (s->cpu == VMX_NO_CPU) {
		vmx_vmclear(s->vmcs_pa);
		s->next = c->active;
		s->prev = &c->active;
		if (s->next != NULL)
			s->next->prev = &s->next;
		sync_store_release(&c->active, s);
		s->flush = true;
		s->moved = true;
		sync_store(&s->cpu, host_cpu());
	}
	vmx_vmptrld(s->vmcs_pa);
	c->current = s;
	host_irq_enable();
}

bool
vmcs_fetch(struct vcpu *v)
{
	bool moving;

	for (;;) {
		host_preempt_disable();
		if (vmx_this_cpu()->on) {
			vmcs_bring(vmx_this_cpu(), vmx_vcpu(v));
			return true;
		}
		moving = host_resched_pending();
		host_preempt_enable();
		if (!moving)
			return false;
		host_resched();
	}
}

