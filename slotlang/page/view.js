"use strict";
// The page of `slotlang view`: what is typed goes to the engine at each pause, and what it finds is drawn.

const PAUSE = 250;
// "follow": what was typed last is not shown yet; "about": the text that messages are about, null while that is an older one
const view = { session: null, version: 0, sent: "", timer: 0, asked: new Set(), editor: null, sending: 0, least: 0, queue: Promise.resolve(), last: null, follow: false, about: null };

function headers() { return { "Content-Type": "application/json", "X-Slotlang-Token": given.token }; }

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: headers(), body: JSON.stringify({ session: view.session, ...body }) });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `the server says ${answer.status}`);
  return answer.json();
}

// What is chosen and typed reaches the server in the order in which it was, one question after the other.
function inOrder(send) {
  const answer = view.queue.then(send);
  view.queue = answer.catch(() => null);
  return answer;
}

function say(text) { const n = byId("notice"); if (n.textContent !== text) n.textContent = text; n.hidden = !text; }
function plain(text) { return text.replace(/\r\n?/g, "\n"); }

// A value that the page does not have; what shows it is drawn again when it comes.
function askValue(name, family, member, title) {
  if (state.mode !== "view" || state.stale || !program().values || view.asked.has(title)) return;
  view.asked.add(title);
  const read = view.text;
  post("value", { program: name, family, member }).then((found) => {
    if (read !== view.text || !found.value) return;
    const p = state.data.programs.find((q) => q.name === name);
    if (!p || !p.values) return;
    p.values[title] = found.value;
    if (p !== program()) return;
    if (state.title === title) showValue(); else if (state.chain.has(title)) showSlot();
  }).catch((problem) => say(problem.message));
}

function sendText() {
  clearTimeout(view.timer);
  const text = view.editor.text();
  if (text === view.sent) return Promise.resolve();
  view.sent = text;
  view.sending++;
  const failed = (problem) => {
    say(problem.message);
    // what did not arrive is sent again: the server's text is older
    if (view.sent === text) { view.sent = null; clearTimeout(view.timer); view.timer = setTimeout(sendText, 2000); }
  };
  return inOrder(() => post("text", { text })).then((found) => { view.least = found.version; }, failed).finally(() => { view.sending--; });
}

function typed() {
  view.follow = true;
  state.chosen = false;
  showRepairs();
  showGoal(null);
  byId("kept").textContent = "";
  clearTimeout(view.timer);
  view.timer = setTimeout(sendText, PAUSE);
}

// The statement that the cursor stands in. "selected": somebody has put it there, which chooses what is shown; where it stands
// after typing chooses nothing.
function followCursor(selected = false) {
  if (!state.data || view.editor.text() !== view.sent) return;
  const chosen = state.chosen || selected;
  // the number is one of another text
  if (view.follow) state.about = null;
  view.follow = false;
  const line = view.editor.line(), number = state.data.statements.findLastIndex((x) => x.first <= line && line <= x.last);
  if (number < 0 || number === state.about) return;
  const s = state.data.statements[number], at = state.data.programs.findIndex((p) => p.number === s.program);
  if (at < 0) return;
  if (at !== state.at || s.stage === null || s.stage !== stageOf(state.family || "")) chooseStatement(number);
  else { state.about = number; showAbout(); }
  state.chosen = chosen;
}

function showMarksInEditor(data) {
  view.editor.marks([...data.marks, ...data.programs.map((p) => p.verdict && p.verdict.mark).filter(Boolean)]);
}

async function ask(question, offset) {
  try {
    return (await post("ask", { text: view.editor.text(), question, offset })).answer;
  } catch (problem) {
    return null;
  }
}

// A program that was found takes the place of the text, and can be undone; sizes of the old one mean nothing in it.
function takeOver(text) {
  resetKnobs();
  view.editor.set(text, true);
  sendText();
  view.editor.view.focus();
}

function pause(milliseconds) { return new Promise((done) => setTimeout(done, milliseconds)); }

async function listen() {
  for (;;) {
    try {
      const found = await (await fetch(`wait?session=${view.session}&after=${view.version}`, { headers: headers() })).json();
      if (found.error) {
        if (found.gone) await open(true); else { say(found.error); await pause(2000); }
        continue;
      }
      view.version = found.version;
      view.last = found;
      answersKnobs(found);
      say(found.notice);
      byId("revert").hidden = !found.edited;
      showEdited(found.edited);
      if (view.editor.text() === plain(found.text)) showGoal(found.judged);
      takeKnobs(found.knobs);
      // what was sent from here and is not answered yet is newer than this
      const own = view.editor.text(), newer = !view.sending && found.version >= view.least;
      if (newer && !found.edited && plain(found.text) !== view.sent && own === view.sent) { view.editor.set(found.text); view.sent = plain(found.text); state.chosen = false; }
      if (found.data) {
        if (found.read !== view.text) { view.text = found.read; view.asked = new Set(); }
        keepAsked(found.data);
        view.about = found.current ? plain(found.text) : null;
        if (found.current && view.editor.text() === plain(found.text)) showMarksInEditor(found.data);
        receive(found.data, found.current);
        if (view.follow && !state.stale) followCursor();
      }
      takeSearch(found);
    } catch (problem) {
      say("the server of this page does not answer: slotlang view may have ended");
      await pause(2000);
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

// A view of its own at the server. "again": the server has forgotten this one, and what was typed stays.
async function open(again = false) {
  const found = await post("open", {});
  Object.assign(view, { session: found.session, version: 0, least: 0, last: null, sent: plain(found.text) });
  knobs.least = searching.least = 0;
  if (!again) { view.editor.set(found.text); return; }
  await sendText();
  if (Object.keys(knobs.sizes).length || knobs.precision !== null) turned();
}

function startView() {
  byId("text").hidden = byId("source-hint").hidden = true;
  byId("editing").hidden = false;
  let moving = 0, selected = false;
  const follow = () => { const by = selected; selected = false; followCursor(by); };
  const moved = (by) => { selected = selected || by; cancelAnimationFrame(moving); moving = requestAnimationFrame(follow); };
  view.editor = SlotEditor.create(byId("editor"), { words: given.words, label: "text of the program", ask, show: markdown, changed: typed, moved });
  startKnobs();
  startGoal();
  byId("revert").addEventListener("click", () => {
    const before = view.editor.text();
    inOrder(() => post("revert", {})).then((found) => {
      view.sent = plain(found.text);
      // what was typed since is newer, and is sent by its own timer
      if (view.editor.text() !== before) return;
      view.editor.set(found.text, true);
      clearTimeout(view.timer);
    }).catch((p) => say(p.message));
  });
  open().then(listen).catch((problem) => say(problem.message));
}
