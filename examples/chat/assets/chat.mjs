// The page of the chat. All that it shows comes over the socket, from whatever node it
// is connected to at the moment.
import { connect } from "/socket.io/fiberbridge.mjs";
import { $, clock, count, face, fill, toast } from "./parts.mjs";

// ?transport=polling or websocket tries only that one.
const only = new URLSearchParams(location.search).get("transport");
const socket = connect(only ? { transports: [only] } : {});

let me = null; // { id, name }; stays while the connection is away
let rooms = []; // that this session is in
let known = []; // that there are
let people = []; // in the room that is shown
let shown = null; // the talk that is shown
const talks = new Map(); // by "#room" or "@user": { key, room | with, messages: Map by number or ID, unread, typing: Map }

const talk = (key, about) => {
  if (!talks.has(key)) talks.set(key, { key, ...about, messages: new Map(), unread: 0, typing: new Map() });
  return talks.get(key);
};
const roomTalk = (room) => talk("#" + room, { room });
const userTalk = (user) => talk("@" + user.id, { with: user });

// ---- connection ----

socket.on("hello", (hello) => {
  if (me && me.id !== hello.me.id) return location.reload(); // somebody else signed in here
  me = hello.me;
  $("state").textContent = `${hello.node} · ${socket.transport}`;
  $("state").classList.add("on");
  $("state").dataset.node = hello.node;
  $("name").textContent = me.name;
  face($("face"), me);
  showAway(false);
});

socket.on("disconnect", (reason) => {
  showAway(true);
  if (reason === "io server disconnect") comeBack(); // by itself it does so only when the network failed
});

socket.on("connect_error", (error) => {
  showAway(true);
  if (error.data?.code === "not_logged_in" || error.data?.code === "session_gone") return leave("logged out");
  if (!socket.active) comeBack();
});

socket.on("ended", leave);

const comeBack = () => setTimeout(() => socket.connect(), 300 + 1200 * Math.random());

function leave(why) {
  socket.disconnect();
  location.replace("/login?ended=" + encodeURIComponent(why));
}

function showAway(away) {
  document.body.classList.toggle("away", away);
  if (away) {
    $("state").textContent = "reconnecting";
    $("state").classList.remove("on");
  }
  for (const button of document.querySelectorAll("button.live")) button.disabled = away;
}

/** Asks the server, and says what was wrong. Resolves with undefined then. */
async function ask(event, ...args) {
  if (!socket.connected) return undefined; // it would be sent later, when nobody waits for it any more
  try {
    const answer = await socket.timeout(10000).emitWithAck(event, ...args);
    if (!answer?.error) return answer;
    toast(answer.error.message);
  } catch {
    // The connection is gone; the next one asks for all that is shown.
  }
  return undefined;
}

// ---- rooms ----

socket.on("rooms", async (names) => { // at each connect, and when they changed
  rooms = names ?? [];
  for (const key of [...talks.keys()]) if (key[0] === "#" && !rooms.includes(key.slice(1))) talks.delete(key);
  if (shown && !talks.has(shown.key)) shown = null;
  if (!shown && rooms.length) show(roomTalk(rooms[0]));
  if (!shown) showTalk();
  showRooms();
  await Promise.all(rooms.map(catchUp));
  pullPeople();
  pullList();
});

/** Reads the last words of a room: what this page has missed is among them. */
async function catchUp(room) {
  const messages = await ask("history", room);
  if (!messages) return;
  const t = roomTalk(room);
  const last = messages.at(-1)?.number ?? 0;
  if (Math.max(0, ...t.messages.keys()) > last) t.messages.clear(); // the room was forgotten, and begins anew
  for (const m of messages) t.messages.set(m.number, m);
  if (t === shown) showMessages();
}

socket.on("list", later(pullList, 300));

async function pullList() {
  known = (await ask("list")) ?? known;
  showRooms();
}

async function join(room) {
  if ((await ask("join", room)) === undefined) return;
  show(roomTalk(room));
  catchUp(room);
}

function showRooms() {
  fill($("rooms"), "room-row", rooms, (row, room) => dress(row, roomTalk(room), room));
  const others = known.filter((room) => !rooms.includes(room));
  fill($("others"), "other-row", others.slice(0, 12), (row, room) => {
    row.querySelector(".label").textContent = room;
    row.firstElementChild.disabled = !socket.connected;
    row.firstElementChild.onclick = () => join(room);
  });
  $("known").replaceChildren(...others.map((room) => Object.assign(document.createElement("option"), { value: room })));
  const private_ = [...talks.values()].filter((t) => t.with);
  $("talks-box").hidden = private_.length === 0;
  fill($("talks"), "talk-row", private_, (row, t) => {
    face(row.querySelector(".avatar"), t.with);
    dress(row, t, t.with.name);
  });
  count($("elsewhere"), [...talks.values()].reduce((n, t) => n + t.unread, 0));
}

function dress(row, t, label) {
  row.querySelector(".label").textContent = label;
  count(row.querySelector(".count"), t.unread);
  if (t === shown) row.firstElementChild.setAttribute("aria-current", "true");
  row.firstElementChild.onclick = () => show(t);
}

// ---- people ----

// Who loads the page anew is not seen to leave, and many who come are one question.
const peopleChanged = later(pullPeople, 600);

socket.on("people", (room) => {
  if (shown?.room && (room === "" || room === shown.room)) peopleChanged();
});

