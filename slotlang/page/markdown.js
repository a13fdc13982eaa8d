"use strict";
// What the engine says of a word, in the little Markdown that it writes: code, tables, paragraphs. Texts stay texts.

function inline(text) {
  return text.split(/(`[^`]*`|\*\*[^*]+\*\*)/).filter(Boolean).map((part) =>
    part.startsWith("`") && part.length > 1 ? make("code", {}, part.slice(1, -1)) : part.startsWith("**") ? make("b", {}, part.slice(2, -2)) : part);
}

function markdown(text) {
  const root = make("div", { class: "said" });
  for (const block of text.split(/(```[\s\S]*?```)/)) {
    if (block.startsWith("```")) { root.append(make("pre", {}, block.replace(/^```\w*\n?/, "").replace(/\n?```$/, ""))); continue; }
    for (const part of block.split(/\n{2,}/).map((p) => p.trim()).filter(Boolean)) {
      if (!part.startsWith("|")) { root.append(make("p", {}, ...inline(part))); continue; }
      const rows = part.split("\n").map((row) => row.replace(/^\|\s*|\s*\|$/g, "").split(/\s*(?<!\\)\|\s*/).map((c) => c.replace(/\\\|/g, "|")));
      const body = make("tbody", {}, ...rows.slice(2).map((row) => make("tr", {}, ...row.map((c) => make("td", {}, ...inline(c))))));
      root.append(make("table", {}, make("thead", {}, make("tr", {}, ...rows[0].map((c) => make("th", { scope: "col" }, ...inline(c))))), body));
    }
  }
  return root;
}
