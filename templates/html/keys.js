// SPDX-License-Identifier: ISC
// The key / goes to the search box.
"use strict";

document.addEventListener("keydown", (event) => {
	const typing = event.target instanceof HTMLInputElement;
	if (event.key === "/" && !typing && !event.ctrlKey && !event.altKey && !event.metaKey) {
		event.preventDefault();
		document.getElementById("q").select();
	}
});
