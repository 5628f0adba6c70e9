// SPDX-License-Identifier: ISC
#include <asm/bootparam.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <machine/vmmvar.h>

#include "linux.h"
#include "suite.h"

#define SETUP_BYTES	((4 + 1) * 512u)
#define PAYLOAD		(64 * KIB)

static struct ram ram;
static struct err e;
static struct linux_entry entry;
static uint8_t *file;		/* the image, writable */
static size_t file_len;
static char cmdline[8192];
static struct linux_image image;

static int memory_file(size_t len)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
	return fd;
}

static struct setup_header *header(void)
{
	return (struct setup_header *)(file + 0x1f1);
}

/* A good image, 128 MiB of memory, no initrd. */
static void setup(void)
{
	struct setup_header h = {
		.setup_sects = 4, .syssize = PAYLOAD / 16, .boot_flag = 0xaa55, .jump = 0x6aeb,
		.header = 0x53726448, .version = 0x020f, .loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff, .kernel_alignment = 2 * MIB,
		.relocatable_kernel = 1, .xloadflags = XLF_KERNEL_64, .cmdline_size = 2047,
		.pref_address = 16 * MIB, .init_size = 4 * MIB,
	};
	unsigned int i;

	file_len = SETUP_BYTES + PAYLOAD;
	image = (struct linux_image){
		.kernel = memory_file(file_len), .initrd = -1, .kernel_name = "bzImage",
		.initrd_name = "initrd", .cmdline = "console=ttyS0",
	};
	file = mmap(NULL, file_len, PROT_READ | PROT_WRITE, MAP_SHARED, image.kernel, 0);
	ck_assert_ptr_ne(file, MAP_FAILED);
	memset(file, 0xee, SETUP_BYTES);
	memcpy(file + 0x1f1, &h, sizeof(h));
	for (i = 0; i < PAYLOAD; i++)
		file[SETUP_BYTES + i] = (uint8_t)(i * 7);
	ck_assert_int_eq(ram_init(&ram, 128 * MIB, &e), 0);
	e.text[0] = '\0';
}

static void teardown(void)
{
	munmap(file, file_len);
	close(image.kernel);
	if (image.initrd >= 0)
		close(image.initrd);
	ram_free(&ram);
}

static void resize_ram(uint64_t size)
{
	ram_free(&ram);
	ck_assert_int_eq(ram_init(&ram, size, &e), 0);
}

static const struct boot_params *zero_page(void)
{
	return ram_at(&ram, entry.boot_params, 4096);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	while (n--)
		if (*p++)
			return false;
	return true;
}

/* A refusal names what is wrong, leaves the zero page unwritten. */
static void refused(const char *why)
{
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), -1);
	ck_assert_msg(strstr(e.text, why), "want \"%s\", have \"%s\"", why, e.text);
	ck_assert(all_zero(ram_at(&ram, 0x8000, 4096), 4096));
}

