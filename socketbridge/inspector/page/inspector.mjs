// The page: routes, lists, details, keyboard.
import { connect, Forbidden } from "./link.mjs";
import { h, show, count, plural, bytes, duration, ago, when, short, path, agent } from "./dom.mjs";
import { Rates } from "./plot.mjs";
import { timeline, explanation, kinds, bad, socketLink, sessionLink, userLink } from "./timeline.mjs";

const $ = (id) => document.getElementById(id);
const [list, detail, box] = [$("list"), $("detail"), $("q")];
const views = ["overview", "users", "sessions", "sockets", "rooms", "problems", "timeline"];
const titles = { overview: "Overview", users: "Users", sessions: "Sessions", sockets: "Sockets", rooms: "Rooms", problems: "Problems", timeline: "Time line" };
const hints = { overview: "Find a user", users: "Find a user", sessions: "Find a session or user", sockets: "ID, user or address", rooms: "Find a room", problems: "Find a problem", timeline: "Event, key, user, text" };

const rates = new Rates();
const open = new Set(); // explanations that are open
const explained = new Map();
let nodes = [], summary, route, filterKind = "All", poll, asked = 0, state = "wait";

const link = connect({ onstate, onsummary });
const nodeName = (id) => {
  const n = nodes.find((n) => n.id === id);
  const label = (n) => `${n.host || "node"}:${n.pid}`;
  if (n) return nodes.some((o) => o !== n && label(o) === label(n)) ? `${label(n)} ${short(id)}` : label(n);
  return id ? `node ${short(id)}` : "a node without inspector";
};

function onstate(next) {
  state = next;
  $("state").className = next;
  $("state").textContent = { on: "live", wait: "connecting", forbidden: "no access" }[next];
  $("banner").hidden = next !== "forbidden";
  if (next === "forbidden") {
    show($("banner"), "You may not see this page any more. Log in as an administrator and ", h("a", { href: location.href, onclick: () => location.reload() }, "load it again"), ".");
    clearTimeout(poll);
    show(list); show(detail);
  }
  if (next === "on") { loadHistory(); refresh(); }
}

// loadHistory fills the plots with what the nodes know of the time before this page was watching.
async function loadHistory() {
  try {
    rates.load((await link.ask("history")).histories ?? []);
  } catch {
    // A node of an older version keeps no history: the plots begin now.
  }
}

function onsummary(answer) {
  if (state === "forbidden") return;
  [summary, nodes] = [answer, (answer.nodes ?? []).sort((a, b) => (a.host + a.pid < b.host + b.pid ? -1 : 1))];
  rates.add(nodes);
  drawNav();
  if (route.view === "overview") overview();
  if (route.view === "problems") problems();
}

// Problems of all nodes together, the latest first.
function allProblems() {
  const all = new Map();
  for (const n of nodes) for (const p of n.problems ?? []) {
    const one = all.get(p.name) ?? { ...p, count: 0, last: 0, nodes: 0 };
    one.count += p.count; one.last = Math.max(one.last, p.last ?? 0); one.nodes++;
    all.set(p.name, one);
  }
  return [...all.values()].sort((a, b) => b.last - a.last);
}

// Routes: #/view/part/part?search

