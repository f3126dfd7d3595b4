// The chat page. Everything it shows arrives over the socket, from the node that the page is
// connected to at the moment.
import { connect } from "/socket.io/fiberbridge.mjs";
import { $, debounce, formatTime, problemText, renderList, showAvatar, showCount, showText, showToast } from "./ui.mjs";

// ?transport=polling or ?transport=websocket restricts the client to that transport.
const transport = new URLSearchParams(location.search).get("transport");
const socket = connect(transport ? { transports: [transport] } : {});

let me = null; // { id, name }; kept while disconnected
let rooms = []; // the rooms of this session
let allRooms = []; // the directory of rooms
let shown = null; // the conversation on screen

// Conversations by key: "#room", or "@user" for private messages. Each one is
// { key, room or user, messages: Map by number or ID, unread, typing: Map by user ID }.
const conversations = new Map();

function conversation(key, subject) {
  if (!conversations.has(key)) conversations.set(key, { key, ...subject, messages: new Map(), unread: 0, typing: new Map() });
  return conversations.get(key);
}
const roomConversation = (room) => conversation("#" + room, { room });
const userConversation = (user) => conversation("@" + user.id, { user });

// ---- connection ----

socket.on("hello", (hello) => {
  if (me && me.id !== hello.me.id) return location.reload(); // another user logged in with this browser
  me = hello.me;
  $("state").textContent = `${hello.node} · ${socket.transport}`;
  $("state").classList.add("on");
  $("state").dataset.node = hello.node;
  $("name").textContent = me.name;
  showAvatar($("face"), me);
  showAway(false);
});

socket.on("disconnect", (reason) => {
  showAway(true);
  if (reason === "io server disconnect") reconnect(); // the client retries on its own only after network failures
});

socket.on("connect_error", (error) => {
  showAway(true);
  if (error.data?.code === "not_logged_in" || error.data?.code === "session_gone") return goToLogin("logged out");
  if (!socket.active) reconnect();
});

socket.on("ended", goToLogin);

// The random delay spreads out the pages of a node that stopped.
const reconnect = () => setTimeout(() => socket.connect(), 300 + 1200 * Math.random());

function goToLogin(reason) {
  socket.disconnect();
  location.replace("/login?ended=" + encodeURIComponent(reason));
}

function showAway(away) {
  document.body.classList.toggle("away", away);
  if (away) {
    $("state").textContent = "reconnecting";
    $("state").classList.remove("on");
  }
  for (const button of document.querySelectorAll("button.live")) button.disabled = away;
}

/** Sends an event and resolves with the answer. On failure it shows the error and resolves with undefined. */
async function request(event, ...args) {
  if (!socket.connected) return undefined; // the client would queue the event and send it after a reconnect
  try {
    const answer = await socket.timeout(10000).emitWithAck(event, ...args);
    if (!answer?.error) return answer;
    showToast(problemText(answer.error));
  } catch {
    // The connection was lost. The page requests everything again when it reconnects.
  }
  return undefined;
}

// ---- rooms ----

socket.on("rooms", async (names) => { // after each connect and each change
  rooms = names ?? [];
  for (const key of [...conversations.keys()]) if (key[0] === "#" && !rooms.includes(key.slice(1))) conversations.delete(key);
  if (shown && !conversations.has(shown.key)) shown = null;
  if (!shown && rooms.length) show(roomConversation(rooms[0]));
  if (!shown) showConversation();
  showRooms();
  await Promise.all(rooms.map(loadHistory));
  refreshPeople();
  refreshRooms();
});

/** Loads the last messages of a room, including those that this page has missed. */
async function loadHistory(room) {
  const messages = await request("history", room);
  if (!messages) return;
  const c = roomConversation(room);
  const last = messages.at(-1)?.number ?? 0;
  if (Math.max(0, ...c.messages.keys()) > last) c.messages.clear(); // the stored history expired and numbers start over
  for (const m of messages) c.messages.set(m.number, m);
  if (c === shown) showMessages();
}

