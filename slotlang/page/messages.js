"use strict";
// The messages about a text, each with its line, and repairs, which a view takes at the press of a button.

const messages = { key: "" };

// They are made anew only where they are others: a button that somebody has reached stays.
function showMarks(data, program) {
  const marks = [...data.marks];
  if (program && program.verdict && program.verdict.mark) marks.push(program.verdict.mark);
  const key = JSON.stringify(marks);
  if (key !== messages.key) clear(byId("marks"), ...marks.map(messageItem));
  messages.key = key;
  showRepairs();
}

function messageItem(m) {
  const [first, ...rest] = m.message.split("\n"), end = `, line ${m.line}`;
  // the line stands before it
  const text = [first.endsWith(end) ? first.slice(0, -end.length) : first, ...rest].join("\n");
  const places = m.related.map(([line, said]) => `\n  ${line && !namesLine(said, line) ? `line ${line}: ` : ""}${said}`);
  return make("li", {}, lineOf(m), text, ...places, ...m.fixes.map(repairOf));
}

function namesLine(text, line) { return new RegExp(`\\bline ${line}\\b`).test(text.split("\n")[0]); }

function lineOf(m) {
  const text = `${m.code}, line ${m.line}: `;
  if (state.mode !== "view") return make("b", { class: m.weight }, text);
  return make("button", { type: "button", class: `plain ${m.weight}`, onclick: () => view.editor.go(m.line) }, text);
}

function repairOf(fix) {
  const said = ["repair: ", ...inline(fix.title)], after = fix.after ? [": ", make("code", {}, fix.after)] : [];
  if (state.mode !== "view" || !fix.edits.length) return make("div", { class: "repair" }, ...said, ...after);
  return make("div", { class: "repair" }, make("button", { type: "button", onclick: () => takeRepair(fix) }, ...said), ...after);
}

// A repair is about the text that the server has looked at: in another one its places mean something else.
function canRepair() { return view.about !== null && view.editor.text() === view.about; }

function showRepairs() {
  const buttons = document.querySelectorAll("#marks .repair button");
  if (!buttons.length) return;
  const can = canRepair();
  for (const button of buttons) button.disabled = !can;
}

function takeRepair(fix) {
  if (!canRepair()) return;
  view.editor.repair(fix.edits);
  sendText();
}
