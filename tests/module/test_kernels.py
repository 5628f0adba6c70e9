# SPDX-License-Identifier: ISC
"""The world switches with the headers of other kernels: which CPU features they obey.

No such kernel is needed. The headers are made up, and have of each kernel what
decides: which features it knows and which macros.
"""

from __future__ import annotations

import subprocess
import tempfile
import unittest
from pathlib import Path

from tests.module.elf import Object

ROOT = Path(__file__).parent.parent.parent
SWITCHES = ("svm_enter", "vmx_enter")

# What each kernel knows more than the one before.
KERNELS = {
    "6.1": ["X86_FEATURE_RETPOLINE", "X86_FEATURE_RSB_VMEXIT", "X86_FEATURE_RSB_VMEXIT_LITE",
            "X86_FEATURE_KERNEL_IBRS", "X86_FEATURE_UNRET", "X86_FEATURE_ENTRY_IBPB",
            "X86_BUG_MDS", "X86_BUG_TAA"],
    "6.8": ["X86_FEATURE_CLEAR_CPU_BUF", "X86_FEATURE_IBPB_ON_VMEXIT", "X86_BUG_DIV0"],
    "6.9": ["X86_FEATURE_CLEAR_BHB_LOOP"],
    "6.16": ["X86_FEATURE_CLEAR_CPU_BUF_VM", "X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT"],
}
ALWAYS = {"X86_FEATURE_RETPOLINE", "X86_FEATURE_RSB_VMEXIT", "X86_FEATURE_RSB_VMEXIT_LITE",
          "X86_FEATURE_UNRET"}
VMX_ALWAYS = ALWAYS | {"X86_FEATURE_KERNEL_IBRS"}
SINCE_6_8 = {"X86_FEATURE_IBPB_ON_VMEXIT"}
# What the two switches obey.
WANTED = {
    "6.1": (ALWAYS | {"X86_FEATURE_ENTRY_IBPB"},
            VMX_ALWAYS | {"X86_FEATURE_ENTRY_IBPB", "X86_BUG_MDS", "X86_BUG_TAA"}),
    "6.8": (ALWAYS | SINCE_6_8 | {"X86_BUG_DIV0"},
            VMX_ALWAYS | SINCE_6_8 | {"X86_FEATURE_CLEAR_CPU_BUF"}),
    "6.9": (ALWAYS | SINCE_6_8 | {"X86_BUG_DIV0"},
            VMX_ALWAYS | SINCE_6_8 | {"X86_FEATURE_CLEAR_CPU_BUF", "X86_FEATURE_CLEAR_BHB_LOOP"}),
    "6.16": (ALWAYS | SINCE_6_8 | {"X86_BUG_DIV0", "X86_FEATURE_CLEAR_CPU_BUF_VM"},
             VMX_ALWAYS | SINCE_6_8 | {"X86_FEATURE_CLEAR_CPU_BUF", "X86_FEATURE_CLEAR_CPU_BUF_VM",
                                       "X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT"}),
}
# Debian 12's kernel: features of 6.16, macros of 6.1.
WANTED["6.1.192"] = (WANTED["6.16"][0] | {"X86_FEATURE_ENTRY_IBPB"},
                     WANTED["6.16"][1] | {"X86_FEATURE_ENTRY_IBPB"})
MACROS_OF_6_1 = ("6.1", "6.1.192")

