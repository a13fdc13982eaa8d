// CodeMirror as the page of `slotlang view` has it. What it knows of the language is given to it: words by the page,
// completions, hovers and messages by the engine.
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, snippet } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, isolateHistory } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState, Transaction } from "@codemirror/state";
import {
  drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, hoverTooltip, keymap, lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";

// The colours of slotlang/editor/tokens.py, a line at a time.
function language(words) {
  const has = Object.fromEntries(Object.entries(words).map(([name, list]) => [name, new Set(list)]));
  const softStart = new RegExp(`^(?:${words.softStart})`);
  function isKeyword(stream, word, first, state) {
    const rest = stream.string.slice(stream.start);
    if (has.keywords.has(word)) return true;
    if (first && word === "end") return /^end[ \t]*(#|$)/.test(rest);
    if (first && has.soft.has(word)) return softStart.test(rest);
    if (has.hows.has(word)) return state.before === "by";
    if (has.calls.has(word)) return /^\w+[ \t]*\(/.test(rest);
    if (word === "as") return state.before.startsWith('"');
    if (has.transposes.has(word)) return state.before === ".";
    return has.parameters.has(word) && /^[ \t]*parameters/.test(stream.string);
  }
  return StreamLanguage.define({
    name: "slot",
    startState: () => ({ before: "" }),
    token(stream, state) {
      if (stream.eatSpace()) return null;
      const first = /^[ \t]*$/.test(stream.string.slice(0, stream.start));
      let kind = null, found;
      if (stream.match(/^#.*/)) kind = "comment";
      else if (stream.match(/^"[^"]*"?/)) kind = "string";
      else if (stream.match(/^[0-9]+(?:\.[0-9]+)?i?(?![A-Za-z_0-9])/)) kind = "number";
      else if ((found = stream.match(/^[A-Za-z_][A-Za-z_0-9]*/))) kind = isKeyword(stream, found[0], first, state) ? "keyword" : "variableName";
      else if (!stream.match(/^(?:->|==|!=|<=|>=|<<|>>|\/\/|\*\*)/)) stream.next();
      state.before = stream.current();
      return kind;
    },
    languageData: { commentTokens: { line: "#" } },
  });
}

// The page's own classes, so that light and dark are said once.
const colours = HighlightStyle.define([
  { tag: tags.comment, class: "comment" },
  { tag: tags.keyword, class: "keyword" },
  { tag: tags.number, class: "number" },
  { tag: tags.string, class: "string" },
]);

const SORTS = { keyword: "keyword", function: "function", variable: "variable", size: "constant", tensor: "class", digit: "property", loop: "variable", file: "text", result: "type" };

function proposal({ label, sort, detail, insert, snippet: has, order }) {
  // $1 and $0 of language servers are ${1} and ${} here
  const template = has ? insert.replace(/\$0/g, "${}").replace(/\$(\d)/g, "${$1}") : insert || label;
  return { label, type: SORTS[sort], detail: detail.split("\n")[0].replace(/`/g, "").slice(0, 60), apply: has ? snippet(template) : template, boost: -order };
}

// What is no typing is undone by itself, however soon after the last key it comes.
const alone = isolateHistory.of("full");

// `ask(question, offset)` gives what the engine knows, or null; `changed()` and `moved(selected)` are told of edits and of the
// cursor, `selected` where somebody has put it elsewhere.
export function create(parent, { words, label, ask, show, changed, moved }) {
  let quiet = false;
  const complete = async (context) => {
    const word = context.matchBefore(/[\w./"]+/);
    if (!context.explicit && (!word || /^\d/.test(word.text))) return null;
    const found = await ask("completions", context.pos);
    if (!found || context.aborted || !found.proposals.length) return null;
    return { from: found.from, options: found.proposals.map(proposal), validFor: /^\w*$/ };
  };
  const hover = hoverTooltip(async (_, place) => {
    const found = await ask("hover", place);
    if (!found) return null;
    return { pos: found.from, end: found.to, above: true, create: () => ({ dom: show(found.text) }) };
  }, { hoverTime: 350 });
  const extensions = [
    lineNumbers(), highlightActiveLineGutter(), lintGutter(), history(), drawSelection(), bracketMatching(), closeBrackets(),
    autocompletion({ override: [complete], icons: false }), highlightActiveLine(), highlightSelectionMatches(), search({ top: true }),
    language(words), syntaxHighlighting(colours), hover,
    EditorState.tabSize.of(4),
    EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0", spellcheck: "false", autocapitalize: "off", autocorrect: "off" }),
    // Tab accepts what is proposed, and else goes on to the next control
    keymap.of([{ key: "Tab", run: acceptCompletion }, ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap]),
    EditorView.updateListener.of((update) => {
      if (update.docChanged && !quiet) changed();
      if (update.docChanged || update.selectionSet) moved(update.selectionSet && !update.docChanged);
    }),
  ];
  const view = new EditorView({ parent, state: EditorState.create({ doc: "", extensions }) });
  const repair = (edits) => {
    view.dispatch({ changes: edits.map(([from, to, insert]) => ({ from, to, insert })), annotations: alone, scrollIntoView: true });
  };
  return {
    view,
    text: () => view.state.doc.toString(),
    line: () => view.state.doc.lineAt(view.state.selection.main.head).number,
    // another text from outside: only what differs is replaced, so that the cursor stays. `own`: it can be undone
    set(text, own = false) {
      const old = view.state.doc.toString(), clean = text.replace(/\r\n?/g, "\n");
      if (old === clean) return;
      let from = 0, end = 0;
      const most = Math.min(old.length, clean.length);
      while (from < most && old[from] === clean[from]) from++;
      while (end < most - from && old[old.length - 1 - end] === clean[clean.length - 1 - end]) end++;
      quiet = !own;
      const annotations = own ? alone : Transaction.addToHistory.of(false);
      view.dispatch({ changes: { from, to: old.length - end, insert: clean.slice(from, clean.length - end) }, annotations });
      quiet = false;
    },
    // change the text by edits `[from, to, insert]`, which are about the text as it stands
    repair(edits) { repair(edits); view.focus(); },
    // messages by offsets; those that are beyond the text are about another one
    marks(list) {
      const about = view.state.doc;
      const length = view.state.doc.length, usable = list.filter((m) => m.from <= length && m.to <= length);
      const found = usable.map((m) => ({
        from: m.from, to: m.to, severity: m.weight === "information" ? "info" : m.weight, source: m.code, message: m.message,
        // a repair is about the text that the message is about: in another one its offsets mean something else
        actions: m.fixes.filter((f) => f.edits.length).map((f) => ({ name: f.title, apply: () => { if (view.state.doc.eq(about)) repair(f.edits); } })),
      }));
      view.dispatch(setDiagnostics(view.state, found));
    },
    go(line) {
      const place = view.state.doc.line(Math.min(Math.max(1, line), view.state.doc.lines));
      view.dispatch({ selection: { anchor: place.from }, scrollIntoView: true });
      view.focus();
    },
  };
}