function parse() {
  const [address, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = address.split("/").filter((p, i) => i === 0 ? p : true).map((p) => { try { return decodeURIComponent(p); } catch { return p; } });
  const view = views.includes(parts[0]) ? parts[0] : "overview";
  return { view, parts: parts.slice(1).filter((p, i) => i > 0 || p !== ""), search: new URLSearchParams(search).get("q") ?? "" };
}

function follow() {
  const before = route;
  route = parse();
  if (box.value !== route.search && document.activeElement !== box) box.value = route.search;
  box.placeholder = hints[route.view];
  const single = route.view === "overview" || route.view === "timeline";
  document.body.className = `view-${route.view} ${single ? "single" : route.parts.length ? "has-detail" : "no-detail"}`;
  document.title = `${route.parts[0] ?? titles[route.view]} · Inspector`;
  drawNav();
  if (before?.view !== route.view || before.search !== route.search) show(list, h("p.empty", {}, "Asking the nodes…"));
  if (single) show(detail);
  else if (!route.parts.length) show(detail, h("p.empty.pick", {}, { problems: "Choose a problem to see what it means and what to change." }[route.view] ?? `Choose one of the ${route.view} to see its details.`));
  else if (before?.parts.join() !== route.parts.join()) {
    show(detail, h("p.empty", {}, "Asking the nodes…"));
    if (before && matchMedia("(max-width: 760px)").matches) scrollTo(0, 0);
  }
  return refresh();
}

function drawNav() {
  const wrong = allProblems().filter((p) => p.level !== "info" && Date.now() - p.last < 300_000).length;
  show(document.querySelector("nav"), views.map((v) => h("a", {
    href: path(v), "data-key": `nav-${v}`, "aria-current": route.view === v ? "page" : null,
  }, titles[v], v === "problems" && wrong ? h("span.n", { title: "kinds of warnings and errors in the last 5 minutes" }, wrong) : null)));
}

// refresh asks for what is shown, and again later: the longer an answer takes, the later.
async function refresh() {
  clearTimeout(poll);
  if (state !== "on" || document.hidden) return;
  const mine = ++asked, began = performance.now();
  try {
    await Promise.all([drawList(mine), drawDetail(mine)]);
  } catch (error) {
    if (mine === asked) show(route.parts.length ? detail : list, h("p.empty", {}, `No answer: ${error.message}. The page tries again.`));
  }
  if (mine === asked) poll = setTimeout(refresh, Math.max(3000, (performance.now() - began) * 40));
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) { if (state === "on") loadHistory(); refresh(); } });

const current = (mine) => mine === asked;

// Lists

const row = (href, key, main, ...meta) => h("li", {}, h("a.row", { href, "data-key": key, "aria-current": location.hash.split("?")[0] === href ? "true" : null },
  h("span.main", {}, main), h("span.meta", {}, meta.filter(Boolean).flatMap((m, i) => (i ? [" · ", m] : [m])))));
const withSearch = (href) => (route.search ? `${href}?q=${encodeURIComponent(route.search)}` : href);

let more = "", pages = []; // of the list that is shown
async function drawList(mine) {
  const { view, search } = route;
  if (view === "overview") return overview();
  if (view === "problems") return problems();
  if (view === "timeline") return drawTimeline(mine);
  const key = `${view}?${search}`;
  if (more !== key) [more, pages] = [key, [""]];
  const answer = await link.ask(view, { search, after: pages.at(-1) });
  if (!current(mine)) return;
  const on = (r) => (nodes.length > 1 ? [...new Set(r.nodes ?? [r.node])].map(nodeName).join(", ") : null);
  const make = {
    users: (r) => [r.user, row(path("users", r.user), r.user, h("bdi", {}, r.user), plural(r.sockets, "socket"), on(r))],
    sessions: (r) => [r.session, row(path("sessions", r.session, r.user ?? ""), r.session, [h("code", {}, short(r.session)), " ", h("bdi", {}, r.user || "no user")], plural(r.sockets, "socket"), on(r))],
    sockets: (r) => [r.id, row(path("sockets", r.id), r.id, [h("code", {}, short(r.id)), " ", h("bdi", {}, r.user || "no user")], r.namespace === "/" ? null : h("bdi", {}, r.namespace), r.address, r.transport, on(r))],
    rooms: (r) => [`${r.room}\0${r.namespace}`, row(path("rooms", r.namespace, r.room), r.room + r.namespace, h("bdi", {}, r.room), plural(r.sockets, "socket"), r.namespace === "/" ? null : h("bdi", {}, r.namespace), on(r))],
  }[view];
  const rows = (answer[view] ?? []).map(make);
  const exact = view === "users" && search && !rows.some(([key]) => key === search);
  const empty = {
    users: "No user is connected. Sessions have users if fibersession.Config.UserKey is set and the app calls Login.",
    sessions: "No session has a socket. Sessions without sockets are listed with their user.",
    sockets: "No socket is connected.",
    rooms: "No socket is in a room. Rooms exist while sockets are in them: Socket.Join.",
  };
  show(list,
    h("h2", {}, titles[view], " ", h("span.count", {}, answer.total)),
    warning(answer),
    exact ? h("ul.rows", {}, row(path("users", search), `exact-${search}`, ["Look up “", h("bdi", {}, search), "”"], "also if not connected")) : null,
    rows.length ? h("ul.rows", {}, rows.map(([, r]) => r)) : h("p.empty", {}, search ? ["Nothing that is connected matches “", h("bdi", {}, search), "”."] : empty[view]),
    h("p.pages", {},
      pages.length > 1 ? h("button", { "data-key": "prev", onclick: () => { pages.pop(); refresh(); } }, "← Back") : null,
      rows.length === 50 ? h("button", { "data-key": "next", onclick: () => { pages.push(rows.at(-1)[0]); refresh(); } }, "Next 50 →") : null));
}