START_TEST(good_image)
{
	const struct boot_params *bp;

	setup();
	ck_assert_msg(linux_load(&ram, &image, &entry, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(entry.rip, 16 * MIB + 0x200);
	ck_assert_mem_eq(ram_at(&ram, 16 * MIB, PAYLOAD), file + SETUP_BYTES, PAYLOAD);
	ck_assert(all_zero(ram_at(&ram, 16 * MIB + PAYLOAD, MIB), MIB));
	bp = zero_page();
	ck_assert_uint_eq(bp->hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(bp->hdr.code32_start, 16 * MIB);
	ck_assert_uint_eq(bp->hdr.ramdisk_size, 0);
	ck_assert_uint_eq(bp->sentinel, 0);
	ck_assert_str_eq(ram_at(&ram, bp->hdr.cmd_line_ptr, 32), "console=ttyS0");
	/* Nothing of the image but its header. */
	ck_assert(all_zero((const uint8_t *)bp, 0x1e8));
	teardown();
}
END_TEST

START_TEST(memory_map)
{
	const struct boot_params *bp;
	unsigned int i;

	setup();
	resize_ram(6 * GIB);
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);
	bp = zero_page();
	ck_assert_uint_eq(bp->e820_entries, 5);
	for (i = 1; i < bp->e820_entries; i++)
		ck_assert(bp->e820_table[i].addr >=
			  bp->e820_table[i - 1].addr + bp->e820_table[i - 1].size);
	ck_assert_uint_eq(bp->e820_table[3].addr, MIB);
	ck_assert_uint_eq(bp->e820_table[3].addr + bp->e820_table[3].size, 0xf0000000);
	ck_assert_uint_eq(bp->e820_table[4].addr, 4 * GIB);
	ck_assert_uint_eq(bp->e820_table[4].size, 6 * GIB - 0xf0000000);
	ck_assert_ptr_null(ram_at(&ram, 0xf0000000, 1));
	ck_assert_ptr_null(ram_at(&ram, 0xefffffff, 2));
	ck_assert_ptr_null(ram_at(&ram, UINT64_MAX, 2));
	ck_assert_ptr_eq(ram_at(&ram, 4 * GIB, 1), ram.base + 0xf0000000);
	ck_assert_ptr_null(ram_at(&ram, 4 * GIB + ram.high, 1));
	teardown();
}
END_TEST

START_TEST(registers)
{
	const uint64_t *gdt, *table;
	struct vcpu_reg_state r;
	unsigned int i;

	setup();
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);
	linux_registers(&entry, &r);
	ck_assert_uint_eq(r.vrs_gprs[VCPU_REGS_RSI], entry.boot_params);
	ck_assert_uint_eq(r.vrs_gprs[VCPU_REGS_RFLAGS], 2);
	ck_assert_uint_eq(r.vrs_crs[VCPU_REGS_CR0], 0x80000011);
	ck_assert_uint_eq(r.vrs_msrs[VCPU_REGS_EFER], 0x500);
	ck_assert_uint_eq(r.vrs_sregs[VCPU_REGS_CS].vsi_sel, 0x10);
	ck_assert_uint_eq(r.vrs_sregs[VCPU_REGS_CS].vsi_ar, 0xa09b);	/* L, not D */
	ck_assert_uint_eq(r.vrs_sregs[VCPU_REGS_SS].vsi_sel, 0x18);
	/* What the segments say is what the GDT says. */
	gdt = ram_at(&ram, r.vrs_gdtr.vsi_base, r.vrs_gdtr.vsi_limit + 1);
	ck_assert_uint_eq(gdt[2] >> 40 & 0xf0ff, 0xa09b);
	ck_assert_uint_eq(gdt[3] >> 40 & 0xf0ff, 0xc093);
	/* Every 2 MiB of the first 4 GiB maps to itself, writable. */
	for (i = 0; i < 2048; i++) {
		table = ram_at(&ram, r.vrs_crs[VCPU_REGS_CR3], 4096);
		table = ram_at(&ram, table[0] & ~0xfffULL, 4096);
		table = ram_at(&ram, table[i / 512] & ~0xfffULL, 4096);
		ck_assert_uint_eq(table[i % 512], i * 2 * MIB | 0x83);
	}
	teardown();
}
END_TEST

START_TEST(initrd_goes_high)
{
	const struct boot_params *bp;

	setup();
	image.initrd = memory_file(5000);
	ck_assert_int_eq(pwrite(image.initrd, "cpio", 4, 0), 4);
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);
	bp = zero_page();
	ck_assert_uint_eq(bp->hdr.ramdisk_size, 5000);
	ck_assert_uint_eq(bp->hdr.ramdisk_image, 128 * MIB - 8192);
	ck_assert_mem_eq(ram_at(&ram, bp->hdr.ramdisk_image, 4), "cpio", 4);
	/* A kernel that can not reach that far. */
	header()->initrd_addr_max = 64 * MIB - 1;
	ck_assert_int_eq(ram_clear(&ram, &e), 0);
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);
	ck_assert_uint_eq(zero_page()->hdr.ramdisk_image, 64 * MIB - 8192);
	teardown();
}
END_TEST

