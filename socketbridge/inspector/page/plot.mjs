// Line plots of the last five minutes.
import { h, count, rate, duration, bytes } from "./dom.mjs";

const span = 300; // points, one a second
const svg = (tag, attributes) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
};

// lower is the lower bound of a bucket in microseconds: see histogram in watch.go.
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
  constructor(title, format, series) {
    this.format = format;
    this.series = series.map((name) => ({ name, points: [] }));
    this.legend = h("dl.legend");
    this.top = h("span.top");
    this.drawing = svg("svg", { viewBox: `0 0 ${span} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const y of [0.5, 33, 66]) this.drawing.append(svg("line", { class: "grid", x1: 0, x2: span, y1: y, y2: y }));
    this.cursor = svg("line", { class: "cursor", y1: 0, y2: 100, x1: -9, x2: -9 });
    this.lines = this.series.map((_, k) => svg("path", { class: `line s${k}` }));
    this.drawing.append(...this.lines, this.cursor);
    this.title = h("h3", {}, title);
    this.note = h("span.ago", {}, "5 min ago");
    this.element = h("figure.plot", { role: "group", "aria-label": title },
      h("figcaption", {}, this.title, this.legend),
      h("div.area", {}, this.drawing, this.top), h("div.axis", {}, this.note, h("span", {}, "now")));
    this.drawing.addEventListener("pointermove", (e) => {
      const box = this.drawing.getBoundingClientRect();
      this.at = Math.round(((box.right - e.clientX) / box.width) * this.width());
      this.draw();
    });
    this.drawing.addEventListener("pointerleave", () => { this.at = undefined; this.draw(); });
  }

  add(values) {
    this.series.forEach((s, k) => {
      s.points.push(values[k]);
      if (s.points.length > span) s.points.shift();
    });
    if (this.element.isConnected) this.draw();
  }

  // width is how many seconds are shown: a page that was just opened shows one minute.
  width() {
    return [60, 120, span].find((w) => this.series[0].points.length <= w);
  }

  draw() {
    const all = this.series.flatMap((s) => s.points).filter((v) => v !== undefined);
    const top = Math.max(...all, 0), max = top * 1.15 || 1;
    const length = this.series[0].points.length, width = this.width();
    this.top.textContent = top ? this.format(top) + " at most" : "";
    const back = Math.min(this.at ?? 0, length - 1), x = (i) => span - ((length - 1 - i) * span) / width;
    this.cursor.setAttribute("transform", `translate(${this.at === undefined ? -9 : x(length - 1 - back) + 9})`);
    this.note.textContent = this.at === undefined ? `${width / 60} min ago` : back <= 0 ? "now" : `${back} s ago`;
    this.series.forEach((s, k) => {
      let d = "", pen = "M";
      s.points.forEach((v, i) => {
        if (v === undefined) { pen = "M"; return; }
        d += `${pen}${x(i).toFixed(1)} ${(99 - (v / max) * 98).toFixed(1)}${pen === "M" ? "h0" : ""}`;
        pen = "L";
      });
      this.lines[k].setAttribute("d", d);
    });
    this.legend.replaceChildren(...this.series.flatMap((s, k) => {
      const v = s.points[s.points.length - 1 - Math.max(back, 0)];
      return [h("div", {}, h(`dt.s${k}`, {}, s.name), h("dd", {}, v === undefined ? "–" : this.format(v)))];
    }));
  }
}

// Rates turns summaries, whose counters only grow, into plots.
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

  add(nodes) {
    const sum = { events: 0, errors: 0, sent: 0, refused: 0, saves: 0 };
    const answered = [], stored = [];
    let memory = 0, heap = 0, sockets = 0, known = false;
    for (const n of nodes) {
      memory += n.memory; heap += n.heap; sockets += n.sockets;
      const old = this.before.get(n.id);
      this.before.set(n.id, n);
      const seconds = old ? (n.now - old.now) / 1000 : 0;
      if (seconds <= 0) continue;
      known = true;
      for (const key of Object.keys(sum)) sum[key] += Math.max(0, n[key] - old[key]) / seconds;
      for (const [to, name] of [[answered, "answered"], [stored, "stored"]]) {
        n[name].forEach((c, b) => { to[b] = (to[b] ?? 0) + Math.max(0, c - (old[name][b] ?? 0)); });
      }
    }
    for (const list of [answered, stored]) for (let b = 0; b < list.length; b++) list[b] ??= 0;
    if (known) {
      this.plots.events.add([sum.events, sum.sent]);
      this.plots.wrong.add([sum.errors, sum.refused]);
      this.plots.latency.add([0.5, 0.95, 0.99].map((q) => quantile(answered, q)));
      this.plots.storage.add([0.5, 0.95].map((q) => quantile(stored, q)));
    }
    this.plots.memory.add([memory, heap]);
    this.plots.sockets.add([sockets]);
  }
}
