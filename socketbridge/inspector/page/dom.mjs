// Elements and texts. Everything that comes from the server is set as text, never as markup.

// h makes an element: h("a.row", { href }, child, …). Children are elements, texts, or null.
export function h(kind, attributes, ...children) {
  const [tag, ...classes] = kind.split(".");
  const e = document.createElement(tag || "div");
  if (classes.length) e.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.flat(9).filter((c) => c !== null && c !== undefined && c !== false && c !== ""));
  return e;
}

// show replaces what is in a container, and keeps the focus and the scroll position.
export function show(container, ...children) {
  const focused = container.contains(document.activeElement) && document.activeElement.dataset.key;
  const scroll = container.scrollTop;
  container.replaceChildren(...children.flat(9).filter(Boolean));
  container.scrollTop = scroll;
  if (focused) container.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

// prose makes elements of the Markdown in explanations: `code` and [links](page.md).
export function prose(text) {
  const plain = text.replace(/\[([^\]]+)\]\(([^)]*)\)/g, (_, label, target) =>
    label === target.split("#")[0] ? `docs/${label}` : `${label} (docs/${target.split("#")[0]})`);
  return plain.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
}

const whole = new Intl.NumberFormat("en");
export const count = (n) => whole.format(n ?? 0);
export const plural = (n, word, many = word + "s") => `${count(n)} ${n === 1 ? word : many}`;

export function bytes(n) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024 || unit === "GiB") return `${n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1024;
  }
}

export function duration(us) {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}

export const rate = (n) => (n > 0 && n < 10 ? n.toFixed(1) : count(Math.round(n)));

// ago says how long ago a time in milliseconds was.
export function ago(ms, now = Date.now()) {
  const s = Math.max(0, Math.round((now - ms) / 1000));
  if (s < 5) return "now";
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return plural(Math.floor(s / 86400), "day") + " ago";
}

const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
export const clock = (ms) => h("time", { datetime: new Date(ms).toISOString(), title: date.format(ms) }, time.format(ms));
export const when = (ms) => h("time", { datetime: new Date(ms).toISOString(), title: date.format(ms) }, ago(ms));

export const short = (id) => (id.length > 8 ? id.slice(0, 8) : id);
export const path = (...parts) => "#/" + parts.map(encodeURIComponent).join("/");

// agent names the browser or program of a User-Agent header.
export function agent(text) {
  if (!text) return "unknown client";
  const system = [["iPhone"], ["iPad"], ["Android"], ["Windows"], ["Mac OS X", "macOS"], ["Linux"]].find(([sign]) => text.includes(sign));
  const browser = [["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"]].find(([sign]) => text.includes(sign));
  if (!browser) return text.length > 40 ? text.slice(0, 40) + "…" : text;
  return browser[1] + (system ? ` on ${system[1] ?? system[0]}` : "");
}