START_TEST(initrd_refusals)
{
	setup();
	image.initrd = memory_file(0);
	refused("initrd is empty");
	ck_assert_int_eq(ftruncate(image.initrd, 200 * MIB), 0);
	/* The kernel up to 20 MiB, 32 more to boot, the file, four times that for its contents. */
	refused("does not fit beside the kernel: give -m 1052M");
	ck_assert_int_eq(ftruncate(image.initrd, 108 * MIB + 1), 0);
	refused("does not fit");
	ck_assert_int_eq(ftruncate(image.initrd, 100 * MIB), 0);
	header()->initrd_addr_max = 64 * MIB - 1;
	refused("too big for this kernel");
	/* More memory would not help, so it is not what is asked for. */
	resize_ram(16 * MIB);
	refused("too big for this kernel");
	resize_ram(128 * MIB);
	header()->initrd_addr_max = 1;
	refused("too big for this kernel");
	teardown();
}
END_TEST

START_TEST(not_a_kernel)
{
	setup();
	header()->header = 0;
	refused("is not a Linux kernel: give -b a bzImage");
	header()->header = 0x53726448;
	header()->boot_flag = 0;
	refused("is not a Linux kernel");
	memcpy(file, "\177ELF", 4);
	refused("is an ELF file, not a bzImage");
	ck_assert_int_eq(ftruncate(image.kernel, 0), 0);
	refused("is not a Linux kernel");
	ck_assert_int_eq(ftruncate(image.kernel, 600), 0);
	refused("is not a Linux kernel");
	teardown();
}
END_TEST

START_TEST(not_a_file)
{
	setup();
	close(image.kernel);
	image.kernel = open("/dev/zero", O_RDONLY);
	refused("bzImage is not a file");
	close(image.kernel);
	image.kernel = open("/", O_RDONLY);
	refused("is not a file");
	teardown();
}
END_TEST

START_TEST(wrong_kernels)
{
	setup();
	header()->version = 0x020b;
	refused("speaks boot protocol 2.11, older than 2.12");
	header()->version = 0x020f;
	header()->loadflags = 0;
	refused("is a zImage");
	header()->loadflags = LOADED_HIGH;
	header()->xloadflags = XLF_CAN_BE_LOADED_ABOVE_4G;
	refused("is not a 64-bit kernel");
	header()->xloadflags = XLF_KERNEL_64;
	header()->jump = 0x10eb;
	refused("damaged setup header");
	header()->jump = 0x6aeb;
	header()->syssize = 0x20;
	refused("damaged setup header");
	header()->syssize = PAYLOAD / 16;
	header()->pref_address = 0xf0000000;
	refused("where no kernel goes");
	header()->pref_address = 0x1000;
	refused("where no kernel goes");
	header()->pref_address = UINT64_MAX - 0xfff;
	refused("where no kernel goes");
	teardown();
}
END_TEST

/* syssize counts 16-byte paragraphs: up to 15 bytes of the last one may be missing. */
START_TEST(truncated_kernel)
{
	unsigned int missing;

	for (missing = 0; missing < 16; missing++) {
		setup();
		ck_assert_int_eq(ftruncate(image.kernel, (off_t)(file_len - missing)), 0);
		ck_assert_msg(linux_load(&ram, &image, &entry, &e) == 0, "%u missing: %s", missing,
			      e.text);
		ck_assert_mem_eq(ram_at(&ram, 16 * MIB, PAYLOAD), file + SETUP_BYTES,
				 PAYLOAD - missing);
		ck_assert(all_zero(ram_at(&ram, 16 * MIB + PAYLOAD - missing, 16), 16));
		teardown();
	}
	setup();
	ck_assert_int_eq(ftruncate(image.kernel, (off_t)file_len - 16), 0);
	refused("is cut short, 68080 of 68081 bytes");
	/* Nothing but the setup sectors, or not even all of them. */
	ck_assert_int_eq(ftruncate(image.kernel, SETUP_BYTES), 0);
	refused("is cut short");
	header()->setup_sects = 255;
	refused("is cut short");
	header()->setup_sects = 4;
	ck_assert_int_eq(ftruncate(image.kernel, (off_t)file_len), 0);
	header()->syssize = UINT32_MAX;
	refused("is cut short");
	teardown();
}
END_TEST

