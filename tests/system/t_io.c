/* SPDX-License-Identifier: ISC */
/* t_io.c - IN and OUT in every size, form and mode. */
#include "vm.h"

TEST(io_out_sizes, "run/io/out_sizes")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_outb, 0x3f8, 0x11223344, 0, 0);
	vm_expect_out(v, 0x3f8, 1, 0x44);
	vm_finish(v);
	vm_call_start(v, g_long_outw, 0xffff, 0x11223344, 0, 0);
	vm_expect_out(v, 0xffff, 2, 0x3344);
	vm_finish(v);
	vm_call_start(v, g_long_outl, 0, 0x99aabbccull, 0, 0);
	vm_expect_out(v, 0, 4, 0x99aabbcc);
	vm_finish(v);
	vm_expect_no_fault(v);
}

TEST(io_immediate, "run/io/immediate_port")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_outb_imm, 0, 0xa1, 0, 0);
	vm_expect_out(v, 0x80, 1, 0xa1);
	vm_finish(v);
	vm_call_start(v, g_long_outw_imm, 0, 0xa1b2, 0, 0);
	vm_expect_out(v, 0x80, 2, 0xa1b2);
	vm_finish(v);
	vm_call_start(v, g_long_outl_imm, 0, 0xa1b2c3d4, 0, 0);
	vm_expect_out(v, 0x80, 4, 0xa1b2c3d4);
	vm_finish(v);
	vm_call_start(v, g_long_inl_imm, 0, 0, 0, 0);
	vm_expect_in(v, 0x80, 4, 0x12345678);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0x12345678);
}

/* D42: a short IN leaves the rest of RAX alone, a 32-bit one clears it. */
TEST(io_in_sizes, "run/io/in_sizes_keep_the_rest_of_rax")
{
	const uint64_t rax = 0x1122334455667788;
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_inb, 0x60, rax, 0, 0);
	vm_expect_in(v, 0x60, 1, 0xee);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0x11223344556677ee);
	vm_call_start(v, g_long_inw, 0x1f0, rax, 0, 0);
	vm_expect_in(v, 0x1f0, 2, 0xeeff);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0x112233445566eeff);
	vm_call_start(v, g_long_inl, 0xcfc, rax, 0, 0);
	vm_expect_in(v, 0xcfc, 4, 0xdeadbeef);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0xdeadbeef);
}

/* What a client does that leaves the other bytes of vei_data as it likes. */
TEST(io_in_dirty, "run/io/in_ignores_bytes_beyond_its_size")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_inb, 0x60, 0x1122334455667788, 0, 0);
	vm_expect_in(v, 0x60, 1, 0);
	v->exit->vei.vei_data = 0xffffff99;
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0x1122334455667799);
}

TEST(io_in_preload, "run/io/in_shows_the_register")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_inb, 0x60, 0x1122334455667788, 0, 0);
	vm_expect_in(v, 0x60, 1, 0x77);
	CHECK_EQ(v->exit->vei.vei_data, 0x55667777);
	vm_finish(v);
}

/* RIP in the snapshot lies behind the instruction, and RUN starts there. */
TEST(io_rip, "run/io/rip_is_behind_the_instruction")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state s;
	uint64_t rip;

	vm_call_start(v, g_long_outb, 0x80, 0, 0, 0);
	vm_expect_out(v, 0x80, 1, 0);
	rip = v->exit->vrs.vrs_gprs[VCPU_REGS_RIP];
	CHECK_EQ(GUEST(vm, uint8_t, rip - 1), 0xee);	/* OUT DX, AL */
	CHECK_EQ(GUEST(vm, uint8_t, rip), 0xc3);	/* RET */
	vm_regs(v, &s);
	CHECK_EQ(s.vrs_gprs[VCPU_REGS_RIP], rip);
	vm_finish(v);
}

/* Without vrp_continue the answer is not taken; the guest goes on. */
TEST(io_no_continue, "run/io/without_continue")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_inb, 0x60, 0x1122334455667788, 0, 0);
	vm_expect_in(v, 0x60, 1, 0x99);
	v->cont = 0;
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0x1122334455667788);
}

TEST(io_all_ports, "run/io/every_port_exits")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int port;

	for (port = 0; port < 0x10000; port += port < 0x500 ? 1 : 251) {
		vm_call_start(v, g_long_outb, port, port, 0, 0);
		vm_expect_out(v, (uint16_t)port, 1, port);
		vm_finish(v);
	}
	vm_call_start(v, g_long_outl, 0xffff, 5, 0, 0);
	vm_expect_out(v, 0xffff, 4, 5);
	vm_finish(v);
}

