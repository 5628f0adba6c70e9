/* SPDX-License-Identifier: ISC */
/*
 * oracle_arch_state.c - page-table entries and XSAVE components by the kernel's
 * headers. Sees no header of ours.
 */
#include <stdbool.h>
#include <stddef.h>

#include "oracle_arch.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#define __packed		__attribute__((__packed__))
#define __aligned(n)		__attribute__((__aligned__(n)))
#define PAGE_SIZE		4096
#include <../../x86/include/asm/fpu/types.h>

/* Only the numbers of the bits. */
#define __ASSEMBLY__
#define __MEM_ENCRYPT_H__
#define _ASM_X86_PAGE_DEFS_H
#include <../../x86/include/asm/pgtable_types.h>

#define PTE(name, bit)	{ "PTE_" #name, 1ULL << _PAGE_BIT_##bit }
#define XCR(name, bit)	{ "XCR0_" #name, 1ULL << XFEATURE_##bit }

const struct oracle_number oracle_arch_state[] = {
	PTE(P, PRESENT), PTE(W, RW), PTE(U, USER), PTE(PWT, PWT),
	PTE(PCD, PCD), PTE(A, ACCESSED), PTE(D, DIRTY), PTE(PS, PSE),
	PTE(G, GLOBAL), PTE(NX, NX),
	{ "PTE_PKEY_SHIFT", _PAGE_BIT_PKEY_BIT0 },
	XCR(X87, FP), XCR(SSE, SSE), XCR(AVX, YMM), XCR(BNDREGS, BNDREGS),
	XCR(BNDCSR, BNDCSR), XCR(OPMASK, OPMASK), XCR(ZMM_HI256, ZMM_Hi256),
	XCR(HI16_ZMM, Hi16_ZMM), XCR(PKRU, PKRU), XCR(XTILECFG, XTILE_CFG),
	XCR(XTILEDATA, XTILE_DATA),
	{ NULL, 0 },
};
