"use strict";
// What is chosen, and everything drawn for it. The data is in the element "data".

const state = { data: null, at: 0, title: null, slot: 0, values: new Map(), back: [], chain: new Set(), about: null, chosen: false, own: [], known: new Map(), due: false };
// "chosen": somebody has chosen a value since the text or its sizes were others; "own": the programs of the text as it stands, while
// pictures are of the last ones; "known": each program's last verdict and the text that it is about; "due": a wrong slot is to be shown
const grid = new SlotGrid(byId("canvas"), (slot) => select(slot), hover);

function program() { return state.data && state.data.programs[state.at]; }

function valueOf(title) {
  const p = program(), coded = p && p.values && p.values[title];
  if (!coded) return null;
  if (!state.values.has(title)) state.values.set(title, new Value(coded, p.slots));
  return state.values.get(title);
}

function digits(slot) {
  const p = program(), found = [];
  let rest = slot;
  for (const [name, size] of [...p.axes].reverse()) { found.push(`${name} = ${rest % size}`); rest = Math.floor(rest / size); }
  return found.reverse().join(", ");
}

function describe(value, slot) {
  const d = digits(slot), wrong = value.wrong && value.wrong[slot] ? " This is wrong." : "";
  const held = value.text(slot), elements = value.elements(slot).filter((e) => e.text !== held);
  const parts = { re: "whose real part is", im: "whose imaginary part is" }, known = elements.map((e) => `${parts[e.part] || "which is"} proved to be ${e.text}`).join(", ");
  return `${value.title} slot ${slot}${d ? ` (${d})` : ""} holds ${held}${known && ", "}${known}.${wrong}`;
}

function stageOf(family) { return family.split("[")[0]; }

function chooseStage(stage) {
  const p = program(), s = p && p.stages.find((x) => x.name === stage);
  if (!s) return;
  const family = s.families[0], binders = p.families[family].binders;
  goTo(memberTitle(family, binders.map(() => 0)), null, family, binders.map(() => 0));
}

// Show what a statement defines, speaks of or, for what is proved, results in: a wrong slot first.
function chooseStatement(number) {
  const s = state.data.statements[number], at = state.data.programs.findIndex((p) => p.number === s.program);
  if (at < 0) return;
  if (at !== state.at) { state.at = at; byId("programs").value = at; state.title = null; showProgram(); }
  const p = program(), wrong = s.kind === "prove" && p.refutation && p.refutation.value !== null;
  if (wrong) goTo(p.refutation.value, p.refutation.slot);
  else if (s.stage !== null || s.shows !== null) chooseStage(s.stage ?? s.shows);
  state.about = number;
  showAbout();
}

// Which statement the picture is of, where that is not the one at the cursor.
function showAbout() {
  const p = program(), stage = stageOf(state.family || ""), s = state.data.statements[state.about];
  const own = state.data.statements.find((x) => x.program === p.number && x.kind === "define" && x.stage === stage);
  const shown = own ? `Shown: ${stage}, line ${own.first}.` : `Shown: ${stage}.`;
  byId("about").textContent = s && s.says && s.program === p.number ? `Line ${s.first}: ${s.says}. ${shown}` : shown;
  markStatements(state.data, p.number, stage, state.about);
}

// Show a value that is there, or ask for it; in a report it may be missing.
function goTo(title, slot = null, family = null, member = null, remember = true) {
  if (remember && state.title) state.back.push([state.title, state.slot]);
  state.chosen = state.chosen || remember;
  state.title = title;
  state.about = null;
  state.family = family || (valueOf(title) || {}).family || stageOf(title);
  state.member = member || (valueOf(title) || {}).member || [];
  if (slot !== null) state.slot = slot;
  const p = program();
  if (state.slot >= p.slots) state.slot = 0;
  showValue();
}

function select(slot) { state.slot = slot; showSlot(); }

// Drawn once for each frame, however often the mouse moves.
let hovering = 0, hovered = null;
function hover(slot) {
  if (slot === hovered && grid.hovered === slot) return;
  hovered = slot;
  if (!hovering) hovering = requestAnimationFrame(showHovered);
}

function showHovered() {
  hovering = 0;
  const value = valueOf(state.title);
  if (!value || grid.hovered === hovered) return;
  byId("held").textContent = describe(value, hovered === null ? state.slot : hovered);
  grid.hovered = hovered;
  grid.draw();
  byId("came").textContent = cameFrom(state.title, hovered === null ? state.slot : hovered);
  showArrow(hovered === null ? state.slot : hovered);
}

