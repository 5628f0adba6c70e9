/* SPDX-License-Identifier: ISC */
/*
 * pvclock.c - the paravirtual clock.
 *
 * Guest time = system_time + (TSC - tsc_timestamp) scaled, and starts at zero
 * when the VM is created. Re-published about once a second, so that the guest
 * follows the host's idea of the TSC's frequency.
 */
#include "pvclock.h"
#include "cpu.h"
#include "memory.h"

#define PVCLOCK_ENABLE		1ULL
#define PVCLOCK_ADDRESS		(~3ULL)
#define PVCLOCK_TSC_STABLE	1	/* flags */
#define PVCLOCK_PERIOD_NS	1000000000ULL
#define NS_PER_SECOND		1000000000ULL
#define NEAR_US			20	/* two readings of one moment */
#define TRIES			8

struct pvclock_page {
	uint32_t version;		/* odd while being written */
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time;		/* ns */
	uint32_t tsc_to_system_mul;	/* 2^-32 ns a shifted tick */
	int8_t	 tsc_shift;
	uint8_t	 flags;
	uint8_t	 pad1[2];
};

struct pvclock_wall {
	uint32_t version;
	uint32_t sec, nsec;
};

static bool
fits(const struct vm *vm, uint64_t gpa, uint64_t size)
{
	const struct vm_range *r = memory_range(vm, gpa);

	return r != NULL && size <= r->gpa + r->size - gpa &&
	    gpa / PAGE_SIZE_4K == (gpa + size - 1) / PAGE_SIZE_4K;
}

bool
pvclock_set(struct vcpu *v, uint64_t value)
{
	if ((value & PVCLOCK_ENABLE) &&
	    !fits(v->vm, value & PVCLOCK_ADDRESS, sizeof(struct pvclock_page)))
		return false;
	sync_store(&v->pvclock.gpa, value);
	sync_store(&v->pvclock.dirty, true);
	return true;
}

bool
pvclock_set_wall(struct vcpu *v, uint64_t gpa)
{
	if (!fits(v->vm, gpa, sizeof(struct pvclock_wall)))
		return false;
	v->pvclock.wall_gpa = gpa;
	v->pvclock.wall_due = true;
	return true;
}

/*
 * mul and shift so that ns = (ticks << shift) * mul >> 32, with mul's top bit
 * set for precision. khz is not 0.
 */
static void
scale(uint32_t khz, uint32_t *mul, int8_t *shift)
{
	uint64_t hz = (uint64_t)khz * 1000, ns = NS_PER_SECOND;
	int8_t s = 0;

	/* Bring ns/hz into [1/2, 1). */
	while (hz <= ns) {
		hz <<= 1;
		s++;
	}
	while (hz > ns * 2) {
		ns <<= 1;
		s--;
	}
	while (hz >> 32) {
		hz >>= 1;
		ns >>= 1;
	}
	*mul = (uint32_t)((ns << 32) / hz);
	*shift = s;
}

bool
pvclock_due(struct vcpu *v)
{
	if (v->pvclock.wall_due || sync_load(&v->pvclock.dirty))
		return true;
	return (sync_load(&v->pvclock.gpa) & PVCLOCK_ENABLE) &&
	    cpu_rdtsc() - v->pvclock.published > v->pvclock.period;
}

/*
 * TSC and boot time of one moment. What comes between the two readings, an SMI or
 * another guest of a hypervisor below, would send the guest's time back with the
 * next update: then once more.
 */
static uint64_t
tsc_at(uint64_t *ns)
{
	const uint64_t near = (uint64_t)host_tsc_khz() * NEAR_US / 1000;
	uint64_t before, after;
	unsigned int tries = 0;

	do {
		before = cpu_rdtsc();
		*ns = host_ns();
		after = cpu_rdtsc();
	} while (after - before > near && ++tries < TRIES);
	return before;
}

static void
time_now(struct vcpu *v, struct pvclock_page *p)
{
	const uint32_t khz = host_tsc_khz();
	uint64_t ns;
	const uint64_t tsc = tsc_at(&ns);

	memset(p, 0, sizeof(*p));
	v->pvclock.published = tsc;
	v->pvclock.period = (uint64_t)khz * 1000;
	p->tsc_timestamp = tsc + v->tsc_offset;
	p->system_time = ns - v->vm->ns_start;
	if (khz != 0)
		scale(khz, &p->tsc_to_system_mul, &p->tsc_shift);
	/* Only then may the guest compare two vCPUs' clocks. */
	if (host_tsc_stable() && v->vm->ncpus == 1)
		p->flags = PVCLOCK_TSC_STABLE;
}

/* The version is odd while the rest is written: the guest then waits. */
static int
publish_time(struct vcpu *v, uint64_t gpa)
{
	struct pvclock_page p;
	uint64_t addr;
	int err;

	time_now(v, &p);
	err = memory_place(v->vm, gpa, STAGE2_W, &addr);
	if (err)
		return err;
	p.version = sync_add(&v->pvclock.version, 1) * 2 - 1;
	err = memory_put(v, addr, &p.version, sizeof(p.version));
	sync_stores();
	if (err == 0)
		err = memory_put(v, addr + sizeof(p.version), &p.pad0,
		    sizeof(p) - sizeof(p.version));
	sync_stores();
	p.version++;
	if (err == 0)
		err = memory_put(v, addr, &p.version, sizeof(p.version));
	return err;
}

static int
publish_wall(struct vcpu *v)
{
	uint64_t start = host_wall_ns() - (host_ns() - v->vm->ns_start);
	struct pvclock_wall w;
	uint64_t addr;
	int err;

	w.version = 2;
	w.sec = (uint32_t)(start / NS_PER_SECOND);
	w.nsec = (uint32_t)(start % NS_PER_SECOND);
	err = memory_place(v->vm, v->pvclock.wall_gpa, STAGE2_W, &addr);
	return err ? err : memory_put(v, addr, &w, sizeof(w));
}

/* What fails where it may sleep fails, unless RUN is to return first. */
static bool
try_later(const struct vcpu *v, int err)
{
	return err == -EINTR || (err != 0 && v->loaded);
}

bool
pvclock_publish(struct vcpu *v)
{
	bool due = false;
	uint64_t gpa;

	sync_store(&v->pvclock.dirty, false);
	gpa = sync_load(&v->pvclock.gpa);
	if ((gpa & PVCLOCK_ENABLE) &&
	    try_later(v, publish_time(v, gpa & PVCLOCK_ADDRESS))) {
		sync_store(&v->pvclock.dirty, true);
		due = true;
	}
	if (v->pvclock.wall_due) {
		v->pvclock.wall_due = try_later(v, publish_wall(v));
		due |= v->pvclock.wall_due;
	}
	return !due;
}
