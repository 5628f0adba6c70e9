// SPDX-License-Identifier: ISC
/*
 * The 64-bit boot protocol of Linux (Documentation/x86/boot.rst): the kernel
 * is entered in long mode on an identity map, RSI at the zero page.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <machine/vmmvar.h>

#include "linux.h"

/* What the loader puts below 640 KiB; the kernel replaces all of it early. */
#define GDT_GPA		0x1000u
#define PML4_GPA	0x2000u
#define PDPT_GPA	0x3000u
#define PD_GPA		0x4000u		/* four pages: 4 GiB in steps of 2 MiB */
#define ZERO_PAGE_GPA	0x8000u
#define CMDLINE_GPA	0x10000u
#define CMDLINE_MAX	0x10000u
#define EBDA_GPA	0x9fc00u
#define BIOS_GPA	0xf0000u
#define KERNEL_MIN_GPA	0x100000u
#define PAGE		4096u
#define BIG_PAGE	(2 * MIB)

#define HEADER_OFFSET	0x1f1u
#define HEADER_MAGIC	0x53726448u	/* "HdrS" */
#define BOOT_FLAG	0xaa55u
#define PROTOCOL_MIN	0x020cu		/* xloadflags, Linux 3.8 */
#define SECTOR		512u
#define PARAGRAPH	16u		/* unit of syssize */
#define ENTRY_64	0x200u
#define LOADER_OTHER	0xffu
#define VIDEO_NORMAL	0xffffu

#define PTE_P		0x001u
#define PTE_W		0x002u
#define PTE_PS		0x080u

#define E820_RAM_TYPE	1u
#define E820_RESERVED	2u

/*
 * Advice to the user is about a guest that boots, which takes more than loading
 * it: memory for what the kernel allocates as it starts (Debian's 6.1 runs out
 * of it now and then with 68M, where its init_size ends), and for the contents
 * of the initial RAM disk, which are seldom more than four times the file.
 */
#define BOOT_SLACK	(32 * MIB)
#define INITRD_UNPACKED	4u

struct placement {
	uint64_t file_offset;
	uint64_t size;		/* bytes of the file */
	uint64_t gpa;
	uint64_t end;		/* end of what the kernel uses until it has read the E820 map */
};

static uint64_t align_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1);
}

static unsigned long long mib(uint64_t bytes)
{
	return (bytes + MIB - 1) / MIB;
}

/* MiB to advise for a kernel that ends at @end and a RAM disk that takes @initrd bytes. */
static unsigned long long advice(uint64_t end, uint64_t initrd)
{
	return mib(end + BOOT_SLACK + (1 + INITRD_UNPACKED) * initrd);
}