const warning = (answer) => answer.missing ? h("p.warning", {}, "A node has not answered in time: what it knows is missing here.") : null;

function problems() {
  const all = allProblems().filter((p) => p.name.includes(route.search.toLowerCase()));
  show(list, h("h2", {}, "Problems ", h("span.count", {}, all.length)),
    all.length ? h("ul.rows", {}, all.map((p) => row(path("problems", p.name), p.name,
      [h(`span.level.${p.level}`, { title: p.level }, ""), h("code", {}, p.name)],
      `${count(p.count)}×`, p.last ? when(p.last) : "before the inspector was mounted", p.level)))
      : h("p.empty", {}, route.search ? "No problem has this in its name." : "Nothing was refused, dropped or failed."));
}

async function drawTimeline(mine) {
  const answer = await link.ask("timeline", { filter: { kinds: kinds[filterKind], text: route.search } });
  if (!current(mine)) return;
  show(list, h("h2", {}, "Time line"), warning(answer),
    h("div.chips", { role: "group", "aria-label": "Which records" }, Object.keys(kinds).map((k) => h("button", { "data-key": `kind-${k}`, "aria-pressed": String(k === filterKind), onclick: () => { filterKind = k; refresh(); } }, k))),
    timeline(answer.records, { explain, open }));
}

// Overview

const tiles = h("dl.tiles"), plots = h("div.plots", {}, Object.values(rates.plots).map((p) => p.element)), below = h("div");
function overview() {
  if (!summary) return show(list, h("p.empty", {}, "Waiting for the first summary…"));
  const sum = (key) => nodes.reduce((a, n) => a + n[key], 0);
  show(tiles, [["sockets", "Sockets", sum("sockets"), "sockets"], ["connections", "Connections", sum("connections")], ["users", "Users", sum("users"), "users"], ["nodes", "Nodes", nodes.length + (summary.strangers ?? 0)]].map(([key, name, n, to]) =>
    h("div", {}, h("dt", {}, to ? h("a", { href: path(to), "data-key": `tile-${key}` }, name) : name), h("dd", {}, count(n)))));
  const wrong = allProblems().slice(0, 6);
  show(below,
    h("section", {}, h("h2", {}, "Latest problems"), wrong.length ? h("ul.rows", {}, wrong.map((p) => row(path("problems", p.name), p.name,
      [h(`span.level.${p.level}`, {}, ""), h("code", {}, p.name)], p.level, `${count(p.count)}×`, p.last ? when(p.last) : "earlier"))) : h("p.empty", {}, "Nothing was refused, dropped or failed.")),
    h("section", {}, h("h2", {}, "Nodes"), warning(summary), h("ul.rows.nodes", {}, nodes.map((n) => h("li", {}, h("div.row", {},
      h("span.main", {}, nodeName(n.id)), h("span.meta", {}, [plural(n.sockets, "socket"), plural(n.connections, "connection"), bytes(n.memory), plural(n.goroutines, "goroutine"), `up ${ago(n.started).replace(" ago", "")}`].join(" · ")))))),
      summary.strangers ? h("p.warning", {}, `${plural(summary.strangers, "node")} without an inspector, or not answering: mount inspector.New on every node to see ${summary.strangers === 1 ? "it" : "them"} here.`) : null));
  if (!list.contains(tiles)) show(list, h("h2.hidden", {}, "Overview"), tiles, plots, below);
  for (const p of Object.values(rates.plots)) p.draw();
}

// Details

const head = (kind, name, ...rest) => h("div.head", {}, h("a.back", { href: withSearch(path(route.view)), "data-key": "back" }, "← ", titles[route.view]), h("p.kind", {}, kind), h("h2", {}, h("bdi", {}, name)), rest);
const part = (title, ...content) => h("section.part", {}, h("h3", {}, title), content);
const endButton = (label, target, title, text) => h("button.danger", { "data-key": `end-${label}`, onclick: () => confirmEnd(label, target, title, text) }, label);

