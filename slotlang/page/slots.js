"use strict";
// The slots of a value on a canvas: a cell for each, one colour for each content.

const dark = matchMedia("(prefers-color-scheme: dark)");

function css(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

function colour(group, distinct) {
  if (group < 0) return css("--panel");
  // hues from 75 to 345 degrees: red is left for what is wrong
  const hue = distinct <= 8 ? 75 + 270 * ((group * 5) % 8) / 8 : 75 + 270 * group / Math.max(1, distinct - 1);
  const light = (dark.matches ? 36 : 76) + (group % 2 ? 8 : 0);
  return `hsl(${hue} ${dark.matches ? 45 : 60}% ${light}%)`;
}

const CELL_FONT = "11px ui-monospace, monospace", NARROW = 84, MOST_MEASURED = 512;
const pen = document.createElement("canvas").getContext("2d");

function textWidth(text, font = CELL_FONT) {
  if (pen.font !== font) pen.font = font;
  return pen.measureText(text).width;
}

class SlotGrid {
  constructor(canvas, chosen, hovered) {
    this.canvas = canvas; this.value = null; this.slot = 0; this.hovered = null;
    this.fits = (text) => textWidth(text) <= this.cell - 6;
    canvas.addEventListener("mousemove", (e) => hovered(this.at(e)));
    canvas.addEventListener("mouseleave", () => hovered(null));
    canvas.addEventListener("click", (e) => { const s = this.at(e); if (s !== null) chosen(s); });
    canvas.addEventListener("keydown", (e) => this.key(e, chosen));
  }
  key(event, chosen) {
    if (!this.value) return;
    const row = this.across, last = this.value.slots - 1;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, PageUp: -8 * row, PageDown: 8 * row };
    let to = null;
    if (event.key in moves) to = this.slot + moves[event.key];
    else if (event.key === "Home") to = 0;
    else if (event.key === "End") to = last;
    if (to === null) return;
    event.preventDefault();
    if (to >= 0 && to <= last) { chosen(to); this.reveal(); }
  }
  at(event) {
    if (!this.value) return null;
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.cell), row = Math.floor((event.clientY - box.top) / this.high);
    const slot = row * this.across + column;
    return column >= 0 && column < this.across && slot >= 0 && slot < this.value.slots ? slot : null;
  }
  reveal() {
    const box = this.canvas.parentElement, top = Math.floor(this.slot / this.across) * this.high;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + this.high > box.scrollTop + box.clientHeight) box.scrollTop = top + this.high - box.clientHeight;
  }
  show(value, slot) {
    if (value !== this.value) { this.value = value; this.image = null; }
    this.slot = slot;
    this.draw();
  }
  // as many columns as the value has, or as there is room for
  measure() {
    const width = Math.max(120, this.canvas.parentElement.clientWidth - 2), v = this.value;
    let across = v.columns;
    if (width / across < 5) {
      const most = Math.floor(width / 5);
      across = most;
      for (let n = most; n > most / 2; n--) if (v.columns % n === 0) { across = n; break; }
    }
    // many short rows stand side by side
    while (v.slots / across > 64 && width / (2 * across) >= 6 && v.slots % (2 * across) === 0) across *= 2;
    this.across = across;
    this.cell = Math.min(this.widest(Math.floor(width / across)), Math.max(3, Math.floor(width / across)));
    this.down = Math.ceil(v.slots / across);
    // browsers draw no canvas that is much longer
    this.high = Math.max(3, Math.min(28, this.cell, Math.floor(6000 / this.down)));
  }
  // no cell is wider than what it says; what there is room for, of a value's first slots, is measured once for each room
  widest(room) {
    if (room <= NARROW) return NARROW;
    const v = this.value;
    if (!v.wide || v.wide.room !== room) {
      const fits = (text) => textWidth(text) <= room - 8;
      let most = 0;
      for (let s = 0; s < Math.min(v.slots, MOST_MEASURED); s++) most = Math.max(most, textWidth(v.label(s, fits)));
      v.wide = { room, cell: Math.max(NARROW, Math.ceil(most) + 8) };
    }
    return v.wide.cell;
  }
  draw() {
    if (!this.value) return;
    this.measure();
    const v = this.value, scale = window.devicePixelRatio || 1, w = this.across * this.cell, h = this.down * this.high;
    const c = this.canvas, key = `${w}x${h}@${scale}${dark.matches}`;
    if (!this.image || this.key_ !== key) {
      // everything but the chosen slot is drawn once
      this.key_ = key;
      this.image = document.createElement("canvas");
      this.image.width = w * scale; this.image.height = h * scale;
      const g = this.image.getContext("2d");
      g.scale(scale, scale);
      this.cells(g, v);
      c.width = w * scale; c.height = h * scale;
      c.style.width = `${w}px`; c.style.height = `${h}px`;
    }
    const g = c.getContext("2d");
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, c.width, c.height);
    g.drawImage(this.image, 0, 0);
    g.scale(scale, scale);
    if (this.hovered !== null && this.hovered < v.slots) this.frame(g, this.hovered, css("--ink"), 1);
    this.frame(g, this.slot, css("--focus"), 2);
  }
  cells(g, v) {
    const gap = this.cell > 6 ? 1 : 0, neutral = css("--line"), wrong = css("--wrong"), ink = css("--ink"), known = new Map();
    for (let s = 0; s < v.slots; s++) {
      const x = (s % this.across) * this.cell, y = Math.floor(s / this.across) * this.high;
      const group = v.groups ? v.groups[s] : null;
      if (!known.has(group)) known.set(group, group === null ? neutral : colour(group, v.distinct));
      g.fillStyle = known.get(group);
      g.fillRect(x, y, this.cell - gap, this.high - gap);
      if (v.wrong && v.wrong[s]) {
        // a cross as well as a colour
        g.strokeStyle = wrong; g.lineWidth = this.cell > 12 ? 2 : 1;
        g.strokeRect(x + 1, y + 1, this.cell - gap - 2, this.high - gap - 2);
        g.beginPath(); g.moveTo(x + 1, y + 1); g.lineTo(x + this.cell - gap - 1, y + this.high - gap - 1); g.stroke();
      }
      if (this.cell >= 44 && this.high >= 14) {
        g.save(); g.beginPath(); g.rect(x, y, this.cell - 2, this.high); g.clip();
        g.fillStyle = ink; g.font = CELL_FONT; g.textBaseline = "middle";
        g.fillText(v.label(s, this.fits), x + 3, y + this.high / 2);
        g.restore();
      }
    }
  }
  frame(g, slot, stroke, width) {
    const x = (slot % this.across) * this.cell, y = Math.floor(slot / this.across) * this.high;
    g.strokeStyle = stroke; g.lineWidth = width;
    g.strokeRect(x, y, Math.max(3, this.cell - 1), Math.max(3, this.high - 1));
  }
}