socket.on("list", debounce(refreshRooms, 300));

async function refreshRooms() {
  allRooms = (await request("list")) ?? allRooms;
  showRooms();
}

async function join(room) {
  if ((await request("join", room)) === undefined) return;
  show(roomConversation(room));
  loadHistory(room);
}

function showRooms() {
  renderList($("rooms"), "room-row", rooms, (row, room) => fillRow(row, roomConversation(room), room));
  const others = allRooms.filter((room) => !rooms.includes(room));
  renderList($("others"), "other-row", others.slice(0, 12), (row, room) => {
    row.querySelector(".label").textContent = room;
    row.firstElementChild.disabled = !socket.connected;
    row.firstElementChild.onclick = () => join(room);
  });
  $("known").replaceChildren(...others.map((room) => Object.assign(document.createElement("option"), { value: room })));
  const privateChats = [...conversations.values()].filter((c) => c.user);
  $("talks-box").hidden = privateChats.length === 0;
  renderList($("talks"), "talk-row", privateChats, (row, c) => {
    showAvatar(row.querySelector(".avatar"), c.user);
    fillRow(row, c, c.user.name);
  });
  showCount($("elsewhere"), [...conversations.values()].reduce((n, c) => n + c.unread, 0));
}

function fillRow(row, c, label) {
  row.querySelector(".label").textContent = label;
  showCount(row.querySelector(".count"), c.unread);
  if (c === shown) row.firstElementChild.setAttribute("aria-current", "true");
  row.firstElementChild.onclick = () => show(c);
}

// ---- people ----

// The delay hides users who only reload the page, and turns many changes into one request.
const peopleChanged = debounce(refreshPeople, 600);

socket.on("people", (room) => {
  if (shown?.room && (room === "" || room === shown.room)) peopleChanged();
});

async function refreshPeople() {
  const room = shown?.room;
  const people = room && rooms.includes(room) ? await request("people", room) : [];
  if (!people || shown?.room !== room) return;
  $("how-many").textContent = people.length || "";
  renderList($("people"), "person-row", people, (row, person) => {
    showAvatar(row.querySelector(".avatar"), person);
    row.dataset.user = person.id;
    row.querySelector(".label").textContent = person.name;
    row.querySelector(".you").hidden = person.id !== me.id;
    row.querySelector(".nodes").textContent = person.nodes.join(" ");
    row.firstElementChild.disabled = person.id === me.id;
    row.firstElementChild.onclick = () => show(userConversation({ id: person.id, name: person.name }));
  });
}

// ---- messages ----

socket.on("message", (m) => {
  const c = roomConversation(m.room);
  const last = Math.max(0, ...c.messages.keys());
  c.messages.set(m.number, m);
  if (last && m.number > last + 1) loadHistory(m.room); // a message is missing
  showArrived(c, m);
});

socket.on("private", (m) => {
  const c = userConversation(m.from.id === me?.id ? m.to : m.from);
  c.messages.set(m.id, m);
  if (c !== shown && m.from.id !== me?.id) showToast(`${m.from.name}: ${m.text}`);
  showArrived(c, m);
});

function showArrived(c, m) {
  c.typing.delete(m.from.id);
  if (c !== shown) c.unread += m.from.id !== me?.id;
  else showMessages();
  showTyping();
  showRooms();
}

function show(c) {
  shown = c;
  c.unread = 0;
  showConversation();
  showRooms();
  refreshPeople();
  openPane(null);
}

function showConversation() {
  $("title").textContent = shown ? (shown.room ? "# " + shown.room : shown.user.name) : "No room";
  $("about").textContent = shown?.user ? "private messages" : "";
  $("leave").hidden = !shown?.room;
  $("text").placeholder = shown ? `Message ${shown.room ? "#" + shown.room : shown.user.name}` : "Join a room first";
  showMessages();
  showTyping();
}