/* --- Prefixes (D7) ----------------------------------------------------------- */

TEST(io_prefixes, "run/io/prefixed")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_out_prefixed, 0x80, 0x5a, 0, 0);
	vm_expect_out(v, 0x80, 1, 0x5a);
	vm_finish(v);
	vm_call_start(v, g_long_in_prefixed, 0x80, 0x1100, 0, 0);
	vm_expect_in(v, 0x80, 1, 0xa5);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], 0x11a5);
	vm_call_start(v, g_long_out_longest, 0x80, 0x5b, 0, 0);
	vm_expect_out(v, 0x80, 1, 0x5b);
	vm_finish(v);
	vm_expect_no_fault(v);
}

TEST(io_prefixes32, "run/io/prefixed_32_bit")
{
	struct vm *vm = vm_new(PROT);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_prot_inw_prefixed, 0x80, 0xaabbccdd, 0, 0);
	vm_expect_in(v, 0x80, 2, 0x1122);
	vm_finish(v);
	CHECK_EQ((uint32_t)v->mb->ret[0], 0xaabb1122);
}

/* --- Strings (D6): the client sees one plain access an element ---------------- */

TEST(io_outs, "run/io/outs_single")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	GUEST(vm, uint32_t, LAYOUT_SCRATCH) = 0x44332211;
	vm_call_start(v, g_long_outsb, 0x3f8, LAYOUT_SCRATCH, 0, 0);
	vm_expect_out(v, 0x3f8, 1, 0x11);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], LAYOUT_SCRATCH + 1);
	vm_call_start(v, g_long_outsw, 0x3f8, LAYOUT_SCRATCH, 0, 0);
	vm_expect_out(v, 0x3f8, 2, 0x2211);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], LAYOUT_SCRATCH + 2);
	vm_call_start(v, g_long_outsl, 0x3f8, LAYOUT_SCRATCH, 0, 0);
	vm_expect_out(v, 0x3f8, 4, 0x44332211);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], LAYOUT_SCRATCH + 4);
}

TEST(io_ins, "run/io/ins_single")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	GUEST(vm, uint64_t, LAYOUT_SCRATCH) = 0x8877665544332211;
	vm_call_start(v, g_long_insb, 0x1f0, LAYOUT_SCRATCH, 0, 0);
	vm_expect_in(v, 0x1f0, 1, 0xa1);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], LAYOUT_SCRATCH + 1);
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_SCRATCH), 0x88776655443322a1);
	vm_call_start(v, g_long_insw, 0x1f0, LAYOUT_SCRATCH, 0, 0);
	vm_expect_in(v, 0x1f0, 2, 0xb1b2);
	vm_finish(v);
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_SCRATCH), 0x887766554433b1b2);
	vm_call_start(v, g_long_insl, 0x1f0, LAYOUT_SCRATCH, 0, 0);
	vm_expect_in(v, 0x1f0, 4, 0xc1c2c3c4);
	vm_finish(v);
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_SCRATCH), 0x88776655c1c2c3c4);
	CHECK_EQ(v->mb->ret[0], LAYOUT_SCRATCH + 4);
}

static void
rep_outs(struct vcpu *v, uint64_t fn, unsigned int size, unsigned int n,
    uint64_t start, bool down)
{
	uint64_t at = start, step = down ? -(uint64_t)size : size;
	struct vm *vm = v->vm;
	unsigned int i;

	for (i = 0; i < n; i++, at += step) {
		uint32_t x = (i + 1) * 0x01030507;

		memcpy(vm->mem + at, &x, size);
	}
	vm_call_start(v, fn, 0x3f8, start, n, down);
	for (i = 0; i < n; i++)
		vm_expect_out(v, 0x3f8, size, (i + 1) * 0x01030507);
	vm_finish(v);
	vm_expect_no_fault(v);
	CHECK_EQ(v->mb->ret[0], at);		/* RSI */
	CHECK_EQ(v->mb->ret[3], 0);		/* RCX */
}