async function pullPeople() {
  const room = shown?.room;
  const answer = room && rooms.includes(room) ? await ask("people", room) : [];
  if (!answer || shown?.room !== room) return;
  people = answer;
  $("how-many").textContent = people.length || "";
  fill($("people"), "person-row", people, (row, person) => {
    face(row.querySelector(".avatar"), person);
    row.dataset.user = person.id;
    row.querySelector(".label").textContent = person.name + (person.id === me.id ? " (you)" : "");
    row.querySelector(".nodes").textContent = person.nodes.join(" ");
    row.firstElementChild.disabled = person.id === me.id;
    row.firstElementChild.onclick = () => show(userTalk({ id: person.id, name: person.name }));
  });
}

// ---- messages ----

socket.on("message", (m) => {
  const t = roomTalk(m.room);
  const last = Math.max(0, ...t.messages.keys());
  t.messages.set(m.number, m);
  if (last && m.number > last + 1) catchUp(m.room); // something was missed
  arrived(t, m);
});

socket.on("private", (m) => {
  const t = userTalk(m.from.id === me?.id ? m.to : m.from);
  t.messages.set(m.id, m);
  if (t !== shown && m.from.id !== me?.id) toast(`${m.from.name}: ${m.text}`);
  arrived(t, m);
});

function arrived(t, m) {
  t.typing.delete(m.from.id);
  if (t !== shown) t.unread += m.from.id !== me?.id;
  else showMessages();
  showTyping();
  showRooms();
}

function show(t) {
  shown = t;
  t.unread = 0;
  showTalk();
  showRooms();
  pullPeople();
  drawer(null);
}

function showTalk() {
  $("title").textContent = shown ? (shown.room ? "# " + shown.room : shown.with.name) : "Nowhere";
  $("about").textContent = shown?.with ? "just the two of you" : "";
  $("leave").hidden = !shown?.room;
  $("text").placeholder = shown ? `Say something ${shown.room ? "in " + shown.room : "to " + shown.with.name}` : "Join a room first";
  showMessages();
  showTyping();
}

function showMessages() {
  const messages = shown ? [...shown.messages.values()].sort((a, b) => (a.number ?? 0) - (b.number ?? 0)).slice(-200) : [];
  let before = null;
  fill($("messages"), "message-row", messages, (row, m) => {
    row.classList.toggle("more", before?.from.id === m.from.id && m.at - before.at < 300000 && before.node === m.node);
    row.classList.toggle("waiting", m.at === 0);
    face(row.querySelector(".avatar"), m.from);
    row.querySelector("b").textContent = m.from.name;
    row.querySelector("time").textContent = clock(m.at);
    row.querySelector(".nodes").textContent = m.node;
    row.querySelector(".text").textContent = m.text;
    before = m;
  });
  $("empty").hidden = messages.length > 0;
  $("empty").textContent = shown ? "Nothing was said here yet." : "Choose a room on the left.";
  $("scroll").scrollTop = $("scroll").scrollHeight;
}

// A message that got no answer is sent again by hand, under the same ID: it is said once.
let unsent = null; // { id, text }

async function say() {
  const text = $("text").value.trim();
  if (!text || !shown || !socket.connected) return;
  if (unsent?.text !== text || unsent.talk !== shown) unsent = { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, text, talk: shown };
  const to = shown.room ? { room: shown.room } : { to: shown.with.name };
  const t = shown;
  $("text").value = "";
  told = 0; // what is typed next is news again
  const m = await ask(shown.room ? "say" : "tell", { id: unsent.id, text, ...to });
  if (m === undefined) {
    if (!$("text").value) $("text").value = text;
    return;
  }
  unsent = null;
  t.messages.set(m.number ?? m.id, m);
  if (t === shown) showMessages();
}

// ---- typing ----

let told = 0;

function tellTyping() {
  if (!shown?.room || !socket.connected || !$("text").value || Date.now() - told < 2000) return;
  told = Date.now();
  socket.emit("typing", shown.room);
}

socket.on("typing", (room, who) => {
  const { typing } = roomTalk(room);
  clearTimeout(typing.get(who.id)?.timer);
  typing.set(who.id, { name: who.name, timer: setTimeout(() => { typing.delete(who.id); showTyping(); }, 4000) });
  showTyping();
});

function showTyping() {
  const names = shown ? [...shown.typing.values()].map((t) => t.name) : [];
  $("typing").textContent = names.length === 0 ? "" : names.length > 3 ? "Several people are typing …" :
    `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing …`;
}

// ---- what is pressed ----

$("say").onsubmit = (event) => { event.preventDefault(); say(); };
$("text").oninput = tellTyping;
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); say(); }
};
$("join").onsubmit = (event) => {
  event.preventDefault();
  const room = $("room").value.trim().toLowerCase().replace(/^#/, "").replace(/\s+/g, "-");
  $("room").value = "";
  if (room) join(room);
};
// The form's answer is where to go, and not what the socket hears of it first.
for (const form of document.querySelectorAll(".me form")) form.onsubmit = () => socket.disconnect();
$("leave").onclick = () => shown?.room && ask("leave", shown.room);

/** Opens one of the panes that a narrow window hides: "side", "people", or none. */
function drawer(which) {
  for (const pane of ["side", "people"]) {
    document.body.classList.toggle("show-" + pane, pane === which);
    $("open-" + pane).setAttribute("aria-expanded", pane === which);
  }
  $("shade").hidden = !which;
}
$("open-side").onclick = () => drawer("side");
$("open-people").onclick = () => drawer("people");
$("shade").onclick = () => drawer(null);
addEventListener("keydown", (event) => { if (event.key === "Escape") drawer(null); });

/** Calls fn once, some time after it was first asked for. */
function later(fn, ms) {
  let timer;
  return () => {
    timer ??= setTimeout(() => { timer = undefined; fn(); }, ms * (1 + Math.random()));
  };
}