const socketRows = (sockets) => h("ul.rows", {}, sockets.map((s) => row(path("sockets", s.id), s.id,
  [h("code", {}, short(s.id)), " ", agent(s.agent)], s.address, s.transport, ["since ", when(s.since)],
  nodes.length > 1 || !s.node ? nodeName(s.node) : null, s.namespace === "/" ? null : h("bdi", {}, s.namespace),
  s.rooms.length ? ["in ", s.rooms.flatMap((r, i) => [i ? ", " : "", h("bdi", {}, r)]), s.more ? ` and ${s.more} more` : ""] : h("strong", {}, "in no room"))));

async function drawDetail(mine) {
  const { view, parts } = route;
  if (!parts.length || view === "overview" || view === "timeline") return;
  const draw = { users: userDetail, sessions: sessionDetail, sockets: socketDetail, rooms: roomDetail, problems: problemDetail }[view];
  const content = await draw(...parts);
  if (current(mine)) show(detail, content);
}

async function userDetail(user) {
  const [a, t, sent] = await Promise.all([link.ask("user", { user }), link.ask("timeline", { filter: { user } }), link.ask("sent")]);
  const sockets = a.sockets ?? [], records = t.records ?? [];
  return [
    head("User", user, h("p.status", {}, sockets.length ? `${plural(a.total, "socket")} on ${plural(new Set(sockets.map((s) => s.node)).size, "node")}` : "not connected")),
    warning(a),
    part("What stands out", standsOut(sockets, records, sent.sent ?? [])),
    part("Sockets", sockets.length ? socketRows(sockets) : h("p.empty", {}, "No socket of this user is connected.")),
    part("Sessions", sessions(a, user)),
    part("Time line", timeline(records, { about: "user", explain, open, empty: "Nothing was recorded of this user since the nodes have started. While this page is open, each of the user's events is recorded." })),
  ];
}

function sessions(a, user) {
  const all = new Map((a.devices ?? []).map((d) => [d.session, d]));
  for (const v of a.values ?? []) all.set(v.session, { ...all.get(v.session), ...v });
  const end = all.size ? endButton("Log out everywhere", { user }, `Log ${user} out everywhere?`, "All sessions of the user end, on all devices, and their sockets are disconnected.") : null;
  return [
    a.error ? h("p.warning", {}, a.error) : null,
    all.size ? h("ul.rows", {}, [...all.values()].map((s) => row(path("sessions", s.session, user), s.session,
      [h("code", {}, short(s.session)), " ", s.agent !== undefined ? agent(s.agent) : ""], s.address, s.lastSeen ? ["used ", when(s.lastSeen)] : null,
      s.keys ? `keys: ${s.keys.map((k) => (s.values?.[k] === undefined ? k : `${k} = ${s.values[k]}`)).join(", ") || "none"}` : null)))
      : h("p.empty", {}, "This user has no session."), end];
}

// standsOut lists what may be the cause of a user's trouble.
function standsOut(sockets, records, sent) {
  const found = [];
  const note = (...text) => found.push(h("li", {}, text));
  const groups = new Map();
  for (const r of records.filter(bad)) {
    const key = `${r.notice ?? r.kind} ${r.event ?? ""}`;
    const g = groups.get(key) ?? { r, n: 0 };
    g.n++;
    groups.set(key, g);
  }
  for (const { r, n } of groups.values()) {
    const id = `out-${r.notice}-${r.event ?? ""}`, place = h("div.explanation");
    const button = h("button.badge.bad", { "data-key": id, "aria-expanded": String(open.has(id)), title: "What it means, and what to change" }, r.notice ?? "not saved");
    button.onclick = () => {
      const now = !open.has(id);
      if (now) open.add(id); else open.delete(id);
      button.setAttribute("aria-expanded", String(now));
      if (now) explain(r.notice, place); else place.replaceChildren();
    };
    if (open.has(id)) explain(r.notice, place);
    note(button, ` ${count(n)}×, `, when(r.time), r.event ? [" · event ", h("code", {}, r.event)] : "", r.text ? [": ", r.text] : "", place);
  }
  const left = records.find((r) => r.kind === "disconnected");
  if (!sockets.length) note(h("strong", {}, "Not connected."), left ? [" The last socket left ", when(left.time), ": ", h("code", {}, left.text), "."] : " No connection was recorded.", " Events to this user reach nothing.");
  const rooms = new Set(sockets.flatMap((s) => s.rooms)), complete = !sockets.some((s) => s.more);
  for (const s of sockets) if (!s.rooms.length) note("Socket ", socketLink(s.id), " is ", h("strong", {}, "in no room"), ": it gets what is sent to all, to its session or to its user. Look where the app calls Socket.Join.");
  const missed = sent.filter((e) => sockets.length && complete && e.rooms.length && !e.more && !e.rooms.some((r) => rooms.has(r) || sockets.some((s) => s.id === r)));
  for (const e of missed.slice(0, 5)) note("Not reached by event ", h("code", {}, e.event), " to ", e.rooms.flatMap((r, i) => [i ? ", " : "", h("a", { href: path("rooms", e.namespace, r) }, h("bdi", {}, r))]), ` (${count(e.count)}×, `, when(e.last), "): no socket of this user is in ", e.rooms.length > 1 ? "these rooms." : "this room.");
  return found.length ? h("ul.out", {}, found) : h("p.empty", {}, "Nothing: the user is connected, and no event of theirs was refused or has failed. Events that are sent while this page is open are compared with the user's rooms.");
}