TEST(io_rep_outs, "run/io/rep_outs")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	rep_outs(v, g_long_rep_outsb, 1, 5, LAYOUT_SCRATCH, false);
	rep_outs(v, g_long_rep_outsw, 2, 5, LAYOUT_SCRATCH, false);
	rep_outs(v, g_long_rep_outsl, 4, 5, LAYOUT_SCRATCH, false);
	rep_outs(v, g_long_rep_outsb, 1, 5, LAYOUT_SCRATCH + 64, true);
	rep_outs(v, g_long_rep_outsl, 4, 5, LAYOUT_SCRATCH + 64, true);
	/* Over the end of a page, and in elements that straddle it. */
	rep_outs(v, g_long_rep_outsb, 1, 8, LAYOUT_HIGH + PAGE - 3, false);
	rep_outs(v, g_long_rep_outsl, 4, 3, LAYOUT_HIGH + PAGE - 6, false);
	rep_outs(v, g_long_rep_outsw, 2, 3, LAYOUT_HIGH + 2 * PAGE - 1, true);
	rep_outs(v, g_long_rep_outsb, 1, 0, LAYOUT_SCRATCH, false);
	rep_outs(v, g_long_rep_outsb, 1, 300, LAYOUT_SCRATCH, false);
}

static void
rep_ins(struct vcpu *v, uint64_t fn, unsigned int size, unsigned int n,
    uint64_t start, bool down)
{
	uint64_t at = start, step = down ? -(uint64_t)size : size;
	struct vm *vm = v->vm;
	unsigned int i;
	uint32_t got;

	vm_call_start(v, fn, 0x1f0, start, n, down);
	for (i = 0; i < n; i++)
		vm_expect_in(v, 0x1f0, size, (i + 1) * 0x01030507);
	vm_finish(v);
	vm_expect_no_fault(v);
	for (i = 0; i < n; i++, at += step) {
		uint32_t want = (i + 1) * 0x01030507;

		got = want;
		memcpy(&got, vm->mem + at, size);
		CHECK_EQ(got, want);
	}
	CHECK_EQ(v->mb->ret[0], at);
	CHECK_EQ(v->mb->ret[3], 0);
}

TEST(io_rep_ins, "run/io/rep_ins")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	rep_ins(v, g_long_rep_insb, 1, 5, LAYOUT_SCRATCH, false);
	rep_ins(v, g_long_rep_insw, 2, 5, LAYOUT_SCRATCH, false);
	rep_ins(v, g_long_rep_insl, 4, 5, LAYOUT_SCRATCH, false);
	rep_ins(v, g_long_rep_insw, 2, 5, LAYOUT_SCRATCH + 64, true);
	rep_ins(v, g_long_rep_insb, 1, 8, LAYOUT_HIGH + PAGE - 3, false);
	rep_ins(v, g_long_rep_insl, 4, 3, LAYOUT_HIGH + PAGE - 6, false);
	rep_ins(v, g_long_rep_insb, 1, 0, LAYOUT_SCRATCH, false);
}

TEST(io_segment, "run/io/outs_segment_override")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	/* The FS base by its MSR, as a guest sets it. */
	vm_call_ok(v, g_long_wrmsr, 0xc0000100, LAYOUT_SCRATCH, 0, 0);
	GUEST(vm, uint8_t, LAYOUT_SCRATCH + 9) = 0x77;
	vm_call_start(v, g_long_fs_outsb, 0x3f8, 9, 0, 0);
	vm_expect_out(v, 0x3f8, 1, 0x77);
	vm_finish(v);
	vm_expect_no_fault(v);
	CHECK_EQ(v->mb->ret[0], 10);
}

TEST(io_addr32, "run/io/rep_outs_32_bit_count")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	unsigned int i;

	memcpy(vm->mem + LAYOUT_SCRATCH, "abc", 3);
	vm_call_start(v, g_long_addr32_rep_outsb, 0x3f8, LAYOUT_SCRATCH, 3, 0);
	for (i = 0; i < 3; i++)
		vm_expect_out(v, 0x3f8, 1, 'a' + i);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], LAYOUT_SCRATCH + 3);
	CHECK_EQ((uint32_t)v->mb->ret[3], 0);
}

/* The guest's own page fault, at the element that takes it. */
TEST(io_rep_fault, "run/io/rep_outs_page_fault")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	const uint64_t start = LAYOUT_SCRATCH + PAGE - 2;

	GUEST(vm, uint8_t, start) = 1;
	GUEST(vm, uint8_t, start + 1) = 2;
	guest_unmap_page(vm, LAYOUT_SCRATCH + PAGE);
	vm_call_start(v, g_long_rep_outsb, 0x3f8, start, 4, 0);
	vm_expect_out(v, 0x3f8, 1, 1);
	vm_expect_out(v, 0x3f8, 1, 2);
	vm_finish(v);
	CHECK_EQ(v->mb->vector, 14);
	CHECK_EQ(v->mb->cr2, LAYOUT_SCRATCH + PAGE);
	CHECK_EQ(v->mb->error, 0);
	CHECK_EQ(v->mb->ret[3], 2);		/* two are left */
}