HEADERS = {
    "linux/version.h": "#define KERNEL_VERSION(a, b, c) 1\n#define LINUX_VERSION_CODE 1\n",
    "linux/linkage.h": """
#define SYM_L_GLOBAL
#define SYM_FUNC_START(name) .globl name; .type name, @function; name:
#define SYM_FUNC_END(name) .size name, . - name
#define SYM_INNER_LABEL(name, l) name:
#define RET ret
""",
    "asm/asm.h": "",
    "asm/ibt.h": "#define ENDBR\n",
    "asm/msr-index.h": "#define MSR_IA32_SPEC_CTRL 0x48\n",
    "asm/percpu.h": "#define PER_CPU_VAR(name) %gs:name\n",
    "asm/segment.h": "#define __KERNEL_DS 0x18\n",
    "asm/unwind_hints.h": "#define UNWIND_HINT_SAVE\n#define UNWIND_HINT_RESTORE\n",
    # Only what is patched, and where: code that replaces other code is left out.
    "asm/alternative.h": """
#pragma once
#define __stringify_1(x...) #x
#define __stringify(x...) __stringify_1(x)
.macro ALTERNATIVE old, new, feature
661:	\\old
	.pushsection .altinstructions, "a"
	.long 661b - ., 0
	.word \\feature
	.popsection
.endm
.macro ALTERNATIVE_2 old, new1, feature1, new2, feature2
	ALTERNATIVE "\\old", "\\new1", "\\feature1"
	ALTERNATIVE "", "\\new2", "\\feature2"
.endm
""",
    "asm/nospec-branch.h": """
#pragma once
#include <asm/alternative.h>
#define RSB_CLEAR_LOOPS 32
#define __FILL_RETURN_BUFFER(reg, n) nop
#define __FILL_ONE_RETURN nop
#define CLEAR_CPU_BUFFERS ALTERNATIVE "", "", X86_FEATURE_CLEAR_CPU_BUF
#define VM_CLEAR_CPU_BUFFERS ALTERNATIVE "", "", X86_FEATURE_CLEAR_CPU_BUF_VM
.macro CLEAR_BRANCH_HISTORY
	ALTERNATIVE "", "", X86_FEATURE_CLEAR_BHB_LOOP
.endm
.macro CLEAR_BRANCH_HISTORY_VMEXIT
	ALTERNATIVE "", "", X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
.endm
""",
}
UNTRAIN_OLD = """
.macro UNTRAIN_RET
	ALTERNATIVE_2 "", "", X86_FEATURE_UNRET, "", X86_FEATURE_ENTRY_IBPB
.endm
"""
UNTRAIN_NEW = """
.macro __UNTRAIN_RET feature
	ALTERNATIVE_2 "", "", X86_FEATURE_UNRET, "", \\feature
.endm
#define UNTRAIN_RET __UNTRAIN_RET X86_FEATURE_ENTRY_IBPB
#define UNTRAIN_RET_VM __UNTRAIN_RET X86_FEATURE_IBPB_ON_VMEXIT
"""


def known(kernel: str) -> list[str]:
    """The features that a kernel knows; the place of each is its number."""
    features: list[str] = []
    for name, more in KERNELS.items():
        features += more
        if name == kernel:
            break
    return features


def obeyed(kernel: str, switch: str, directory: Path) -> set[str]:
    """Assemble a world switch with the headers of that kernel."""
    features = known(kernel)
    old = kernel in MACROS_OF_6_1 or "X86_FEATURE_IBPB_ON_VMEXIT" not in features
    headers = dict(HEADERS)
    headers["asm/cpufeatures.h"] = "".join(
        f"#define {name} ( 1*32 + {number})\n" for number, name in enumerate(features))
    headers["asm/nospec-branch.h"] += UNTRAIN_OLD if old else UNTRAIN_NEW
    for name, text in headers.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    out = directory / f"{switch}.o"
    done = subprocess.run(
        ["gcc", "-c", "-D__ASSEMBLY__", "-nostdinc", "-I", str(directory),
         "-I", str(ROOT / "src/linux"), "-I", str(ROOT / "build/gen"), "-o", str(out),
         str(ROOT / f"src/{switch[:3]}/{switch}.S")], text=True, capture_output=True,
        check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    data = Object(out).section(".altinstructions").data
    return {features[int.from_bytes(data[at + 8:at + 10], "little") - 32]
            for at in range(0, len(data), 10)}


class Kernels(unittest.TestCase):
    def test_each_feature_is_obeyed(self) -> None:
        for kernel, wanted in WANTED.items():
            for switch, features in zip(SWITCHES, wanted, strict=True):
                with self.subTest(kernel=kernel, switch=switch), \
                        tempfile.TemporaryDirectory() as scratch:
                    self.assertEqual(obeyed(kernel, switch, Path(scratch)), features)


if __name__ == "__main__":
    unittest.main()