function showMessages() {
  const messages = shown ? [...shown.messages.values()].sort((a, b) => (a.number ?? 0) - (b.number ?? 0)).slice(-200) : [];
  let previous = null;
  renderList($("messages"), "message-row", messages, (row, m) => {
    row.classList.toggle("more", previous?.from.id === m.from.id && m.at - previous.at < 300000 && previous.node === m.node);
    row.classList.toggle("waiting", m.at === 0);
    showAvatar(row.querySelector(".avatar"), m.from);
    row.querySelector("b").textContent = m.from.name;
    row.querySelector("time").textContent = formatTime(m.at);
    row.querySelector(".nodes").textContent = m.node;
    showText(row.querySelector(".text"), m.text);
    previous = m;
  });
  $("empty").hidden = messages.length > 0;
  $("empty").textContent = shown ? "No messages yet." : "Choose a room to start.";
  $("scroll").scrollTop = $("scroll").scrollHeight;
}

// If a message gets no answer, the user can send it again. It keeps its ID, so the server stores it once.
let unsent = null; // { id, text, conversation }

async function say() {
  const text = $("text").value.trim();
  if (!text || !shown || !socket.connected) return;
  if (unsent?.text !== text || unsent.conversation !== shown) unsent = { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, text, conversation: shown };
  const to = shown.room ? { room: shown.room } : { to: shown.user.name };
  const c = shown;
  $("text").value = "";
  lastTypingNotice = 0; // typing the next message sends a notice at once
  const m = await request(shown.room ? "say" : "tell", { id: unsent.id, text, ...to });
  if (m === undefined) {
    if (!$("text").value) $("text").value = text;
    return;
  }
  unsent = null;
  c.messages.set(m.number ?? m.id, m);
  if (c === shown) showMessages();
}

// ---- typing ----

let lastTypingNotice = 0;

function sendTypingNotice() {
  if (!shown?.room || !socket.connected || !$("text").value || Date.now() - lastTypingNotice < 2000) return;
  lastTypingNotice = Date.now();
  socket.emit("typing", shown.room);
}

socket.on("typing", (room, user) => {
  const { typing } = roomConversation(room);
  clearTimeout(typing.get(user.id)?.timer);
  typing.set(user.id, { name: user.name, timer: setTimeout(() => { typing.delete(user.id); showTyping(); }, 4000) });
  showTyping();
});

function showTyping() {
  const names = shown ? [...shown.typing.values()].map((c) => c.name) : [];
  $("typing").textContent = names.length === 0 ? "" : names.length > 3 ? "Several people are typing …" :
    `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing …`;
}

// ---- forms and buttons ----

$("say").onsubmit = (event) => { event.preventDefault(); say(); };
$("text").oninput = sendTypingNotice;
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); say(); }
};
$("join").onsubmit = (event) => {
  event.preventDefault();
  const room = $("room").value.trim().toLowerCase().replace(/^#/, "").replace(/\s+/g, "-");
  $("room").value = "";
  if (room) join(room);
};
// Disconnect first: the form's response decides the next page, not the socket's "ended" event.
for (const form of document.querySelectorAll(".me form")) form.onsubmit = () => socket.disconnect();
$("leave").onclick = () => shown?.room && request("leave", shown.room);

/** Opens one of the panes that narrow windows hide, "side" or "people", and closes the other. null closes both. */
function openPane(name) {
  for (const pane of ["side", "people"]) {
    document.body.classList.toggle("show-" + pane, pane === name);
    $("open-" + pane).setAttribute("aria-expanded", pane === name);
  }
  $("shade").hidden = !name;
}
$("open-side").onclick = () => openPane("side");
$("open-people").onclick = () => openPane("people");
$("shade").onclick = () => openPane(null);
addEventListener("keydown", (event) => { if (event.key === "Escape") openPane(null); });
