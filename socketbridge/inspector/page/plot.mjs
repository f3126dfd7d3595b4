// Line plots of the last five minutes.
import { h, count, rate, duration, bytes } from "./dom.mjs";

const span = 300; // seconds
const svg = (tag, attributes) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
};

// lower is the lower bound of a bucket in microseconds: see histogram in counts.go.
const lower = (b) => (b < 4 ? b : 2 ** (Math.floor(b / 4) + 1) * (1 + (b % 4) / 4));

// quantile returns a quantile of the counts of a histogram, in microseconds, or undefined.
export function quantile(counts, q) {
  const total = counts.reduce((a, b) => a + b, 0);
  if (!total) return undefined;
  let seen = 0;
  for (let b = 0; b < counts.length; b++) {
    if (counts[b] && (seen + counts[b]) / total >= q) {
      return lower(b) + (lower(b + 1) - lower(b)) * ((q * total - seen) / counts[b]);
    }
    seen += counts[b];
  }
  return lower(counts.length);
}

// Plot is a figure with one or more series.
export class Plot {
  points = []; // { at, values }, the oldest first; at is in milliseconds

  constructor(title, format, series) {
    this.format = format;
    this.series = series;
    this.legend = h("dl.legend");
    this.top = h("span.top");
    this.drawing = svg("svg", { viewBox: `0 0 ${span} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const y of [0.5, 33, 66]) this.drawing.append(svg("line", { class: "grid", x1: 0, x2: span, y1: y, y2: y }));
    this.cursor = svg("line", { class: "cursor", y1: 0, y2: 100, x1: -9, x2: -9 });
    this.lines = series.map((_, k) => svg("path", { class: `line s${k}` }));
    this.drawing.append(...this.lines, this.cursor);
    this.note = h("span.ago", {}, "5 min ago");
    this.element = h("figure.plot", { role: "group", "aria-label": title },
      h("figcaption", {}, h("h3", {}, title), this.legend),
      h("div.area", {}, this.drawing, this.top), h("div.axis", {}, this.note, h("span", {}, "now")));
    this.drawing.addEventListener("pointermove", (e) => {
      const box = this.drawing.getBoundingClientRect();
      this.age = ((box.right - e.clientX) / box.width) * this.width();
      this.draw();
    });
    this.drawing.addEventListener("pointerleave", () => { this.age = undefined; this.draw(); });
  }

  add(at, values) {
    this.points.push({ at, values });
    while (this.points[0].at < at - span * 1000) this.points.shift();
    if (this.element.isConnected) this.draw();
  }

  // load replaces the points.
  load(points) {
    this.points = points;
    if (this.element.isConnected) this.draw();
  }

  ageOf(point) {
    return (this.points.at(-1).at - point.at) / 1000;
  }

  // width is how many seconds are shown: fewer than all if the nodes have just been started.
  width() {
    return [60, 120].find((w) => !this.points.length || this.ageOf(this.points[0]) <= w) ?? span;
  }

  draw() {
    const width = this.width(), x = (point) => span - (this.ageOf(point) * span) / width;
    const top = this.points.reduce((max, p) => p.values.reduce((max, v) => Math.max(max, v ?? 0), max), 0), scale = 98 / (top * 1.15 || 1);
    const distance = (p) => Math.abs(this.ageOf(p) - (this.age ?? 0));
    const shown = this.points.reduce((a, b) => (a && distance(a) < distance(b) ? a : b), undefined);
    const ago = shown && Math.round(this.ageOf(shown));
    this.top.textContent = top ? this.format(top) + " at most" : "";
    this.cursor.setAttribute("transform", `translate(${this.age === undefined || !shown ? -9 : x(shown) + 9})`);
    this.note.textContent = this.age === undefined ? `${width / 60} min ago` : ago ? `${ago} s ago` : "now";
    this.lines.forEach((line, k) => {
      let d = "", pen = "M";
      for (const p of this.points) {
        const v = p.values[k];
        if (v !== undefined) d += `${pen}${x(p).toFixed(1)} ${(99 - v * scale).toFixed(1)}${pen === "M" ? "h0" : ""}`;
        pen = v === undefined ? "M" : "L";
      }
      line.setAttribute("d", d);
    });
    this.legend.replaceChildren(...this.series.map((name, k) => h("div", {}, h(`dt.s${k}`, {}, name),
      h("dd", {}, shown?.values[k] === undefined ? "–" : this.format(shown.values[k])))));
  }
}

const quantiles = { latency: [0.5, 0.95, 0.99], storage: [0.5, 0.95] };

// Sum adds up what nodes have counted in a time.
class Sum {
  events = 0; sent = 0; errors = 0; refused = 0; memory = 0; heap = 0; sockets = 0;
  answered = []; stored = [];

  // count adds counts of a number of seconds.
  count(counts, seconds) {
    for (const key of ["events", "sent", "errors", "refused"]) this[key] += counts[key] / seconds;
  }

  bucket(histogram, b, n) {
    while (this[histogram].length <= b) this[histogram].push(0);
    this[histogram][b] += n;
  }

  hold(node) {
    for (const key of ["memory", "heap", "sockets"]) this[key] += node[key];
  }

  values() {
    return {
      events: [this.events, this.sent],
      latency: quantiles.latency.map((q) => quantile(this.answered, q)),
      wrong: [this.errors, this.refused],
      storage: quantiles.storage.map((q) => quantile(this.stored, q)),
      memory: [this.memory, this.heap],
      sockets: [this.sockets],
    };
  }
}

// Rates turns summaries, whose counters only grow, and the histories of nodes into plots.
export class Rates {
  before = new Map();
  plots = {
    events: new Plot("Events a second", rate, ["received", "sent"]),
    latency: new Plot("Time to answer an event", duration, ["median", "p95", "p99"]),
    wrong: new Plot("Failed and refused a second", rate, ["events failed", "refused"]),
    storage: new Plot("Session storage", duration, ["median", "p95"]),
    memory: new Plot("Memory", bytes, ["process", "objects"]),
    sockets: new Plot("Sockets", count, ["sockets"]),
  };

  add(nodes, at = Date.now()) {
    const sum = new Sum(), grown = (now, old) => Math.max(0, now - (old ?? 0));
    let known = false;
    for (const n of nodes) {
      sum.hold(n);
      const old = this.before.get(n.id);
      this.before.set(n.id, n);
      const seconds = old ? (n.now - old.now) / 1000 : 0;
      if (seconds <= 0) continue;
      known = true;
      sum.count(Object.fromEntries(["events", "sent", "errors", "refused"].map((key) => [key, grown(n[key], old[key])])), seconds);
      for (const name of ["answered", "stored"]) n[name].forEach((c, b) => sum.bucket(name, b, grown(c, old[name][b])));
    }
    const values = sum.values();
    for (const [name, plot] of Object.entries(this.plots)) if (known || name === "memory" || name === "sockets") plot.add(at, values[name]);
  }

  // load replaces the points by those of the nodes' histories. The nodes' clocks differ, so each
  // point has an age, and the points of all nodes that are nearest to an age are added up.
  load(histories, at = Date.now()) {
    histories = histories.filter((h) => h.points?.length);
    const every = Math.max(...histories.map((h) => h.every)), newest = Math.min(...histories.map((h) => h.now - h.points.at(-1).time));
    const points = [];
    for (let k = histories.length ? Math.floor((span * 1000 - newest) / every) : -1; k >= 0; k--) {
      const age = newest + k * every;
      const sum = new Sum();
      let nodes = 0;
      for (const { now, points } of histories) {
        const distance = (p) => Math.abs(now - p.time - age);
        const p = points.reduce((a, b) => (a && distance(a) < distance(b) ? a : b), undefined);
        if (distance(p) > every * 0.75) continue;
        nodes++;
        sum.hold(p);
        sum.count(p, p.span / 1000);
        for (const name of ["answered", "stored"]) for (let k = 0; k < p[name].length; k += 2) sum.bucket(name, p[name][k], p[name][k + 1]);
      }
      if (nodes) points.push({ at: at - age, values: sum.values() });
    }
    if (points.length) for (const [name, plot] of Object.entries(this.plots)) plot.load(points.map((p) => ({ at: p.at, values: p.values[name] })));
  }
}
