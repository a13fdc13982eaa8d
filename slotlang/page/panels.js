"use strict";
// What stands beside the slots: text, origin, dataflow, proof, cost. Texts are set as text, never as HTML.

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== null));
  return node;
}

function clear(node, ...children) { node.replaceChildren(...children.filter((c) => c !== null)); return node; }
// Options of a list. It is filled anew only where they are others: one that is open stays as it is.
function fill(list, options, chosen) {
  const key = JSON.stringify(options);
  if (list.dataset.options !== key) {
    list.dataset.options = key;
    clear(list);
    for (const [value, text, group] of options) {
      if (group && (!list.lastChild || list.lastChild.label !== group)) list.append(make("optgroup", { label: group }));
      (group ? list.lastChild : list).append(make("option", { value }, text));
    }
  }
  if (list.value !== String(chosen)) list.value = chosen;
}

function byId(id) { return document.getElementById(id); }
function plural(n, noun) { return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`; }

function showText(data, choose) {
  const holders = new Map(), bad = new Set(data.marks.filter((m) => m.weight === "error").map((m) => m.line));
  const root = clear(byId("text"));
  for (const [text, kind, number] of data.pieces) {
    const s = data.statements[number], usable = s && (s.stage !== null || s.says);
    let place = root;
    if (s) {
      if (!holders.has(number) || holders.get(number) !== root.lastChild) {
        const node = make("span", { "data-statement": number, class: bad.has(s.first) ? "bad" : null });
        if (usable) {
          Object.assign(node, { tabIndex: 0 });
          node.setAttribute("role", "button");
          node.addEventListener("click", () => choose(number));
          node.addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(number); } });
        }
        holders.set(number, node); root.append(node);
      }
      place = holders.get(number);
    }
    place.append(kind ? make("span", { class: kind }, text) : text);
  }
}

function markStatements(data, program, stage, about = null) {
  for (const node of document.querySelectorAll("#text [data-statement]")) {
    const s = data.statements[node.dataset.statement], on = (s.program === program && s.stage === stage && stage !== null) || Number(node.dataset.statement) === about;
    node.classList.toggle("chosen", on);
    if (node.getAttribute("role")) node.setAttribute("aria-pressed", on);
  }
}

function showProof(program, goTo) {
  const v = program.verdict, root = clear(byId("proof"));
  if (!v) { root.append("not proved yet"); return; }
  root.append(make("p", {}, make("b", { class: v.status }, v.sentence), ` by the method ${v.method}${v.reason ? `: ${v.reason}` : ""}`));
  const body = make("tbody");
  for (const g of v.goals) {
    body.append(make("tr", {}, make("td", { class: "number" }, String(g.line)), make("td", {}, make("code", {}, g.what)), make("td", { class: g.status }, g.status)));
  }
  root.append(table("Goals", ["line", "goal", "verdict"], body, [0]));
  for (const [name, [shape, text]] of Object.entries(program.results)) {
    root.append(make("p", { class: "hint" }, "To prove: ", make("code", {}, `${name} == ${text}`), `, where ${name} ${shape.length ? `has ${plural(shape.reduce((a, b) => a * b), "element")}${shape.length > 1 ? ` (${shape.join(" × ")})` : ""}` : "is one number"}.`));
  }
  const r = program.refutation;
  if (!r) return;
  root.append(make("p", { class: "refuted" }, r.sentence || r.lines[0] || ""));
  root.append(make("ul", {}, ...r.lines.map((line) => make("li", {}, line))));
  if (r.value !== null && r.slot !== null) {
    root.append(make("p", {}, make("button", { type: "button", id: "wrong", onclick: () => goTo(r.value, r.slot) }, `Show slot ${r.slot} of ${r.value}`)));
    const around = make("tbody");
    for (const n of r.around) {
      around.append(make("tr", { class: n.slot === r.slot ? "chosen" : null }, make("th", { scope: "row", class: "number" }, String(n.slot)), make("td", {}, n.holds), make("td", {}, n.should_hold ?? "not spoken of"), make("td", { class: n.wrong ? "refuted" : null }, n.wrong === null ? "not known" : n.wrong ? "wrong" : "right")));
    }
    root.append(table("Slots around the wrong one", ["slot", "holds", "should hold", ""], around, [0]));
  }
  if (r.origin.length) root.append(make("p", {}, "Where it came from:"), make("ol", {}, ...r.origin.map((line) => make("li", {}, make("code", {}, line)))));
}

function table(caption, heads, body, numbers = []) {
  const row = make("tr", {}, ...heads.map((h, n) => make("th", { scope: "col", class: numbers.includes(n) ? "number" : null }, h)));
  return make("table", {}, make("caption", {}, caption), make("thead", {}, row), body);
}

function showCost(program) {
  const root = clear(byId("cost")), c = program.cost;
  if (!c) { root.append("not counted yet"); return; }
  if (c.problem) { root.append(c.problem); return; }
  root.append(make("p", { class: "hint" }, `degree ${c.parameters}, primes of ${c.primes.join(", ")} bits; ${c.range}`));
  const rows = make("tbody");
  for (const [number, noun] of c.rows) rows.append(make("tr", {}, make("td", { class: "number" }, number), make("td", {}, noun)));
  root.append(table("What one evaluation takes", ["number", "of"], rows, [0]));
  if (!c.bounds.length) { root.append(make("p", { class: "hint" }, "no bound is known: the layout is too large, or no theorem speaks of it")); return; }
  const bounds = make("tbody");
  for (const b of c.bounds) bounds.append(make("tr", {}, make("td", { class: "number" }, String(b.at_least)), make("td", {}, b.of), make("td", { class: "number" }, String(b.gap)), make("td", {}, `${b.theorem}: ${b.among}`)));
  root.append(table("Bounds and gaps", ["at least", "of", "gap", "by"], bounds, [0, 2]));
}

function showStages(program, chosen, choose) {
  const body = make("tbody");
  for (const s of program.stages) {
    const c = s.cost || {}, cell = (v) => make("td", { class: "number" }, v === undefined ? "–" : v.toLocaleString("en"));
    const name = make("button", { type: "button", onclick: () => choose(s.name) }, s.name);
    body.append(make("tr", { class: s.name === chosen ? "chosen" : null }, make("th", { scope: "row" }, name), make("td", {}, s.kind), cell(s.members), cell(c.rotations), cell(c.plain_products), cell(c.cipher_products), cell(c.additions), make("td", { class: "number" }, c.level ?? "–"), make("td", { class: "number" }, c.scale === undefined ? "–" : `2^${Math.round(c.scale)}`)));
  }
  const heads = ["stage", "kind", "members", "rotations", "plain products", "cipher products", "additions", "level", "scale"];
  const made = table("Costs, levels and scales by stage", heads, body, [2, 3, 4, 5, 6, 7, 8]);
  made.id = "stages";
  byId("stages").replaceWith(made);
  showFlow(program, chosen, choose);
}

// The three lines of a stage's box.
function boxTexts(s) {
  const c = s.cost, products = c ? c.plain_products + c.cipher_products : 0;
  const counts = c ? [c.rotations && plural(c.rotations, "rotation"), products && plural(products, "product")].filter(Boolean).join(", ") : "";
  return [`${s.name}${s.members > 1 ? ` × ${s.members}` : ""}`, counts || s.kind, c ? `level ${c.level}, 2^${Math.round(c.scale)}` : ""];
}

function boxWidth(s) {
  const [name, ...small] = boxTexts(s);
  return 14 + Math.ceil(Math.max(textWidth(name, "13px system-ui, sans-serif"), ...small.map((t) => textWidth(t, "11px system-ui, sans-serif"))));
}

function showFlow(program, chosen, choose) {
  const NS = byId("drawing").namespaceURI, H = 46, GY = 14, root = clear(byId("flow"));
  if (program.stages.length > 160) { root.append(`${program.stages.length} stages are too many to draw: the table has them`); return; }
  const el = (tag, at, ...children) => { const n = document.createElementNS(NS, tag); for (const [k, v] of Object.entries(at)) n.setAttribute(k, v); n.append(...children); return n; };
  const columns = [], places = new Map();
  for (const s of program.stages) (columns[s.rank] ??= []).push(s);
  // a column is as wide as what its boxes say, and the gaps are narrower where that makes all of it fit
  const widths = columns.map((list) => Math.max(80, ...list.map(boxWidth))), boxes = widths.reduce((a, b) => a + b, 0);
  const GX = 20 + boxes + 42 * (columns.length - 1) > root.clientWidth ? 16 : 42;
  let left = 10;
  columns.forEach((list, rank) => {
    list.forEach((s, n) => places.set(s.name, [left, 10 + n * (H + GY), widths[rank]]));
    left += widths[rank] + GX;
  });
  const width = left - GX + 10, height = 20 + Math.max(...columns.map((c) => c.length)) * (H + GY) - GY;
  const svg = el("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "dataflow by stages" });
  for (const [a, b, moved] of program.edges) {
    if (a === b || !places.has(a) || !places.has(b)) continue;
    const [x, y, W] = places.get(a), [u, v] = places.get(b), mid = (x + W + u) / 2;
    const line = el("path", { class: moved ? "edge moved" : "edge", d: `M${x + W} ${y + H / 2} C${mid} ${y + H / 2} ${mid} ${v + H / 2} ${u} ${v + H / 2}` });
    line.append(el("title", {}, `${b} reads ${a}${moved ? ", moved to other slots" : ""}`));
    svg.append(line);
  }
  for (const s of program.stages) {
    const [x, y, W] = places.get(s.name), [name, cost, under] = boxTexts(s);
    const link = el("a", { href: "#slots", tabindex: 0, class: `${s.kind}${s.name === chosen ? " chosen" : ""}` });
    link.append(el("rect", { class: "box", x, y, width: W, height: H, rx: 5 }), el("text", { x: x + 7, y: y + 15 }, `${name} `), el("text", { class: "small", x: x + 7, y: y + 28 }, `${cost} `), el("text", { class: "small", x: x + 7, y: y + 40 }, under));
    link.addEventListener("click", (e) => { e.preventDefault(); choose(s.name); });
    svg.append(link);
  }
  root.append(svg);
  byId("measured").textContent = `${program.measured || ""}${program.measured ? "; " : ""}thick lines: slots are rotated or permuted on the way`;
}