async function sessionDetail(session, user = "") {
  const [a, t, of] = await Promise.all([link.ask("sockets", { session, user }), link.ask("timeline", { filter: { session } }), user ? link.ask("user", { user }) : {}]);
  const values = (of.values ?? []).find((v) => v.session === session), device = (of.devices ?? []).find((d) => d.session === session);
  const sockets = (a.sockets ?? []).filter((s) => s.session === session);
  return [
    head("Session", short(session), h("p.status", {}, user ? userLink(user) : "no user", device ? [" · ", agent(device.agent), " · ", device.address, " · used ", when(device.lastSeen), " · ends ", new Date(device.expires).toLocaleString("en-GB")] : "")),
    h("p.note", {}, "In the log: ", h("code", {}, `session=${session}`)),
    sockets.length || device ? endButton("End session", { session, user }, "End this session?", `${user || "The visitor"} is logged out on this device, and ${plural(sockets.length, "socket")} disconnected.`) : null,
    values ? part("Keys", h("dl.facts", {}, values.keys.map((k) => [h("dt", {}, h("code", {}, k)), h("dd", {}, values.values?.[k] === undefined ? h("span.dim", {}, "not listed in Config.Values") : h("code", {}, values.values[k]))]))) : null,
    part("Sockets", sockets.length ? socketRows(sockets) : h("p.empty", {}, "No socket of this session is connected.")),
    part("Time line", timeline(t.records, { about: "session", explain, open })),
  ];
}

async function socketDetail(socket) {
  const [a, t] = await Promise.all([link.ask("sockets", { socket }), link.ask("timeline", { filter: { socket } })]);
  const s = a.sockets?.[0];
  return [
    head("Socket", short(socket), h("p.status", {}, s ? `connected, ${s.transport || "on a node without inspector"}` : "not connected")),
    h("p.note", {}, "In the log: ", h("code", {}, `socket=${socket}`)),
    s ? [endButton("Disconnect", { socket, namespace: s.namespace }, "Disconnect this socket?", "Its client gets “io server disconnect” and does not reconnect on its own. The user stays logged in."),
      part("Facts", h("dl.facts", {}, [["User", s.user ? userLink(s.user) : "none"], ["Session", s.session ? sessionLink(s.session, s.user) : "none"], ["Namespace", h("bdi", {}, s.namespace)], ["Node", nodeName(s.node)],
        ["Address", s.address], ["Client", agent(s.agent)], ["Since", when(s.since)]].map(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]))),
      part("Rooms", s.rooms.length ? h("p.tags", {}, s.rooms.map((r) => [h("a.tag", { href: path("rooms", s.namespace, r), "data-key": `room-${r}` }, h("bdi", {}, r)), " "]), s.more ? `and ${s.more} more` : "") : h("p.empty", {}, "In no room: it gets what is sent to all, to its session or to its user. Rooms are joined with Socket.Join."))] : null,
    part("Time line", timeline(t.records, { about: "socket", explain, open })),
  ];
}

