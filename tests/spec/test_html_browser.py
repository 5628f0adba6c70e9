# SPDX-License-Identifier: ISC
"""The HTML reference in a browser, headless: it fits a phone, and its search finds things."""

from __future__ import annotations

import functools
import html
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

from tests.spec.html_site import documents, site

LIMIT = 120  # seconds, for a browser that hangs; it takes eight on an idle computer
WIDTHS = (360, 768, 1000, 1100, 1280)  # a phone first

# A question, and where its first answer leads.
FIRST = {
    "exit 48": "exits.html#vmx-exit-48",
    "exit 0x30": "exits.html#vmx-exit-48",
    "exit 0x7b": "exits.html#svm-exit-0x7b",
    "ept violation": "exits.html#vmx-exit-48",
    "SVM_VMEXIT_IOIO": "exits.html#exit-io",
    "hlt": "exits.html#exit-hlt",
    "vmcs 0x4002": "vmcs.html#vmcs-proc_controls",
    "vmcs 0x2001": "vmcs.html#vmcs-io_bitmap_a",
    "vmcb 0x70": "vmcb.html#vmcb-exitcode",
    "msr 0x1d9": "msrs.html#msr-debugctl",
    "msr 0xC0000080": "msrs.html#msr-efer",
    "cpuid 7.0.ebx.5": "cpuid.html#cpuid-avx2",
    "cpuid 0x7.0.ebx.5": "cpuid.html#cpuid-avx2",
    "cr4.smep": "arch.html#bit-cr4-20",
    "asid_not_zero": "entry_checks.html#check-svm-asid_not_zero",
    "#GP": "arch.html#exception-GP",
    "struct vm_exit": "ioctls.html#struct-vm_exit",
    "VMM_IOC_RUN": "ioctls.html#ioctl-VMM_IOC_RUN",
    "vrp_continue": "ioctls.html#member-vm_run_params-vrp_continue",
    "APM 2 15.9": "manuals.html#source-APM-2-15.9",
}
NOTHING = "no such thing anywhere"

# Runs in the browser: each page in a frame of each width, then each question; then types one.
HARNESS = """<!DOCTYPE html>
<title>harness</title>
<pre id="report"></pre>
<script>
const {pages, widths, questions} = JOB;
const frame = document.body.appendChild(document.createElement("iframe"));
const inside = () => frame.contentDocument;
const load = (address) => new Promise((done) => { frame.onload = done; frame.src = address; });
const answer = () => ({
	hidden: inside().getElementById("results").hidden,
	title: inside().getElementById("found").textContent,
	hits: [...inside().querySelectorAll("#hits a")].map((a) => a.getAttribute("href")),
});

async function run() {
	const report = {widths: {}, answers: {}};
	for (const page of pages) {
		await load(page);
		report.widths[page] = widths.map((width) => {
			frame.style.width = width + "px";
			return inside().documentElement.scrollWidth;
		});
	}
	for (const question of questions) {
		await load("index.html?q=" + encodeURIComponent(question));
		report.answers[question] = answer();
	}
	await load("index.html");
	report.start = answer();
	const box = inside().getElementById("q");
	inside().body.dispatchEvent(new KeyboardEvent("keydown", {key: "/", bubbles: true}));
	report.focused = inside().activeElement === box;
	box.value = "exit 48";
	box.dispatchEvent(new Event("input"));
	report.typed = answer();
	return report;
}

frame.style.border = "none";
run().catch((error) => ({error: String(error)})).then((report) => {
	document.getElementById("report").textContent = JSON.stringify(report);
	frame.remove();
});
</script>
"""


def browser(directory: Path, page: str) -> str:
    """The page as it is when its scripts are done; root and a container will do."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu",
               "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run",
               "--disable-background-networking", "--disable-component-update",
               "--allow-file-access-from-files", f"--user-data-dir={directory}/profile",
               "--virtual-time-budget=60000", "--dump-dom", (directory / page).as_uri()]
    environment = {**os.environ, "HOME": str(directory), "XDG_CONFIG_HOME": str(directory),
                   "XDG_CACHE_HOME": str(directory)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True,
                            timeout=LIMIT, check=True)
    return result.stdout


@functools.cache
def report() -> Any:
    """What the harness saw; one browser for all tests."""
    job = {"pages": list(documents()), "widths": WIDTHS, "questions": [*FIRST, NOTHING]}
    with tempfile.TemporaryDirectory(prefix="vmm-browser-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        shutil.copytree(site(), directory, dirs_exist_ok=True)
        (directory / "harness.html").write_text(HARNESS.replace("JOB", json.dumps(job)),
                                                encoding="utf-8")
        text = browser(directory, "harness.html")
    found = re.search(r'<pre id="report">(.*?)</pre>', text, re.DOTALL)
    assert found is not None and found[1], text[:2000]
    return json.loads(html.unescape(found[1]))


class Browser(unittest.TestCase):
    maxDiff = None

    def test_the_harness_ran(self) -> None:
        self.assertNotIn("error", report())

    def test_no_page_is_wider_than_its_window(self) -> None:
        wide = {f"{page} at {width}: {real}" for page, reals in report()["widths"].items()
                for width, real in zip(WIDTHS, reals) if real > width}
        self.assertEqual(sorted(wide), [])
        self.assertEqual(len(report()["widths"]), len(documents()))

    def test_the_first_answer(self) -> None:
        for question, address in FIRST.items():
            self.assertEqual(report()["answers"][question]["hits"][:1], [address], question)

    def test_no_answer(self) -> None:
        answer = report()["answers"][NOTHING]
        self.assertEqual(answer["hits"], [])
        self.assertIn("0 rows", answer["title"])
        self.assertFalse(answer["hidden"])

    def test_no_question(self) -> None:
        self.assertTrue(report()["start"]["hidden"])
        self.assertEqual(report()["start"]["hits"], [])

    def test_answers_come_while_one_types(self) -> None:
        self.assertEqual(report()["typed"], report()["answers"]["exit 48"])

    def test_the_key_of_the_search_box(self) -> None:
        self.assertTrue(report()["focused"])


if __name__ == "__main__":
    unittest.main()
