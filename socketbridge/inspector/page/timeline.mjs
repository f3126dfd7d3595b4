// Records of the time line, and the explanations of notices.
import { h, clock, duration, plural, path, short, prose } from "./dom.mjs";

export const labels = {
  connected: "connected", disconnected: "disconnected", report: "problem", failed: "event failed", changed: "session changed",
  regenerated: "new session ID", ended: "session ended", unsaved: "not saved", told: "sockets told", handled: "event", sent: "sent", action: "by an administrator",
};
export const kinds = {
  All: [],
  Problems: ["report", "failed", "unsaved"],
  Sessions: ["changed", "regenerated", "ended", "unsaved", "told"],
  Connections: ["connected", "disconnected"],
};
export const bad = (r) => kinds.Problems.includes(r.kind);

export const socketLink = (id) => h("a", { href: path("sockets", id), title: `socket ${id}` }, short(id));
export const sessionLink = (name, user) => h("a", { href: path("sessions", name, user ?? ""), title: `session ${name}` }, short(name));
export const userLink = (user) => h("a", { href: path("users", user) }, h("bdi", {}, user));
const key = (text) => h("code.key", {}, text);

function sentence(r) {
  const by = r.event ? ["event ", h("code", {}, r.event)] : r.request ? [h("code", {}, r.request)] : null;
  const keys = (r.keys ?? []).flatMap((k) => [key(r.values?.[k] === undefined ? k : `${k} = ${r.values[k]}`), " "]);
  if (r.more && r.kind !== "told") keys.push(`and ${r.more} more`);
  switch (r.kind) {
    case "changed": return [by ?? "The app", " changed ", keys.length ? keys : "nothing but the time limit"];
    case "regenerated": return [by ?? "The app", " gave the session a new ID"];
    case "ended": return [by ?? "The app", " ended the session"];
    case "unsaved": return [by ?? "The app", " could not save ", keys, ": ", r.text];
    case "told": return [`${plural(r.told.length + (r.more ?? 0), "socket")} told`, r.text === "changed" ? " of " : `: ${r.text} `, keys, " ",
      h("span.ids", {}, r.told.flatMap((id) => [socketLink(id), " "]))];
    case "failed": return [by, ": ", r.text];
    case "handled": return [by, r.took ? ` took ${duration(r.took)}` : ""];
    case "sent": return [by, " ", r.text];
    case "report": return [by, by ? " " : "", r.text];
    default: return [r.text];
  }
}

// line makes the line of a record. explain(name) opens the explanation of a notice.
function line(r, about, explain, open) {
  const id = `${r.time}-${r.kind}-${r.node}-${r.socket ?? ""}-${r.event ?? ""}-${r.text ?? ""}`;
  const subjects = [
    r.user && about !== "user" ? userLink(r.user) : null,
    r.session && about !== "session" ? sessionLink(r.session, r.user) : null,
    r.socket && about !== "socket" ? socketLink(r.socket) : null,
    r.namespace && r.namespace !== "/" ? h("span", {}, r.namespace) : null,
  ].filter(Boolean);
  const body = h("p.what", {}, sentence(r));
  const who = subjects.length ? h("p.who", {}, subjects.flatMap((s) => [s, " "])) : null;
  const badge = h(`span.badge.${bad(r) ? "bad" : r.kind}`, {}, r.notice || labels[r.kind] || r.kind);
  if (!r.notice) return h("li.record", {}, clock(r.time), badge, h("div", {}, body, who));
  const place = h("div.explanation");
  const button = h(`button.badge.${r.level === "info" ? "info" : "bad"}`, { "aria-expanded": String(open.has(id)), title: "What it means, and what to change", "data-key": `x-${id}` }, r.notice);
  button.addEventListener("click", () => {
    const now = !open.has(id);
    if (now) open.add(id); else open.delete(id);
    button.setAttribute("aria-expanded", String(now));
    if (now) explain(r.notice, place); else place.replaceChildren();
  });
  if (open.has(id)) explain(r.notice, place);
  return h("li.record.bad", {}, clock(r.time), button, h("div", {}, body, who, place));
}

export function timeline(records, { about, explain, open, empty }) {
  if (!records?.length) return h("p.empty", {}, empty ?? "Nothing was recorded yet. Records are kept in memory, since each node's start, and the oldest are dropped first.");
  return h("ol.timeline", {}, records.map((r) => line(r, about, explain, open)));
}

// explanation makes elements of what docs/troubleshooting.md says of a notice.
export function explanation(e, name, setting) {
  if (!e) return h("p", {}, `docs/troubleshooting.md says nothing about ${name}.`);
  return h("dl.explain", {},
    h("dt", {}, "What happened"), h("dd", {}, prose(e.message)),
    h("dt", {}, "What to do"), h("dd", {}, prose(e.todo)),
    setting ? [h("dt", {}, "Setting"), h("dd", {}, h("code", {}, setting))] : null,
    h("dt", {}, "The client sees"), h("dd", {}, prose(e.client)),
    h("dt", {}, "In the log"), h("dd", {}, h("code", {}, `notice=${e.name}`), " (docs/troubleshooting.md)"));
}
