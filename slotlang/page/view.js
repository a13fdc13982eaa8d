"use strict";
// The page of `slotlang view`: what is typed goes to the engine at each pause, and what it finds is drawn.

const PAUSE = 250;
const view = { session: null, version: 0, sent: "", timer: 0, asked: new Set() };

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ session: view.session, ...body }) });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `the server says ${answer.status}`);
  return answer.json();
}

function say(text) { const n = byId("notice"); if (n.textContent !== text) n.textContent = text; n.hidden = !text; }

function askValue(name, family, member, title) {
  if (state.mode !== "view" || state.stale || !program().values || view.asked.has(title)) return;
  view.asked.add(title);
  const read = view.text;
  post("value", { program: name, family, member }).then((found) => {
    if (read !== view.text || !found.value) return;
    const p = state.data.programs.find((q) => q.name === name);
    if (p && p.values) { p.values[title] = found.value; if (state.title === title) showValue(); }
  }).catch((problem) => say(problem.message));
}

function typed() {
  clearTimeout(view.timer);
  view.timer = setTimeout(() => {
    const text = byId("editor").value;
    if (text === view.sent) return;
    view.sent = text;
    post("text", { text }).catch((problem) => say(problem.message));
  }, PAUSE);
}

// The statement that the cursor stands in.
function followCursor() {
  if (!state.data || byId("editor").value !== view.sent) return;
  const editor = byId("editor"), line = editor.value.slice(0, editor.selectionStart).split("\n").length;
  const s = state.data.statements.find((x) => x.first <= line && line <= x.last && x.stage !== null);
  if (!s) return;
  const at = state.data.programs.findIndex((p) => p.number === s.program);
  if (at >= 0 && (at !== state.at || s.stage !== stageOf(state.family || ""))) { state.at = at; chooseStage(s.stage); }
}

async function listen() {
  for (;;) {
    try {
      const found = await (await fetch(`wait?session=${view.session}&after=${view.version}`)).json();
      if (found.error) { say(found.error); if (found.gone) { await open(); } continue; }
      view.version = found.version;
      say(found.notice);
      byId("revert").hidden = !found.edited;
      if (!found.edited && found.text !== view.sent && byId("editor").value === view.sent) { byId("editor").value = found.text; view.sent = found.text; }
      if (found.data) { if (found.read !== view.text) { view.text = found.read; view.asked = new Set(); } keepAsked(found.data); receive(found.data, found.current); }
    } catch (problem) {
      say("the server of this page does not answer: slotlang view may have ended");
      await new Promise((done) => setTimeout(done, 2000));
    }
  }
}

// Values that were asked for one by one stay as long as the text does.
function keepAsked(data) {
  for (const p of data.programs) {
    const old = state.data && state.data.programs.find((q) => q.name === p.name);
    if (old && old.values && p.values) for (const title of view.asked) if (old.values[title] && !p.values[title]) p.values[title] = old.values[title];
  }
}

async function open() {
  const found = await post("open", {});
  Object.assign(view, { session: found.session, version: 0, sent: found.text });
  byId("editor").value = found.text;
}

function startView() {
  byId("text").hidden = byId("source-hint").hidden = true;
  byId("editing").hidden = false;
  const editor = byId("editor");
  editor.addEventListener("input", typed);
  for (const name of ["keyup", "click"]) editor.addEventListener(name, followCursor);
  byId("revert").addEventListener("click", () => post("revert", {}).then((found) => { editor.value = found.text; view.sent = found.text; }).catch((p) => say(p.message)));
  open().then(listen).catch((problem) => say(problem.message));
}
