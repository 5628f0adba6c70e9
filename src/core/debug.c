/* SPDX-License-Identifier: ISC */
/*
 * debug.c - debug registers of guest and host.
 *
 * DR0-DR3 stay the guest's from one exit to the next, unless the host has
 * breakpoints of its own: then both are exchanged around each turn.
 */
#include "debug.h"
#include "backend.h"
#include "cpu.h"

#define DR6_INIT	0xffff0ff0u	/* no condition met */
#define DR6_B		(ARCH_DR6_B0 | ARCH_DR6_B1 | ARCH_DR6_B2 | ARCH_DR6_B3)

/* Take over what the guest has written, but not what the host has armed. */
static void
guest_sync(struct vcpu *v)
{
	uint64_t dr[4], armed;
	unsigned int i;

	v->dr_live = false;
	if (!host_stay_debug_active(&v->stay)) {
		cpu_read_dr0_3(v->dr);
		return;
	}
	armed = cpu_read_dr7();
	cpu_read_dr0_3(dr);
	for (i = 0; i < 4; i++) {
		if (!(armed >> i * 2 & 3))
			v->dr[i] = dr[i];
	}
}

void
debug_sync(struct vcpu *v)
{
	if (v->dr_live)
		guest_sync(v);
}

void
debug_report(struct vcpu *v, uint64_t met)
{
	const struct backend *b = vmm_backend();
	uint64_t dr7 = b->reg_get(v, REG_DR7);

	b->reg_set(v, REG_DR6, (b->reg_get(v, REG_DR6) & ~DR6_B) | met);
	if (dr7 & ARCH_DR7_GD)
		b->reg_set(v, REG_DR7, dr7 & ~ARCH_DR7_GD);
}

void
debug_put(struct vcpu *v, uint64_t dr6)
{
	debug_sync(v);
	if (dr6 != DR6_INIT && !host_stay_debug_active(&v->stay))
		cpu_write_dr6(DR6_INIT);
}

/* Most often they are there since the last stay, and writes are dear. */
static void
guest_write(const struct vcpu *v)
{
	uint64_t dr[4];

	cpu_read_dr0_3(dr);
	if (((dr[0] ^ v->dr[0]) | (dr[1] ^ v->dr[1]) | (dr[2] ^ v->dr[2]) |
	    (dr[3] ^ v->dr[3])) != 0)
		cpu_write_dr0_3(v->dr);
}

void
debug_give(struct vcpu *v)
{
	struct host_debug *d = &v->host_debug;

	if (!d->active) {
		guest_write(v);
		v->dr_live = true;
		return;
	}
	debug_sync(v);
	d->dr7 = cpu_read_dr7();
	d->dr6 = cpu_read_dr6();
	cpu_write_dr7(0);
	cpu_read_dr0_3(d->dr);
	cpu_write_dr0_3(v->dr);
}

void
debug_take(struct vcpu *v)
{
	const struct host_debug *d = &v->host_debug;

	cpu_read_dr0_3(v->dr);
	cpu_write_dr0_3(d->dr);
	cpu_write_dr6(d->dr6);
	cpu_write_dr7(d->dr7);
}
