"use strict";
// Columns of numbers and texts with shared templates, as slotlang/page/columns.py writes them.

function expand(coded) {
  const [length, period] = coded, out = new Int32Array(length);
  let at = 0, before = 0;
  for (let n = 2; n < coded.length; n += 3) {
    before += coded[n];
    for (let k = 0; k < coded[n + 2]; k++) out[at++] = before + k * coded[n + 1];
  }
  for (; at < length; at++) out[at] = out[at - period];
  return out;
}

class Texts {
  constructor(coded) {
    this.templates = coded.templates.map((t) => t.split("\0"));
    this.which = expand(coded.which);
    this.numbers = coded.numbers.map((columns) => columns.map(expand));
    // the place of each text among those of its template
    const seen = this.templates.map(() => 0);
    this.place = this.which.map((t) => seen[t]++);
  }
  get length() { return this.which.length; }
  at(n) {
    const t = this.which[n], parts = this.templates[t], k = this.place[n];
    let text = parts[0];
    for (let p = 1; p < parts.length; p++) text += this.numbers[t][p - 1][k] + parts[p];
    return text;
  }
}

// A value, expanded when it is first looked at.
class Value {
  constructor(coded, slots) {
    Object.assign(this, { title: coded.title, family: coded.family, member: coded.member, why: coded.why || "" });
    this.slots = slots;
    this.rows = coded.rows; this.columns = coded.columns || Math.min(slots, 64);
    this.summary = coded.summary || this.why; this.claims = coded.claims || [];
    this.wrongSentence = coded.wrong_sentence || "";
    this.groups = coded.groups ? expand(coded.groups) : null;
    this.distinct = this.groups ? this.groups.reduce((a, b) => Math.max(a, b), -1) + 1 : 0;
    this.wrong = coded.wrong ? expand(coded.wrong) : null;
    this.texts = coded.texts ? new Texts(coded.texts) : null;
    this.described = coded.described;
    this.results = (coded.results || []).map(([name, part, shape, at]) => ({ name, part, shape, at: expand(at) }));
    this.reads = coded.reads && coded.reads.map(([family, member, source, read]) => ({
      family, member, title: memberTitle(family, member),
      step: typeof source === "number" ? source : null,
      source: typeof source === "number" ? null : expand(source),
      read: read === 1 ? null : expand(read),
    }));
  }
  text(slot) {
    if (!this.texts) return this.why || "not known";
    const n = this.described === "groups" ? this.groups[slot] : slot;
    if (this.described === "groups" && n < 0) return "0";
    return n < this.texts.length ? this.texts.at(n) : "a sum too long to write out here";
  }
  // the elements of results that a slot, or its real or imaginary part, is proved to hold
  elements(slot) {
    return this.results.filter((r) => r.at[slot] >= 0).map((r) => {
      const indices = [];
      let rest = r.at[slot];
      for (const size of [...r.shape].reverse()) { indices.unshift(rest % size); rest = Math.floor(rest / size); }
      return { part: r.part, text: `${r.name}${indices.length ? `[${indices.join(", ")}]` : ""}` };
    });
  }
  // what a cell says of its slot: with the element that it is, or, where that takes more room than there is, that alone
  label(slot, fits) {
    const sum = this.text(slot).replace(/^sum of ([\d,]+) products, e\.g\. /, "\u03a3$1 ").replace(/(?<!^\u03a3[\d,]*) /g, "");
    const found = this.elements(slot), held = found.map((e) => e.text.replace(/, /g, ",")).join(";");
    const parts = found.map((e) => e.part).filter(Boolean).join(";");
    const whole = held && held !== sum ? `${held} = ${parts ? `${parts} ` : ""}${sum}` : sum;
    return !held || fits(whole) ? whole : held;
  }
  // the slots that a slot is computed from
  origins(slot) {
    const found = [];
    for (const r of this.reads || []) {
      if (r.read && !r.read[slot]) continue;
      const from = r.source ? r.source[slot] : (slot + r.step) % this.slots;
      found.push({ family: r.family, member: r.member, title: r.title, slot: from, step: r.step });
    }
    return found;
  }
}

function memberTitle(family, member) {
  if (family.includes(":")) return member.reduce((name, i) => name.replace(":", i), family);
  return member.length ? `${family}[${member.join(", ")}]` : family;
}
