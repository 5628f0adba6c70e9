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
	refused("does not fit beside the kernel: give -m 221M");
	ck_assert_int_eq(ftruncate(image.initrd, 108 * MIB + 1), 0);
	refused("does not fit");
	ck_assert_int_eq(ftruncate(image.initrd, 100 * MIB), 0);
	header()->initrd_addr_max = 64 * MIB - 1;
	refused("too big for this kernel");
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

START_TEST(truncated_kernel)
{
	setup();
	ck_assert_int_eq(ftruncate(image.kernel, (off_t)file_len - 1), 0);
	refused("is cut short, 68095 of 68096 bytes");
	header()->syssize = UINT32_MAX;
	refused("is cut short");
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

START_TEST(little_memory)
{
	setup();
	resize_ram(19 * MIB);
	ck_assert_int_eq(linux_load(&ram, &image, &entry, &e), 0);	/* it moved */
	ck_assert_uint_eq(entry.rip, 2 * MIB + 0x200);
	resize_ram(5 * MIB);
	refused("too little memory for bzImage: give -m 6M or more");
	resize_ram(19 * MIB);
	header()->relocatable_kernel = 0;
	refused("give -m 20M or more");
	header()->relocatable_kernel = 1;
	header()->kernel_alignment = 3;
	refused("give -m 20M or more");
	resize_ram(1 * MIB);
	refused("too little memory");
	teardown();
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
	   short_header_is_zero_filled, old_setup_size, little_memory, command_line_length,
	   memory_sizes, fuzzed_headers)