/* Signatures follow the code in the file: they are not loaded. */
START_TEST(bytes_behind_the_code)
{
	setup();
	header()->syssize = PAYLOAD / 16 - 2;
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);
	ck_assert_mem_eq(ram_at(&ram, 16 * MIB, PAYLOAD), file + SETUP_BYTES, PAYLOAD - 32);
	ck_assert(all_zero(ram_at(&ram, 16 * MIB + PAYLOAD - 32, 32), 32));
	teardown();
}
END_TEST

/* What the image has in fields that a loader must write is not what the kernel sees. */
START_TEST(fields_of_the_loader)
{
	const struct setup_header *h;

	setup();
	header()->ramdisk_image = 0x12345678;
	header()->ramdisk_size = 0x1000;
	header()->cmd_line_ptr = 0x99999;
	header()->setup_data = 0xdeadbeef000;
	header()->hardware_subarch = 3;
	header()->hardware_subarch_data = 7;
	header()->vid_mode = 0x0301;
	header()->code32_start = 0x100000;
	header()->type_of_loader = 0x21;
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);
	h = &zero_page()->hdr;
	ck_assert_uint_eq(h->ramdisk_image, 0);
	ck_assert_uint_eq(h->ramdisk_size, 0);
	ck_assert_str_eq(ram_at(&ram, h->cmd_line_ptr, 32), "console=ttyS0");
	ck_assert_uint_eq(h->setup_data, 0);
	ck_assert_uint_eq(h->hardware_subarch, 0);
	ck_assert_uint_eq(h->hardware_subarch_data, 0);
	ck_assert_uint_eq(h->vid_mode, 0xffff);
	ck_assert_uint_eq(h->code32_start, 16 * MIB);
	ck_assert_uint_eq(h->type_of_loader, 0xff);
	teardown();
}
END_TEST

START_TEST(short_header_is_zero_filled)
{
	setup();
	/* Ends behind init_size: what follows in the file is code, not header. */
	header()->jump = (uint16_t)((0x264 - 0x202) << 8 | 0xeb);
	header()->handover_offset = 0xdead;
	header()->kernel_info_offset = 0xbeef;
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);
	ck_assert_uint_eq(zero_page()->hdr.handover_offset, 0);
	ck_assert_uint_eq(zero_page()->hdr.kernel_info_offset, 0);
	teardown();
}
END_TEST

START_TEST(old_setup_size)
{
	setup();
	header()->setup_sects = 0;	/* means 4 */
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);
	ck_assert_mem_eq(ram_at(&ram, 16 * MIB, PAYLOAD), file + SETUP_BYTES, PAYLOAD);
	teardown();
}
END_TEST

/* The size that the refusal in @e advises, in MiB. */
static uint64_t advised(void)
{
	const char *at = strstr(e.text, "give -m ");
	unsigned long long mib = 0;

	ck_assert_msg(at && sscanf(at, "give -m %lluM or more", &mib) == 1, "%s", e.text);
	return mib;
}

/*
 * The kernel runs at align_up(max(load address, pref_address), alignment) if it
 * can move, else at pref_address, and has init_size bytes of memory from there.
 */