// The lists and fields stay as long as they mean the same: what is typed in one, or open, is not taken away.
function showControls() {
  const p = program(), root = byId("controls"), family = p.families[state.family], binders = family ? family.binders : [];
  const names = JSON.stringify([p.name, state.family, binders.map(([name]) => name)]);
  if (root.dataset.names !== names) {
    const held = root.contains(document.activeElement) ? document.activeElement.id || document.activeElement.dataset.binder : null;
    root.dataset.names = names;
    const pick = make("select", { "aria-label": "value", id: "family", onchange: () => { const f = pick.value, m = program().families[f].binders.map(() => 0); goTo(memberTitle(f, m), null, f, m); } });
    clear(root, make("label", {}, "value ", pick), ...binders.map(([name], n) => memberField(name, n)));
    if (held) (byId(held) || root.querySelector(`[data-binder="${held}"]`) || pick).focus();
  }
  fill(root.querySelector("#family"), Object.entries(p.families).map(([name, f]) => [name, `${name} (${f.kind})`]), state.family);
  binders.forEach(([name, size], n) => {
    const input = root.querySelector(`[data-binder="${name}"]`), value = String(state.member[n] ?? 0);
    input.max = size - 1;
    input.previousSibling.textContent = `${name} < ${size} `;
    if (!input.dataset.typed && input.value !== value) input.value = value;
  });
}

function memberField(name, n) {
  const input = make("input", { type: "number", min: 0, "data-binder": name });
  input.addEventListener("input", () => { input.dataset.typed = "1"; });
  input.addEventListener("change", () => {
    delete input.dataset.typed;
    const [, size] = program().families[state.family].binders[n], m = [...state.member];
    m[n] = Math.min(size - 1, Math.max(0, Math.floor(Number(input.value)) || 0));
    input.value = m[n];
    goTo(memberTitle(state.family, m), null, state.family, m);
  });
  return make("label", {}, "", input);
}

function showValue() {
  const p = program(), value = valueOf(state.title);
  if (!value) askValue(p.name, state.family, state.member, state.title);
  byId("title").textContent = state.title;
  showControls();
  showAbout();
  showStages(p, stageOf(state.family), chooseStage);
  const notes = [state.stale];
  if (value) {
    notes.push(value.wrongSentence, value.summary, ...value.claims.map(([line, text]) => `by the claim in line ${line}: ${text}`));
  } else if (!p.values) notes.push("its slots are being computed");
  else notes.push(state.mode === "view" ? "its slots are being computed" : `${state.title} is not in this file, which has room for ${plural(Object.keys(p.values).length, "value")}: slotlang view shows them all`);
  byId("summary").textContent = notes.filter(Boolean).join(". ");
  byId("canvas").hidden = !value || (value.why !== "" && value.reads === null);
  byId("canvas").setAttribute("aria-label", `the ${plural(p.slots, "slot")} of ${state.title}`);
  if (value) grid.show(value, state.slot);
  showMoves(value);
  showSlot();
}

function showSlot() {
  const value = valueOf(state.title);
  byId("held").textContent = value ? describe(value, state.slot) : "";
  byId("came").textContent = value ? cameFrom(state.title, state.slot) : "";
  clear(byId("origin"));
  if (!value) return;
  grid.show(value, state.slot);
  showArrow();
  byId("origin").append(...chain(state.title, state.slot));
}

// The way back to what the client packed, along one ciphertext's slot each time.
function chain(title, slot) {
  const steps = [], p = program();
  let known = null;
  state.chain = new Set();
  for (let n = 0; n < 64; n++) {
    const value = valueOf(title);
    state.chain.add(title);
    if (!value) {
      steps.push(make("li", {}, place(title, slot, known), state.mode === "view" ? " (is being computed)" : " (not in this file)"));
      if (known) askValue(p.name, known.family, known.member, title);
      break;
    }
    const kind = p.families[value.family].kind, from = value.reads === null ? null : value.origins(slot);
    const item = make("li", {}, place(title, slot, value), ` = ${value.text(slot)}`);
    steps.push(item);
    if (from === null) { item.append(", from more slots than are listed"); break; }
    if (!from.length) { if (kind === "cipher") item.append(", packed by the client"); else if (kind === "plain") item.append(", a plaintext"); break; }
    item.append(", from ");
    const shown = from.slice(0, 8);
    for (const o of shown) item.append(place(o.title, o.slot, o));
    if (from.length > shown.length) item.append(`… ${from.length} in all`);
    const next = ciphertextIn(p, from);
    if (!next) break;
    [title, slot, known] = [next.title, next.slot, next];
  }
  return steps;
}

// the way that the wrong slot's explanation takes, where a slot lies on it
function ciphertextIn(p, from) {
  const full = from.filter((o) => p.families[o.family].kind !== "plain" && !empty(o));
  const way = (p.refutation && p.refutation.way) || [];
  return full.find((o) => way.some(([title, slot]) => title === o.title && slot === o.slot)) || full[0];
}

const STEPS_SAID = 4;

// The same in one line, for the slot under the mouse: nothing is asked for, and a long way is cut in its middle.
function cameFrom(title, slot) {
  const p = program(), steps = [];
  let end = "";
  for (let n = 0; n < 64; n++) {
    const value = valueOf(title);
    if (!value) { end = ", …"; break; }
    const from = value.reads === null ? [] : value.origins(slot), next = ciphertextIn(p, from);
    if (!next) {
      if (p.families[value.family].kind === "cipher") end = n ? ` = ${value.text(slot)}, packed` : "packed by the client";
      break;
    }
    const all = from.filter((o) => p.families[o.family].kind !== "plain").length;
    steps.push(`${next.title} slot ${next.slot}${all > 1 ? ` (1 of ${all.toLocaleString("en")})` : ""}`);
    [title, slot] = [next.title, next.slot];
  }
  if (!steps.length) return end;
  const said = steps.length > STEPS_SAID ? [...steps.slice(0, 2), "…", steps[steps.length - 1]] : steps;
  return `from ${said.join(" ← ")}${end}`;
}