TEST(io_ins_fault, "run/io/ins_page_fault")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	guest_unmap_page(vm, LAYOUT_SCRATCH);
	vm_call_start(v, g_long_insb, 0x1f0, LAYOUT_SCRATCH + 5, 0, 0);
	vm_run_user(v);
	/* The client may be asked first; the fault comes either way. */
	if (is_exit_io(v->reason))
		vm_finish(v);
	CHECK_EQ(v->mb->vector, 14);
	CHECK_EQ(v->mb->cr2, LAYOUT_SCRATCH + 5);
	CHECK_EQ(v->mb->error, 2);
}

TEST(io_outs_not_canonical, "run/io/outs_not_canonical")
{
	struct vm *vm = vm_new(LONG);

	vm_call_faults(&vm->cpu[0], 13, 0, g_long_outsb, 0x3f8,
	    0x8000000000000000, 0, 0);
}

/* A long one is left for a signal or INTR between elements, and goes on. */
TEST(io_rep_registers, "run/io/rep_registers_between_elements")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state s;
	unsigned int i;

	vm_call_start(v, g_long_rep_outsb, 0x3f8, LAYOUT_SCRATCH, 1000, 0);
	for (i = 0; i < 1000; i++) {
		vm_expect_out(v, 0x3f8, 1, 0);
		vm_regs(v, &s);
		CHECK(s.vrs_gprs[VCPU_REGS_RCX] == 1000 - i ||
		    s.vrs_gprs[VCPU_REGS_RCX] == 999 - i);
		CHECK_EQ(s.vrs_gprs[VCPU_REGS_RSI] - LAYOUT_SCRATCH,
		    1000 - s.vrs_gprs[VCPU_REGS_RCX]);
	}
	vm_finish(v);
}

/* --- Other modes ------------------------------------------------------------- */

TEST(io_real, "run/io/real_mode")
{
	struct vm *vm = vm_new(REAL);
	struct vcpu *v = &vm->cpu[0];
	unsigned int i;

	vm_call_start(v, g_real_outb, 0x3f8, 0x41, 0, 0);
	vm_expect_out(v, 0x3f8, 1, 0x41);
	vm_finish(v);
	vm_call_start(v, g_real_outl, 0xcf8, 0x80001234, 0, 0);
	vm_expect_out(v, 0xcf8, 4, 0x80001234);
	vm_finish(v);
	vm_call_start(v, g_real_inb, 0x60, 0xaabbccdd, 0, 0);
	vm_expect_in(v, 0x60, 1, 0x11);
	vm_finish(v);
	CHECK_EQ((uint32_t)v->mb->ret[0], 0xaabbcc11);
	vm_call_start(v, g_real_inw, 0x60, 0xaabbccdd, 0, 0);
	vm_expect_in(v, 0x60, 2, 0x1122);
	vm_finish(v);
	CHECK_EQ((uint32_t)v->mb->ret[0], 0xaabb1122);
	/* Strings through another segment, and SI that wraps at 64 KiB. */
	for (i = 0; i < 4; i++)
		GUEST(vm, uint8_t, 0x80000 + i) = (uint8_t)(0x61 + i);
	vm_call_start(v, g_real_rep_outsb, 0x3f8, 0, 4, 0x8000);
	for (i = 0; i < 4; i++)
		vm_expect_out(v, 0x3f8, 1, 0x61 + i);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0] & 0xffff, 4);
	GUEST(vm, uint8_t, 0x8ffff) = 0x71;
	GUEST(vm, uint8_t, 0x80000) = 0x72;
	vm_call_start(v, g_real_rep_outsb, 0x3f8, 0xffff, 2, 0x8000);
	vm_expect_out(v, 0x3f8, 1, 0x71);
	vm_expect_out(v, 0x3f8, 1, 0x72);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0] & 0xffff, 1);
	vm_call_start(v, g_real_rep_insw, 0x1f0, 0x10, 3, 0x8000);
	for (i = 0; i < 3; i++)
		vm_expect_in(v, 0x1f0, 2, 0x3130 + i);
	vm_finish(v);
	for (i = 0; i < 3; i++)
		CHECK_EQ(GUEST(vm, uint16_t, 0x80010 + 2 * i), 0x3130 + i);
	CHECK_EQ(v->mb->ret[0], 0x16);
	GUEST(vm, uint8_t, 0x81005) = 0x55;
	vm_call_start(v, g_real_es_outsb, 0x3f8, 5, 0, 0x8100);
	vm_expect_out(v, 0x3f8, 1, 0x55);
	vm_finish(v);
}

