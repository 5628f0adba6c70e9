/* SPDX-License-Identifier: ISC */
/* fault.h - faults of the host's own, on a kernel with CONFIG_FAULT_INJECTION. */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include <stdbool.h>

/* From now on, whatever may fail does when asked to, and says nothing about it. */
void	faults_of_all_kinds(void);
/* The nth allocation or copy that this thread asks the kernel for fails; 0: none. */
void	fault_set(unsigned int nth);
/* Was the fault used? What is left of it is taken away. */
bool	fault_hit(void);

#endif /* TEST_FAULT_H */