function empty(o) { const v = valueOf(o.title); return v && v.groups && v.groups[o.slot] < 0; }

function place(title, slot, known = null) {
  return make("button", { type: "button", onclick: () => goTo(title, slot, known && known.family, known && known.member) }, `${title} slot ${slot}`);
}

function showProgram() {
  const p = program(), own = state.own[state.at] || state.own[0], name = (own && own.name) || state.data.file;
  document.title = `${name} – slotlang`;
  byId("name").textContent = name;
  const v = p && p.verdict;
  byId("status").textContent = !state.data.right ? "not a program yet" : v && !state.stale ? v.sentence : "no verdict yet";
  byId("status").className = `badge ${v && !state.stale ? v.status : ""}`;
  byId("sizes").textContent = own && own.bound ? Object.entries(own.sizes).map(([n, s]) => `${n} = ${s}`).join(", ") : "";
  showMarks(state.data, state.stale ? null : p);
  byId("pictures").hidden = !p || !p.bound;
  if (!state.data.right) byId("figures").textContent = NO_FIGURES;
  if (!p || !p.bound) return;
  showProof(p, goTo);
  showCost(p);
  if (state.mode === "view") showKnobs(p);
  if (!state.stale && v) noteVerdict(p);
  if (!state.title || !(state.family in p.families)) {
    state.back = [];
    const wrong = p.refutation && p.refutation.value, name = Object.keys(p.families).find((f) => p.families[f].kind === "compute") || Object.keys(p.families)[0];
    if (wrong) { state.due = false; goTo(wrong, p.refutation.slot, null, null, false); }
    else if (name) goTo(memberTitle(name, p.families[name].binders.map(() => 0)), 0, name, p.families[name].binders.map(() => 0), false);
  } else if (state.due && !state.chosen && p.refutation && p.refutation.value && valueOf(p.refutation.value)) {
    // known last, and it goes before the statement that is being typed
    state.due = view.follow = false;
    goTo(p.refutation.value, p.refutation.slot, null, null, false);
  } else showValue();
}

// A program that turns to refuted is shown at its wrong slot, and so is another one that takes its place, unless somebody has
// chosen a value meanwhile. One that stays refuted while it is written is not.
function noteVerdict(p) {
  const text = state.data.pieces.map(([piece]) => piece).join(""), was = state.known.get(p.name), { status } = p.verdict;
  if (status === "refuted" && (!was || was.status !== status || another(was.text, text))) state.due = true;
  if (status !== "refuted" || state.chosen) state.due = false;
  state.known = new Map([...state.known, [p.name, { status, text }]].filter(([name]) => state.data.programs.some((q) => q.name === name)));
}

// Whether less than half of a text is left of the one before, at its start and its end.
function another(before, after) {
  const most = Math.min(before.length, after.length);
  let from = 0, end = 0;
  while (from < most && before[from] === after[from]) from++;
  while (end < most - from && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  return 2 * (from + end) < Math.max(before.length, after.length);
}

// "current": whether the data is about the text as it stands, and not about the one before.
function receive(data, current = true) {
  // until a text's own pictures are there, those of the last text that was right stay; its verdict does not
  state.own = data.programs;
  state.stale = !current || (data.right && state.right) ? "of the text before: this one is being looked at" : state.right ? "of the last text that was a program" : "";
  if (current && data.right && data.programs.every((p) => p.values)) {
    state.right = data.programs;
    state.stale = "";
  } else if (state.right) data.programs = state.right;
  state.data = data; state.values = new Map();
  state.at = Math.min(state.at, Math.max(0, data.programs.length - 1));
  fill(byId("programs"), data.programs.map((p, n) => [n, p.name]), state.at);
  byId("choice").hidden = data.programs.length < 2;
  if (state.about >= data.statements.length) state.about = null;
  showText(data, chooseStatement);
  showProgram();
}

byId("programs").addEventListener("change", (e) => { state.at = Number(e.target.value); state.title = null; state.values = new Map(); showProgram(); });
byId("move").addEventListener("change", () => showArrow());
byId("canvas").addEventListener("keydown", (e) => {
  if (e.key === "Enter") {
    const value = valueOf(state.title), from = value && value.reads ? value.origins(state.slot) : [];
    const next = ciphertextIn(program(), from);
    if (next) goTo(next.title, next.slot, next.family, next.member);
  } else if (e.key === "Backspace" && state.back.length) {
    e.preventDefault();
    const [title, slot] = state.back.pop();
    goTo(title, slot, null, null, false);
  }
});
let resizing = 0;
addEventListener("resize", () => { cancelAnimationFrame(resizing); resizing = requestAnimationFrame(() => { if (program() && program().bound) { grid.draw(); showArrow(); } }); });
dark.addEventListener("change", () => { grid.image = null; if (program() && program().bound) { grid.draw(); showArrow(); } });