START_TEST(memory_the_kernel_needs)
{
	static const struct {
		uint8_t relocatable;
		uint32_t alignment, init_size;
		uint64_t pref;
		unsigned int mib;	/* the least that is enough */
	} rows[] = {
		{ 1, 2 * MIB, 4 * MIB, 16 * MIB, 20 },
		{ 0, 2 * MIB, 4 * MIB, 16 * MIB, 20 },
		{ 0, 3, 4 * MIB, 16 * MIB, 20 },		/* does not move: not used */
		{ 1, 2 * MIB, 0x3378000, 16 * MIB, 68 },	/* Debian's 6.1 */
		{ 1, 16 * MIB, 4 * MIB, 17 * MIB, 36 },
		{ 0, 16 * MIB, 4 * MIB, 17 * MIB, 21 },
		{ 1, 64 * MIB, 4 * MIB, MIB, 68 },
		{ 0, 4096, 0x6acf8, MIB, 2 },			/* memtest86+ 6.10 */
		{ 1, 2 * MIB, 0, 16 * MIB, 17 },
		{ 1, 2 * MIB, 4 * MIB + 1, 16 * MIB, 21 },
	};
	uint64_t runs_at;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		setup();
		header()->relocatable_kernel = rows[i].relocatable;
		header()->kernel_alignment = rows[i].alignment;
		header()->init_size = rows[i].init_size;
		header()->pref_address = rows[i].pref;
		resize_ram((rows[i].mib - 1) * MIB);
		refused("too little memory for bzImage");
		/* What it takes to boot, not only to load it. */
		ck_assert_uint_eq(advised(), rows[i].mib + 32);
		resize_ram(MIB);
		refused("too little memory for bzImage");
		ck_assert_uint_eq(advised(), rows[i].mib + 32);
		resize_ram(rows[i].mib * MIB);
		ck_assert_msg(linux_load(&ram, &image, &entry, &e) == 0, "row %zu: %s", i, e.text);
		runs_at = entry.rip - 0x200;
		ck_assert_uint_ge(runs_at, rows[i].pref);
		if (rows[i].relocatable)
			ck_assert_uint_eq(runs_at % rows[i].alignment, 0);
		else
			ck_assert_uint_eq(runs_at, rows[i].pref);
		ck_assert_uint_le(runs_at + rows[i].init_size, rows[i].mib * MIB);
		teardown();
	}
}
END_TEST

/* One refusal asks for all that is needed, and what it asks for is enough. */
START_TEST(memory_for_an_initrd)
{
	static const uint64_t sizes[] = { 1, 4096, 4097, MIB - 1, MIB, MIB + 1, 37 * MIB + 5 };
	uint64_t first;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		setup();
		image.initrd = memory_file(sizes[i]);
		resize_ram(2 * MIB);
		refused("does not fit beside the kernel");
		first = advised();
		resize_ram(20 * MIB);
		refused("does not fit beside the kernel");
		ck_assert_uint_eq(advised(), first);
		resize_ram(first * MIB);
		ck_assert_msg(linux_load(&ram, &image, &entry, &e) == 0, "%s", e.text);
		/* The least that holds both. */
		resize_ram(20 * MIB + (sizes[i] + MIB - 1) / MIB * MIB);
		ck_assert_msg(linux_load(&ram, &image, &entry, &e) == 0, "%s", e.text);
		ck_assert_uint_ge(zero_page()->hdr.ramdisk_image, 20 * MIB);
		teardown();
	}
}
END_TEST

