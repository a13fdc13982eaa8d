"use strict";
// The goal of a puzzle, in a view: what is missing, hints one by one, a sign when it is solved. The server judges.

const goal = { hints: [], shown: 0, edited: false };

function startGoal() {
  const p = given.puzzle;
  if (!p) return;
  byId("puzzle").hidden = false;
  byId("cheaper").hidden = true;
  byId("goal").textContent = `${p.name}: ${p.goal}`;
  byId("teaches").textContent = `Teaches: ${p.teaches}. The first lines of the program say what is yours to change.`;
  byId("kept-how").textContent = `Changes stay in this page until you write them into ${given.file} (Ctrl+S).`;
  byId("keep").textContent = `Write it into ${given.file}`;
  byId("hint").addEventListener("click", () => { goal.shown++; showHints(); });
  byId("keep").addEventListener("click", keepText);
  addEventListener("keydown", (e) => {
    if ((e.ctrlKey || e.metaKey) && e.key === "s") { e.preventDefault(); keepText(); }
  });
  addEventListener("beforeunload", (e) => { if (goal.edited) e.preventDefault(); });
  showGoal(null);
}

// "judged": null while the text as it stands is being judged.
function showGoal(judged) {
  const p = given.puzzle;
  if (!p) return;
  const said = byId("judged"), text = !judged ? "being judged…" : judged.solved ? `✓ Solved: ${p.goal}.${p.next ? ` Next: slotlang puzzle view ${p.next}` : " This was the last one."}` : "Not solved yet. What is missing:";
  if (said.textContent !== text) said.textContent = text;
  said.className = judged ? (judged.solved ? "badge proved" : "badge unknown") : "hint";
  byId("missing").textContent = (judged ? judged.lines : []).join("\n");
  if (!judged) return;
  const hints = judged.hint ? [`Hint: ${judged.hint}`, `The tutorial tells it: ${p.tutorial.split("#")[0]}, “${p.section}”`] : [];
  // another state of the text has another hint, which is not shown before it is asked for
  if (hints[0] !== goal.hints[0]) goal.shown = 0;
  goal.hints = hints;
  showHints();
}

function showHints() {
  clear(byId("hints"), ...goal.hints.slice(0, goal.shown).map((text) => make("li", {}, ...inline(text))));
  byId("hint").hidden = goal.shown >= goal.hints.length;
  byId("hint").textContent = goal.shown ? "More" : "Show a hint";
}

function showEdited(edited) { goal.edited = edited; byId("keep").disabled = !edited; }

function keepText() {
  const text = view.editor.text();
  sendText();
  inOrder(() => post("keep", { text })).then((found) => { byId("kept").textContent = `written into ${found.file}`; }, (problem) => { byId("kept").textContent = problem.message; });
}
