// SPDX-License-Identifier: ISC
// What every page does: the key / goes to the search box, and on paper nothing is folded.
"use strict";

document.addEventListener("keydown", (event) => {
	const typing = event.target instanceof HTMLInputElement;
	if (event.key === "/" && !typing && !event.ctrlKey && !event.altKey && !event.metaKey) {
		event.preventDefault();
		document.getElementById("q").select();
	}
});

addEventListener("beforeprint", () => {
	for (const folded of document.querySelectorAll("details"))
		folded.open = true;
});