/* Memory has a hole from 3.75 to 4 GiB: no size puts the kernel or initrd across it. */
START_TEST(beyond_the_hole)
{
	setup();
	resize_ram(8 * GIB);
	header()->pref_address = 0xefe00000;
	refused("more than a VM has below 3840M");
	header()->init_size = 2 * MIB;
	ck_assert_msg(linux_load(&ram, &image, &entry, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(entry.rip, 0xefe00200);
	ck_assert_int_eq(ram_clear(&ram, &e), 0);
	header()->kernel_alignment = 1u << 31;
	refused("more than a VM has below 3840M");
	header()->kernel_alignment = 2 * MIB;
	header()->pref_address = 16 * MIB;
	header()->init_size = UINT32_MAX;
	refused("more than a VM has below 3840M");
	header()->init_size = 4 * MIB;
	/* A kernel that can reach anything gets it below the hole. */
	header()->initrd_addr_max = UINT32_MAX;
	image.initrd = memory_file(MIB);
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);
	ck_assert_uint_eq(zero_page()->hdr.ramdisk_image, 0xeff00000);
	ck_assert_int_eq(ftruncate(image.initrd, (off_t)(3840 * MIB)), 0);
	ck_assert_int_eq(ram_clear(&ram, &e), 0);
	refused("too big for this kernel");
	teardown();
}
END_TEST

START_TEST(alignments_that_are_none)
{
	static const uint32_t none[] = { 0, 1, 3, 2048, 3 * MIB, UINT32_MAX };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(none); i++) {
		setup();
		header()->kernel_alignment = none[i];
		refused("which no kernel has");
		teardown();
	}
}
END_TEST

START_TEST(command_line_length)
{
	setup();
	memset(cmdline, 'x', 2048);
	image.cmdline = cmdline;
	refused("2048 characters, 2047 at most");
	cmdline[2047] = '\0';
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);
	ck_assert_str_eq(ram_at(&ram, zero_page()->hdr.cmd_line_ptr, 2048), cmdline);
	teardown();
}
END_TEST

START_TEST(memory_sizes)
{
	struct ram r;

	ck_assert_int_eq(ram_init(&r, 0, &e), -1);
	ck_assert_int_eq(ram_init(&r, MIB + 4096, &e), -1);
	ck_assert_int_eq(ram_init(&r, 1024 * GIB, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.text, "more than a VM can have"));
	ck_assert_int_eq(ram_init(&r, UINT64_MAX - MIB + 1, &e), -1);
	ck_assert_int_eq(ram_init(&r, MIB, &e), 0);
	ck_assert_uint_eq(r.low, MIB);
	ck_assert_uint_eq(r.high, 0);
	ram_free(&r);
}
END_TEST

/* Whatever the header says, the loader refuses it or stays within memory and file. */
START_TEST(fuzzed_headers)
{
	uint8_t good[sizeof(struct setup_header)];
	unsigned int i, k, loaded = 0;

	setup();
	image.initrd = memory_file(100000);
	memcpy(good, header(), sizeof(good));
	srand(5);
	for (i = 0; i < 4000; i++) {
		uint8_t *h = (uint8_t *)header();

		memcpy(h, good, sizeof(good));
		for (k = (unsigned int)rand() % 6; k > 0; k--) {
			static const uint8_t edge[] = { 0, 1, 0x7f, 0x80, 0xff };
			uint8_t v = rand() % 2 ? edge[(unsigned int)rand() % 5] : (uint8_t)rand();

			h[(unsigned int)rand() % sizeof(good)] = v;
		}
		if (linux_load(&ram, &image, &entry, &e) == 0) {
			loaded++;
			ck_assert_ptr_nonnull(ram_at(&ram, entry.rip, 1));
			ck_assert_uint_ge(entry.rip, MIB);
		} else {
			ck_assert_uint_gt(strlen(e.text), 20);
		}
	}
	ck_assert_uint_gt(loaded, 100);
	teardown();
}
END_TEST

SUITE_MAIN("vmctl: Linux loader", good_image, memory_map, registers, initrd_goes_high,
	   initrd_refusals, not_a_kernel, not_a_file, wrong_kernels, truncated_kernel,
	   bytes_behind_the_code, fields_of_the_loader, short_header_is_zero_filled,
	   old_setup_size, memory_the_kernel_needs, memory_for_an_initrd, beyond_the_hole,
	   alignments_that_are_none, command_line_length, memory_sizes, fuzzed_headers)
