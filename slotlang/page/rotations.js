"use strict";
// The rotations of a statement: those that are executed, with their counts, and in one line what they come to.

function stepText(step, slots) { return 2 * step <= slots ? `<< ${step}` : `>> ${slots - step}`; }

// What is executed for the statement of the value that is shown: pairs of step and count, null where that is not known.
function executedSteps(p) {
  const stage = p.stages.find((s) => s.name === stageOf(state.family));
  return stage && stage.cost ? stage.cost.steps : null;
}

function executedText(p, steps) {
  const stage = p.stages.find((s) => s.name === stageOf(state.family));
  if (!stage || stage.kind !== "compute") return "";
  if (!steps) return p.cost && p.cost.problem ? `What is executed is not known: ${p.cost.problem}` : "What is executed is being counted.";
  if (!steps.length) return "Executed: no rotation; what is read stands in place, or was rotated for a statement before.";
  const all = steps.reduce((sum, [, count]) => sum + count, 0), shown = steps.slice(0, 12);
  const list = shown.map(([step, count]) => `${stepText(step, p.slots)}${count > 1 ? ` (${count.toLocaleString("en")} times)` : ""}`).join(", ");
  return `Executed: ${list}${steps.length > shown.length ? `, … (${steps.length} steps)` : ""}: ${plural(all, "rotation")}${stage.members > 1 ? ` for all ${stage.members.toLocaleString("en")} members` : ""}.`;
}

function listed(numbers) {
  const by = numbers.length > 2 ? numbers[1] - numbers[0] : 0;
  if (numbers.length > 4 && numbers.every((v, n) => n === 0 || v - numbers[n - 1] === by)) return `${numbers[0]}, ${numbers[1]}, … ${numbers[numbers.length - 1]}`;
  return numbers.length > 6 ? `${numbers.slice(0, 5).join(", ")}, … (${numbers.length})` : numbers.join(", ");
}

// What the value is made of, slot by slot, however it is computed.
function meantText(p, value) {
  if (!value || value.reads === null) return value ? "More values are read than are listed." : "";
  const moved = new Map();
  for (const r of value.reads) {
    if (p.families[r.family].kind === "plain") continue;
    if (!moved.has(r.title)) moved.set(r.title, []);
    moved.get(r.title).push(r.step);
  }
  if (!moved.size) return "";
  const parts = [...moved].slice(0, 4).map(([title, steps]) => {
    const known = steps.filter((s) => s !== null), how = steps.length === 1 && known.length ? (steps[0] ? ` ${stepText(steps[0], p.slots)}` : " in place") : known.length ? ` rotated by ${listed(known)}` : "";
    return `${title}${how}${known.length < steps.length ? " permuted" : ""}`;
  });
  return `It comes to: ${parts.join("; ")}${moved.size > 4 ? `; … ${moved.size} values in all` : ""}.`;
}

// Every choice of arrows by its name: x0, x1, … what is executed, 0, 1, … what the value reads.
const moves = new Map();

function showMoves(value) {
  const p = program(), steps = executedSteps(p), reads = (value && value.reads) || [], options = [], list = byId("move");
  moves.clear();
  const sources = new Set(reads.filter((r) => p.families[r.family].kind !== "plain").map((r) => r.title));
  const direct = reads.every((r) => r.step !== null) && JSON.stringify([...new Set(reads.map((r) => r.step).filter(Boolean))].sort()) === JSON.stringify((steps || []).map(([step]) => step).sort());
  (value ? steps || [] : []).forEach(([step, count], n) => {
    moves.set(`x${n}`, { title: direct && sources.size === 1 ? [...sources][0] : "what is rotated", step, source: null, read: null });
    options.push([`x${n}`, `${stepText(step, p.slots)}, ${count === 1 ? "once" : `${count.toLocaleString("en")} times`}`, "what is executed"]);
  });
  reads.forEach((r, n) => {
    moves.set(String(n), r);
    options.push([String(n), `${r.title}, ${r.step === null ? "permuted" : r.step ? `rotated by ${r.step}` : "in place"}`, "what it comes to"]);
  });
  // a choice stays as long as the value does
  const same = list.dataset.of === state.title && moves.has(list.value), moved = reads.findIndex((r) => r.step !== 0);
  list.dataset.of = state.title;
  fill(list, options, same ? list.value : steps && steps.length ? "x0" : String(Math.max(0, moved)));
  byId("executed").textContent = executedText(p, steps);
  byId("meant").textContent = meantText(p, value);
  showArrow();
}

function showArrow(slot = state.slot) {
  const value = valueOf(state.title), read = value && moves.get(byId("move").value);
  byId("arrows").hidden = !read;
  byId("move").disabled = !read;
  if (!read) { byId("move-text").textContent = value && value.reads === null ? "" : "nothing computed is read here"; return; }
  const every = drawArrows(byId("arrows"), value.slots, read, slot);
  const from = read.source ? read.source[slot] : (slot + read.step) % value.slots;
  const used = !read.read || read.read[slot] ? `Slot ${slot} takes slot ${from} of ${read.title}` : `Slot ${slot} takes nothing of ${read.title}`;
  byId("move-text").textContent = `${used}.${every > 1 ? ` One arrow of ${every} is drawn.` : ""} Dashed: around the end.`;
}