// Two rows of slots, what is read above and what is computed below, with an arrow for each slot that moves.
function drawArrows(canvas, slots, read, chosen) {
  const width = Math.max(200, canvas.parentElement.clientWidth - 26), height = 110, scale = window.devicePixelRatio || 1;
  canvas.width = width * scale; canvas.height = height * scale; canvas.style.height = `${height}px`;
  const g = canvas.getContext("2d");
  g.scale(scale, scale);
  const x = (slot) => 6 + (width - 12) * (slot + 0.5) / slots, top = 22, bottom = 88;
  g.fillStyle = css("--pale"); g.font = "12px system-ui, sans-serif";
  g.fillText(read.title, 6, 14); g.fillText("this value", 6, height - 6);
  const every = Math.max(1, Math.ceil(slots / 64));
  const source = (s) => (read.source ? read.source[s] : (s + read.step) % slots);
  const line = (s, stroke, wide) => {
    const from = source(s), wraps = read.source === null && from !== s + read.step;
    g.strokeStyle = stroke; g.lineWidth = wide;
    g.setLineDash(wraps ? [4, 3] : []);
    g.beginPath(); g.moveTo(x(from), top); g.lineTo(x(s), bottom); g.stroke();
    g.setLineDash([]);
    const angle = Math.atan2(bottom - top, x(s) - x(from));
    g.beginPath(); g.moveTo(x(s), bottom);
    g.lineTo(x(s) - 6 * Math.cos(angle - 0.4), bottom - 6 * Math.sin(angle - 0.4));
    g.lineTo(x(s) - 6 * Math.cos(angle + 0.4), bottom - 6 * Math.sin(angle + 0.4));
    g.fillStyle = stroke; g.fill();
  };
  g.fillStyle = css("--line"); g.fillRect(6, top - 4, width - 12, 3); g.fillRect(6, bottom + 1, width - 12, 3);
  for (let s = 0; s < slots; s += every) if (!read.read || read.read[s]) line(s, css("--unsure"), 1);
  if (!read.read || read.read[chosen]) line(chosen, css("--focus"), 3);
  return every;
}
