// SPDX-License-Identifier: ISC
// The search box of the index page: rows of SEARCH_INDEX that have every word of the question.
"use strict";

const MOST = 60;

/* How well a word fits an entry; 0: not at all. */
function fit(word, entry) {
	const {name, parts, words, kind, text} = entry;
	if (name === word || words.includes(word))
		return 100;
	if (parts.includes(word))
		return 60;
	if (kind.includes(word))
		return 40;
	if (name.startsWith(word))
		return 30;
	if (words.some((other) => other.startsWith(word)))
		return 20;
	if (name.includes(word))
		return 15;
	if (words.some((other) => other.includes(word)))
		return 8;
	return text.includes(word) ? 2 : 0;
}

function prepare([name, kind, href, words, text]) {
	return {
		shown: {name, kind, href, text},
		name: name.toLowerCase(),
		parts: name.toLowerCase().split(/[\s_.]+/),
		kind: kind.toLowerCase().split(/[\s()]+/),
		words: words.toLowerCase().split(" ").concat(name.toLowerCase().split(/\s+/)),
		text: text.toLowerCase(),
	};
}

function search(entries, question) {
	const words = question.toLowerCase().split(/\s+/).filter(Boolean);
	const found = [];
	for (const entry of words.length > 0 ? entries : []) {
		const fits = words.map((word) => fit(word, entry));
		if (fits.every(Boolean))
			found.push({entry, score: fits.reduce((sum, value) => sum + value)});
	}
	return found.sort((a, b) => b.score - a.score).map(({entry}) => entry.shown);
}

function item({name, kind, href, text}) {
	const li = document.createElement("li");
	const a = li.appendChild(document.createElement("a"));
	a.href = href;
	a.appendChild(document.createElement("code")).textContent = name;
	const span = li.appendChild(document.createElement("span"));
	span.className = "kind";
	span.textContent = " " + kind;
	if (text)
		li.appendChild(document.createElement("p")).textContent = text;
	return li;
}

function show(entries, question) {
	const hits = search(entries, question);
	const what = hits.length === 1 ? "1 row" : `${hits.length} rows`;
	const shown = hits.length > MOST ? `, the first ${MOST} of them` : "";
	document.getElementById("results").hidden = question.trim() === "";
	document.getElementById("found").textContent = `${what} for “${question.trim()}”${shown}`;
	document.getElementById("hits").replaceChildren(...hits.slice(0, MOST).map(item));
}

const box = document.getElementById("q");
const entries = SEARCH_INDEX.map(prepare);
box.value = new URLSearchParams(location.search).get("q") || "";
box.addEventListener("input", () => show(entries, box.value));
show(entries, box.value);