TEST(io_prot, "run/io/protected_mode")
{
	struct vm *vm = vm_new(PROT);
	struct vcpu *v = &vm->cpu[0];
	unsigned int i;

	vm_call_start(v, g_prot_outb, 0x3f8, 0x42, 0, 0);
	vm_expect_out(v, 0x3f8, 1, 0x42);
	vm_finish(v);
	vm_call_start(v, g_prot_inl, 0xcfc, 0, 0, 0);
	vm_expect_in(v, 0xcfc, 4, 0xfeedface);
	vm_finish(v);
	CHECK_EQ((uint32_t)v->mb->ret[0], 0xfeedface);
	for (i = 0; i < 3; i++)
		GUEST(vm, uint16_t, LAYOUT_HIGH + 2 * i) = (uint16_t)(0x4140 + i);
	vm_call_start(v, g_prot_rep_outsw, 0x1f0, LAYOUT_HIGH, 3, 0);
	for (i = 0; i < 3; i++)
		vm_expect_out(v, 0x1f0, 2, 0x4140 + i);
	vm_finish(v);
	CHECK_EQ(v->mb->ret[0], LAYOUT_HIGH + 6);
	vm_call_start(v, g_prot_rep_insl, 0x1f0, LAYOUT_HIGH, 2, 0);
	vm_expect_in(v, 0x1f0, 4, 0x11111111);
	vm_expect_in(v, 0x1f0, 4, 0x22222222);
	vm_finish(v);
	CHECK_EQ(GUEST(vm, uint64_t, LAYOUT_HIGH), 0x2222222211111111);
	/* A 16-bit address: SI alone, and only it moves. */
	GUEST(vm, uint8_t, 0x7fff) = 0x66;
	vm_call_start(v, g_prot_addr16_outsb, 0x3f8, 0xabc07fff, 0, 0);
	vm_expect_out(v, 0x3f8, 1, 0x66);
	vm_finish(v);
	CHECK_EQ((uint32_t)v->mb->ret[0], 0xabc08000);
}

TEST(io_user, "run/io/cpl3_without_rights")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_faults(v, 13, g_user_out_insn, g_long_user, g_user_out, 0, 0, 0);
	CHECK_EQ(v->mb->error, 0);
	vm_call_faults(v, 13, g_user_outsb_insn, g_long_user, g_user_outsb,
	    0, 0, 0);
}

/* cpl in the exit (D5): with the rights, at CPL 3. */
TEST(io_user_rights, "run/io/cpl3_with_rights")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];
	struct vcpu_reg_state s;

	/* TCG looks at the I/O bitmap of a TSS that is not busy only. */
	if (host_is_tcg()) {
		vm_init_state(v, LONG, &s);
		s.vrs_sregs[VCPU_REGS_TR].vsi_ar = 0x89;
		CHECK_OK(do_resetcpu(vm->fd, vm->id, 0, &s));
	}
	memset(vm->mem + LAYOUT_TSS + 0x68, 0, 64);
	vm_call_start(v, g_long_user, g_user_out, 0, 0, 0);
	vm_run_user(v);
	CHECK(is_exit_io(v->reason));
	CHECK_EQ(v->exit->vei.vei_port, 0x80);
	CHECK_EQ(v->exit->cpl, 3);
	vm_finish(v);
	CHECK_EQ(v->mb->vector, 6);
	CHECK_EQ(v->mb->rip, g_user_out_end);
}

/* X10: single steps see I/O as one instruction. */
TEST(io_single_step, "run/io/single_step")
{
	struct vm *vm = vm_new(LONG);
	struct vcpu *v = &vm->cpu[0];

	vm_call_start(v, g_long_tf_out, 0x80, 0, 0, 0);
	vm_expect_out(v, 0x80, 1, 0);
	vm_finish(v);
	CHECK_EQ(v->mb->vector, 1);
	CHECK_EQ(v->mb->rip, g_long_tf_out_after);
	CHECK((v->mb->dr6 & 0x4000) != 0);		/* BS (D11) */
}
