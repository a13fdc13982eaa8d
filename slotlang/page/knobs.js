"use strict";
// Sizes, precision and the search for a cheaper program, in a view. What they do is computed by the engine.

const PRECISIONS = [null, 1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6];
const NO_FIGURES = "The text is not a program yet: nothing is counted.", OLD_FIGURES = "The text is not a program now. The last one that was:";
// "sizes", "precision": what was chosen here; "own": sizes of the text itself; "answered": the server has looked at what was
// chosen last, by the version "least" or a later one
const knobs = { sizes: {}, precision: null, own: {}, sliders: new Map(), timer: 0, pending: false, sending: 0, answered: true, least: 0 };

function slider(name, id) {
  const input = make("input", { type: "range", min: 0, step: 1, id, "aria-label": name }), output = make("output", { for: id });
  const found = { input, output, values: [], label: make("label", { class: "knob" }, make("span", {}, name), input, output), text: String };
  found.show = () => {
    const value = found.values[input.value], text = found.text(value);
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  // while somebody holds it, it stays as it is
  found.set = (values, value) => {
    if (input.matches(":active")) return;
    found.values = values;
    input.max = values.length - 1;
    input.value = Math.max(0, values.indexOf(value));
    input.disabled = values.length < 2;
    found.show();
  };
  return found;
}

function turned() {
  clearTimeout(knobs.timer);
  Object.assign(knobs, { answered: false, pending: true });
  state.chosen = false;
  knobs.timer = setTimeout(sendKnobs, 120);
  showCommand();
}

function sendKnobs() {
  knobs.pending = false;
  knobs.sending++;
  inOrder(() => post("knobs", { sizes: knobs.sizes, precision: knobs.precision }))
    .then((found) => { knobs.least = found.version; }, (problem) => say(problem.message))
    .finally(() => { knobs.sending--; if (view.last) answersKnobs(view.last); if (knobs.answered && program()) showKnobs(program()); });
}

// Whether an answer is about what was chosen last. Until then, what was chosen is shown, and the values it was chosen from.
function answersKnobs(found) { knobs.answered = !knobs.pending && !knobs.sending && found.version >= knobs.least && found.current; }

function showKnobs(p) {
  const root = byId("sizes-knobs"), known = p.knobs ? p.knobs.sizes : null;
  if (!root.childElementCount || root.dataset.names !== Object.keys(p.sizes).join()) {
    root.dataset.names = Object.keys(p.sizes).join();
    knobs.sliders = new Map();
    clear(root, ...Object.keys(p.sizes).map((name) => {
      const one = slider(name, `knob-${name}`);
      one.input.addEventListener("input", () => { one.show(); knobs.sizes[name] = one.values[one.input.value]; turned(); });
      // values that came while it was held
      one.input.addEventListener("change", () => { if (program()) showKnobs(program()); });
      knobs.sliders.set(name, one);
      return one.label;
    }));
  }
  for (const [name, one] of knobs.sliders) {
    const chosen = name in knobs.sizes, value = chosen ? knobs.sizes[name] : p.sizes[name];
    if (!knobs.answered) continue;
    if (!chosen) knobs.own[name] = value;
    // until admitted values are known, the old ones stay
    if (known && known[name].includes(value)) one.set(known[name], value);
    else if (!one.values.includes(value)) one.set([value], value);
    else one.set(one.values, value);
  }
  if (!knobs.fine) {
    const one = knobs.fine = slider("precision", "knob-precision");
    one.text = (value) => (value === null ? "as it is" : `at most ${value.toExponential(0)}`);
    one.set(PRECISIONS, knobs.precision);
    one.input.addEventListener("input", () => { one.show(); knobs.precision = one.values[one.input.value]; turned(); });
    byId("precision-knob").append(one.label);
  }
  const figures = p.cost ? p.cost.line || p.cost.problem : "";
  byId("figures").textContent = !state.data.right ? (figures ? `${OLD_FIGURES} ${figures}` : NO_FIGURES) : state.stale || !figures ? "counting…" : figures;
  byId("synth").disabled = !(p.knobs && p.knobs.shape) || state.stale !== "";
  byId("shape").textContent = !p.knobs ? "" : p.knobs.shape ? shapeText(p.knobs.shape) : "This search is for programs with one result, y == scale * A @ B @ x. The program here proves something else.";
  showCommand();
}

function shapeText(s) { return `${s.d_in} to ${plural(s.d_out, "channel")}, rank ${s.rank}, ${plural(s.batch, "token")}`; }

function showCommand() {
  const set = Object.entries(knobs.sizes).map(([name, value]) => ` --set ${name}=${value}`).join("");
  const fine = knobs.precision === null ? "" : ` --precision ${knobs.precision}`;
  byId("reset").hidden = byId("command").hidden = !set && !fine;
  byId("command").textContent = `slotlang cost ${given.file}${set}${fine}`;
}

function resetKnobs() {
  Object.assign(knobs, { sizes: {}, precision: null });
  if (knobs.fine) knobs.fine.set(PRECISIONS, null);
  for (const [name, one] of knobs.sliders) {
    const value = knobs.own[name];
    if (value !== undefined) one.set(one.values.includes(value) ? one.values : [value], value);
  }
  turned();
}

// What the server has, where it is another page's turn or this one was opened again.
function takeKnobs(found) { if (!knobs.taken) { knobs.taken = true; Object.assign(knobs, { sizes: found.sizes, precision: found.precision }); } }

// What was asked for is shown at once, and stays until the server has answered that.
const searching = { sending: 0, least: 0, shown: null };

function askSearch(path, body, meanwhile) {
  showSearch(meanwhile);
  searching.sending++;
  inOrder(() => post(path, body))
    .then((found) => { searching.least = found.version; }, (problem) => { say(problem.message); })
    .finally(() => { searching.sending--; if (view.last) takeSearch(view.last); });
}

function takeSearch(found) { if (!searching.sending && found.version >= searching.least) showSearch(found.search); }

function showSearch(search) {
  const root = byId("found");
  searching.shown = search;
  byId("stop").hidden = byId("searching").hidden = !search || search.state !== "running";
  byId("synth").hidden = !byId("stop").hidden;
  if (!search) { clear(root); return; }
  byId("searching").value = search.done || 0;
  const best = search.best, told = { running: search.what, done: "", stopped: "stopped: the best so far", failed: "" }[search.state];
  byId("searched").textContent = [shapeText(search.shape), `precision ${search.precision}`, told, search.problem].filter(Boolean).join("; ");
  const key = JSON.stringify([search.state, search.program]);
  if (root.dataset.key === key) return;
  root.dataset.key = key;
  // A better program may come while one is read: what was opened stays open.
  const open = root.querySelector("details[open]") ? { open: "" } : {};
  clear(root);
  if (!best) return;
  root.append(make("p", {}, make("b", { class: best.verdict }, best.verdict), `: ${best.name}`));
  const p = program(), own = new Map(p && p.cost && p.cost.rows ? p.cost.rows.map(([number, noun]) => [noun.split(",")[0], number]) : []), body = make("tbody");
  for (const [number, noun] of best.rows) body.append(make("tr", {}, make("td", { class: "number" }, number), make("td", { class: "number" }, own.get(noun.split(",")[0]) ?? "–"), make("td", {}, noun)));
  root.append(table("Found, beside the program in the editor", ["found", "this", "of"], body, [0, 1]));
  for (const b of best.bounds) root.append(make("p", { class: "hint" }, `at least ${b.at_least} ${b.of} for a group of tokens (gap ${b.gap}; ${b.proved ? "a theorem" : "conjectured, not proved"})`));
  root.append(make("details", open, make("summary", {}, "The program"), make("pre", { tabindex: 0 }, search.program)));
  root.append(make("button", { type: "button", id: "take", onclick: () => takeOver(search.program) }, "Take it over into the editor"));
}

function startKnobs() {
  byId("knobs").hidden = false;
  byId("reset").addEventListener("click", resetKnobs);
  byId("synth").addEventListener("click", () => {
    const precision = knobs.precision ?? 1e-3, objective = byId("objective").value;
    askSearch("synth", { program: program().name, precision, objective }, { state: "running", shape: program().knobs.shape, precision, what: "starting" });
  });
  byId("stop").addEventListener("click", () => askSearch("stop", {}, { ...searching.shown, state: "stopped" }));
}