async function roomDetail(namespace, room) {
  const [a, sent] = await Promise.all([link.ask("sockets", { namespace, room }), link.ask("sent")]);
  const here = (sent.sent ?? []).filter((e) => e.namespace === namespace && e.rooms.includes(room));
  return [
    head("Room", room, h("p.status", {}, plural(a.total, "socket"), " · namespace ", h("bdi", {}, namespace))), warning(a),
    part("Events sent to it", here.length ? h("ul.rows", {}, here.map((e) => h("li", {}, h("div.row", {}, h("span.main", {}, h("code", {}, e.event)), h("span.meta", {}, `${count(e.count)}× by ${nodeName(e.node)} · `, when(e.last), e.failed ? ` · ${count(e.failed)} failed` : "")))))
      : h("p.empty", {}, "None since a page of the inspector is open.")),
    part("Sockets", a.sockets?.length ? h("ul.rows", {}, a.sockets.map((s) => row(s.user ? path("users", s.user) : path("sockets", s.id), s.id, [h("bdi", {}, s.user || "no user"), " ", h("code", {}, short(s.id))], agent(s.agent), s.address, nodeName(s.node)))) : h("p.empty", {}, "No socket is in this room any more."), a.total > 50 ? h("p.note", {}, `The first 50 of ${count(a.total)}.`) : null),
  ];
}

async function problemDetail(name) {
  const t = await link.ask("timeline", { filter: { notice: name } });
  const p = allProblems().find((p) => p.name === name), place = h("div.explanation");
  await explain(name, place, p?.setting);
  return [
    head("Problem", name, h("p.status", {}, p ? [`${count(p.count)}× on ${plural(p.nodes, "node")}`, p.last ? [", the last ", when(p.last)] : ""] : "not reported")),
    part("What it means", place),
    part("Time line", timeline(t.records, { explain, open, empty: "It is in the counters, but not in the time line: it happened before the inspector was mounted, or is too long ago." })),
  ];
}

async function explain(name, place, setting) {
  if (!name) return place.replaceChildren("The store refused the change: see the text.");
  try {
    if (!explained.has(name)) explained.set(name, (await link.ask("explain", { name })).explain ?? null);
    setting ??= allProblems().find((p) => p.name === name)?.setting;
    place.replaceChildren(explanation(explained.get(name), name, setting));
  } catch (error) {
    place.replaceChildren(`No answer: ${error.message}`);
  }
}

// Ending

function confirmEnd(label, target, title, text) {
  const dialog = $("confirm"), yes = $("confirm-yes");
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-error").hidden = true;
  yes.textContent = label;
  yes.disabled = false;
  yes.onclick = async (event) => {
    event.preventDefault();
    yes.disabled = true;
    let problem;
    try {
      const answer = await link.end(target);
      problem = answer.ok ? undefined : answer.error;
    } catch (error) {
      problem = error instanceof Forbidden ? "You are not allowed to do this any more." : error.message;
    }
    yes.disabled = false;
    if (!problem) { dialog.close(); refresh(); return; }
    $("confirm-error").textContent = problem;
    $("confirm-error").hidden = false;
  };
  dialog.showModal();
}

// Search and keyboard

let typing;
// filterBy shows the list of what matches the search box.
function filterBy() {
  clearTimeout(typing);
  const view = route.view === "overview" ? "users" : route.view;
  history.replaceState(null, "", box.value ? `${path(view)}?q=${encodeURIComponent(box.value)}` : path(view));
  return follow();
}
box.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(filterBy, 150);
});
$("search").addEventListener("submit", async (event) => { // opens the row whose name was typed, or else the first
  event.preventDefault();
  if (!box.value) return;
  const name = box.value;
  box.blur();
  await filterBy();
  const rows = [...list.querySelectorAll("a.row")];
  (rows.find((a) => a.dataset.key === name) ?? rows.find((a) => !a.dataset.key.startsWith("exact-")) ?? rows[0])?.click();
});
document.addEventListener("keydown", (event) => {
  if ($("confirm").open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && document.activeElement !== box) {
    event.preventDefault();
    box.focus();
    box.select();
  } else if (event.key === "Escape") {
    if (document.activeElement === box) { box.value = ""; box.dispatchEvent(new Event("input")); box.blur(); }
    else if (route.parts.length) location.hash = withSearch(path(route.view));
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    const within = detail.contains(document.activeElement) ? detail : list;
    const rows = [...within.querySelectorAll("a.row")], at = rows.indexOf(document.activeElement);
    const next = rows[event.key === "ArrowDown" ? at + 1 : at - 1];
    if (next) { event.preventDefault(); next.focus(); } else if (at === 0 && event.key === "ArrowUp") box.focus();
  }
});
addEventListener("hashchange", follow);
follow();