static int file_size(int fd, const char *name, uint64_t *size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_set(e, "%s can not be read: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, "%s is not a file: name a regular file", name);
	*size = (uint64_t)st.st_size;
	return 0;
}

static int file_read(int fd, const char *name, void *to, uint64_t len, uint64_t off,
		     struct err *e)
{
	if (pread_full(fd, to, len, (off_t)off) == 0)
		return 0;
	if (errno)
		return err_set(e, "%s can not be read: %s", name, strerror(errno));
	return err_set(e, "%s is cut short: copy or install it again", name);
}

/* Reads the setup header into @h, zero beyond what the image has. */
static int read_header(const struct linux_image *im, uint64_t size, struct setup_header *h,
		       struct err *e)
{
	uint8_t raw[HEADER_OFFSET + sizeof(*h)], magic[4];
	const char *name = im->kernel_name;
	size_t end;

	memset(h, 0, sizeof(*h));
	if (size < sizeof(magic))
		return err_set(e, "%s is not a Linux kernel: give -b a bzImage", name);
	if (file_read(im->kernel, name, magic, sizeof(magic), 0, e) != 0)
		return -1;
	if (memcmp(magic, "\177ELF", 4) == 0)
		return err_set(e, "%s is an ELF file, not a bzImage: give -b the compressed image "
			       "(vmlinuz)", name);
	if (size < sizeof(raw))
		return err_set(e, "%s is not a Linux kernel: give -b a bzImage", name);
	if (file_read(im->kernel, name, raw, sizeof(raw), 0, e) != 0)
		return -1;
	memcpy(h, raw + HEADER_OFFSET, sizeof(*h));
	if (h->boot_flag != BOOT_FLAG || h->header != HEADER_MAGIC)
		return err_set(e, "%s is not a Linux kernel: give -b a bzImage", name);
	if (h->version < PROTOCOL_MIN)
		return err_set(e, "%s speaks boot protocol %u.%02u, older than 2.12: use Linux 3.8 "
			       "or later", name, h->version >> 8, h->version & 0xffu);
	if (!(h->loadflags & LOADED_HIGH))
		return err_set(e, "%s is a zImage: give -b a bzImage", name);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return err_set(e, "%s is not a 64-bit kernel: give -b one built for x86-64", name);
	/* The header ends where the jump in front of it goes to. */
	end = 0x202u + (h->jump >> 8);
	if (end < HEADER_OFFSET + offsetof(struct setup_header, handover_offset))
		return err_set(e, "%s has a damaged setup header: copy or install it again", name);
	if (end < sizeof(raw))
		memset((uint8_t *)h + (end - HEADER_OFFSET), 0, sizeof(raw) - end);
	return 0;
}

/* Where the protected-mode kernel lies in the image; @size is the file's. */
static int find_kernel(const struct linux_image *im, uint64_t size, const struct setup_header *h,
		       struct placement *p, struct err *e)
{
	const char *name = im->kernel_name;
	uint64_t least;

	p->file_offset = ((h->setup_sects ? h->setup_sects : 4u) + 1u) * SECTOR;
	p->size = (uint64_t)h->syssize * PARAGRAPH;
	if (p->size <= ENTRY_64)
		return err_set(e, "%s has a damaged setup header: copy or install it again", name);
	/* syssize counts paragraphs: the file may end anywhere in the last one. */
	least = p->file_offset + p->size - (PARAGRAPH - 1);
	if (size < least)
		return err_set(e, "%s is cut short, %llu of %llu bytes: copy or install it again",
			       name, (unsigned long long)size, (unsigned long long)least);
	if (size - p->file_offset < p->size)
		p->size = size - p->file_offset;
	return 0;
}

/*
 * A relocatable kernel moves itself to
 * align_up(max(load address, pref_address), kernel_alignment), any other one
 * to pref_address, before it reads the E820 map (boot.rst, "init_size"). It is
 * loaded there, because below that address it needs no less memory.
 */
static int place_kernel(const struct linux_image *im, const struct setup_header *h,
			struct placement *p, struct err *e)
{
	const char *name = im->kernel_name;
	uint64_t align = h->kernel_alignment, need;

	p->gpa = h->pref_address;
	if (p->gpa < KERNEL_MIN_GPA || p->gpa >= VMM_PCI_MMIO_BAR_BASE || p->gpa % PAGE)
		return err_set(e, "%s wants to be loaded at 0x%llx, where no kernel goes: copy or "
			       "install it again", name, (unsigned long long)p->gpa);
	if (h->relocatable_kernel) {
		if (align < PAGE || (align & (align - 1)))
			return err_set(e, "%s wants an alignment of 0x%llx, which no kernel has: "
				       "copy or install it again", name,
				       (unsigned long long)align);
		p->gpa = align_up(p->gpa, align);
	}
	need = h->init_size > p->size ? h->init_size : p->size;
	p->end = align_up(p->gpa + need, PAGE);
	if (p->end > VMM_PCI_MMIO_BAR_BASE)
		return err_set(e, "%s needs %lluM at 0x%llx, more than a VM has below %lluM: use a "
			       "smaller kernel", name, mib(need), (unsigned long long)p->gpa,
			       mib(VMM_PCI_MMIO_BAR_BASE));
	return 0;
}

/* As high as the kernel can reach, so that it is out of the way. */
static int place_initrd(const struct ram *ram, const struct linux_image *im,
			const struct setup_header *h, const struct placement *kernel,
			struct placement *p, struct err *e)
{
	uint64_t limit = VMM_PCI_MMIO_BAR_BASE, room, top;

	if (im->initrd < 0)
		return 0;
	if (file_size(im->initrd, im->initrd_name, &p->size, e) != 0)
		return -1;
	if (p->size == 0)
		return err_set(e, "%s is empty: give -r an initial RAM disk, or leave -r out",
			       im->initrd_name);
	if (h->initrd_addr_max && (uint64_t)h->initrd_addr_max + 1 < limit)
		limit = (uint64_t)h->initrd_addr_max + 1;
	limit &= ~(uint64_t)(PAGE - 1);
	if (limit < kernel->end || p->size > limit - kernel->end)
		return err_set(e, "%s (%lluM) is too big for this kernel: make it smaller",
			       im->initrd_name, mib(p->size));
	room = align_up(p->size, PAGE);
	if (kernel->end + room > ram->low)
		return err_set(e, "%s (%lluM) does not fit beside the kernel: give -m %lluM or "
			       "more", im->initrd_name, mib(p->size),
			       advice(kernel->end, room));
	top = ram->low < limit ? ram->low : limit;
	p->gpa = top - room;
	return 0;
}

static int load_initrd(const struct ram *ram, const struct linux_image *im,
		       const struct placement *p, struct setup_header *h, struct err *e)
{
	h->ramdisk_image = (uint32_t)p->gpa;
	h->ramdisk_size = (uint32_t)p->size;
	if (p->size == 0)
		return 0;
	return file_read(im->initrd, im->initrd_name, ram_at(ram, p->gpa, p->size), p->size, 0, e);
}

static int load_cmdline(const struct ram *ram, const struct linux_image *im,
			struct setup_header *h, struct err *e)
{
	size_t len = strlen(im->cmdline);
	size_t max = h->cmdline_size < CMDLINE_MAX ? h->cmdline_size : CMDLINE_MAX - 1;

	if (len > max)
		return err_set(e, "the kernel's command line has %zu characters, %zu at most: give "
			       "-a a shorter one", len, max);
	memcpy(ram_at(ram, CMDLINE_GPA, len + 1), im->cmdline, len + 1);
	h->cmd_line_ptr = CMDLINE_GPA;
	return 0;
}

/* The fields that a loader has to write, whatever the image has in them. */
static void finish_header(struct setup_header *h, const struct placement *kernel)
{
	h->vid_mode = VIDEO_NORMAL;
	h->type_of_loader = LOADER_OTHER;
	h->code32_start = (uint32_t)kernel->gpa;
	h->hardware_subarch = 0;	/* a PC */
	h->hardware_subarch_data = 0;
	h->setup_data = 0;
}

static void e820_add(struct boot_params *bp, uint64_t start, uint64_t end, uint32_t type)
{
	struct boot_e820_entry *entry = &bp->e820_table[bp->e820_entries];

	if (end <= start)
		return;
	entry->addr = start;
	entry->size = end - start;
	entry->type = type;
	bp->e820_entries++;
}

/* GDT and identity map of the first 4 GiB (SDM 3A 4.5: 4-level paging, 2 MiB pages). */
static void build_tables(const struct ram *ram)
{
	uint64_t *gdt = ram_at(ram, GDT_GPA, PAGE), *pml4 = ram_at(ram, PML4_GPA, PAGE);
	uint64_t *pdpt = ram_at(ram, PDPT_GPA, PAGE), *pd = ram_at(ram, PD_GPA, 4 * PAGE);
	uint64_t i;

	gdt[2] = 0x00af9b000000ffff;	/* __BOOT_CS, 0x10: 64-bit code */
	gdt[3] = 0x00cf93000000ffff;	/* __BOOT_DS, 0x18: data */
	pml4[0] = PDPT_GPA | PTE_P | PTE_W;
	for (i = 0; i < 4; i++)
		pdpt[i] = (PD_GPA + i * PAGE) | PTE_P | PTE_W;
	for (i = 0; i < 2048; i++)
		pd[i] = i * BIG_PAGE | PTE_P | PTE_W | PTE_PS;
}

int linux_load(const struct ram *ram, const struct linux_image *im, struct linux_entry *entry,
	       struct err *e)
{
	struct placement kernel = { 0 }, initrd = { 0 };
	struct setup_header h;
	struct boot_params *bp;
	uint64_t size;

	if (file_size(im->kernel, im->kernel_name, &size, e) != 0 ||
	    read_header(im, size, &h, e) != 0 ||
	    find_kernel(im, size, &h, &kernel, e) != 0 ||
	    place_kernel(im, &h, &kernel, e) != 0 ||
	    place_initrd(ram, im, &h, &kernel, &initrd, e) != 0)
		return -1;
	if (kernel.end > ram->low)
		return err_set(e, "the guest has too little memory for %s: give -m %lluM or more",
			       im->kernel_name, advice(kernel.end, 0));
	if (file_read(im->kernel, im->kernel_name, ram_at(ram, kernel.gpa, kernel.size),
		      kernel.size, kernel.file_offset, e) != 0 ||
	    load_initrd(ram, im, &initrd, &h, e) != 0 ||
	    load_cmdline(ram, im, &h, e) != 0)
		return -1;

	build_tables(ram);
	bp = ram_at(ram, ZERO_PAGE_GPA, sizeof(*bp));
	memset(bp, 0, sizeof(*bp));
	finish_header(&h, &kernel);
	bp->hdr = h;
	e820_add(bp, 0, EBDA_GPA, E820_RAM_TYPE);
	e820_add(bp, EBDA_GPA, 640 * KIB, E820_RESERVED);
	e820_add(bp, BIOS_GPA, MIB, E820_RESERVED);
	e820_add(bp, MIB, ram->low, E820_RAM_TYPE);
	e820_add(bp, RAM_HIGH_BASE, RAM_HIGH_BASE + ram->high, E820_RAM_TYPE);

	entry->rip = kernel.gpa + ENTRY_64;
	entry->boot_params = ZERO_PAGE_GPA;
	entry->page_table = PML4_GPA;
	entry->gdt = GDT_GPA;
	entry->gdt_limit = 4 * 8 - 1;
	return 0;
}

static struct vcpu_segment_info segment(uint16_t sel, uint32_t limit, uint32_t ar)
{
	struct vcpu_segment_info s = { .vsi_sel = sel, .vsi_limit = limit, .vsi_ar = ar };

	return s;
}

#define CR0_PE_ET_PG	0x80000011u
#define CR4_PAE		0x20u
#define EFER_LME_LMA	0x500u
#define RFLAGS_FIXED	0x2u
#define XCR0_X87	0x1u
#define DR6_RESET	0xffff0ff0u
#define DR7_RESET	0x400u
/* Access rights (SDM 3C 24.4.1): type, S, P, and L or D/B with G. */
#define AR_CODE64	0xa09bu
#define AR_DATA		0xc093u
#define AR_LDT		0x0082u
#define AR_TSS_BUSY	0x008bu

void linux_registers(const struct linux_entry *entry, struct vcpu_reg_state *regs)
{
	static const int data[] = { VCPU_REGS_DS, VCPU_REGS_ES, VCPU_REGS_FS, VCPU_REGS_GS,
				    VCPU_REGS_SS };
	size_t i;

	memset(regs, 0, sizeof(*regs));
	regs->vrs_gprs[VCPU_REGS_RIP] = entry->rip;
	regs->vrs_gprs[VCPU_REGS_RSI] = entry->boot_params;
	regs->vrs_gprs[VCPU_REGS_RFLAGS] = RFLAGS_FIXED;
	regs->vrs_crs[VCPU_REGS_CR0] = CR0_PE_ET_PG;
	regs->vrs_crs[VCPU_REGS_CR3] = entry->page_table;
	regs->vrs_crs[VCPU_REGS_CR4] = CR4_PAE;
	regs->vrs_crs[VCPU_REGS_XCR0] = XCR0_X87;
	regs->vrs_msrs[VCPU_REGS_EFER] = EFER_LME_LMA;
	regs->vrs_drs[VCPU_REGS_DR6] = DR6_RESET;
	regs->vrs_drs[VCPU_REGS_DR7] = DR7_RESET;
	regs->vrs_sregs[VCPU_REGS_CS] = segment(0x10, UINT32_MAX, AR_CODE64);
	for (i = 0; i < ARRAY_SIZE(data); i++)
		regs->vrs_sregs[data[i]] = segment(0x18, UINT32_MAX, AR_DATA);
	regs->vrs_sregs[VCPU_REGS_LDTR] = segment(0, UINT16_MAX, AR_LDT);
	regs->vrs_sregs[VCPU_REGS_TR] = segment(0, UINT16_MAX, AR_TSS_BUSY);
	regs->vrs_gdtr.vsi_base = entry->gdt;
	regs->vrs_gdtr.vsi_limit = entry->gdt_limit;
}
