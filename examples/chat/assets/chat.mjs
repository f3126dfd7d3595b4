// @ts-check
// The chat page. Everything it shows arrives over the socket, from the node that the page is
// connected to at the moment. events.d.ts is written from events.go, so that tsc finds what does
// not fit the server.
import { connect } from "/socket.io/fiberbridge.mjs";
import { $, debounce, find, formatTime, problemText, renderList, showAvatar, showCount, showText, showToast } from "./ui.mjs";

/** @import { Answer, Arguments, Socket } from "/socket.io/fiberbridge.mjs" */
/** @import { ClientToServerEvents, EndReason, Failure, PrivateMessage, RoomMessage, ServerToClientEvents, User } from "./events" */

// ?transport=polling or ?transport=websocket restricts the client to that transport.
const transport = new URLSearchParams(location.search).get("transport");
/** @type {Socket<ServerToClientEvents, ClientToServerEvents>} */
const socket = connect(transport === "polling" || transport === "websocket" ? { transports: [transport] } : {});

const textBox = /** @type {HTMLTextAreaElement} */ ($("text"));
const roomBox = /** @type {HTMLInputElement} */ ($("room"));

/** Returns the button of a row. @param {HTMLElement} row */
const buttonOf = (row) => /** @type {HTMLButtonElement} */ (row.querySelector("button"));

/** @type {User | null} kept while disconnected */
let me = null;
/** @type {string[]} the rooms of this session */
let rooms = [];
/** @type {string[]} the directory of rooms */
let allRooms = [];
/** @type {Conversation | null} the conversation on screen */
let shown = null;

/**
 * @typedef {{ unread: number, typing: Map<string, { name: string, timer: number }> }} Talk with typing by user ID
 * @typedef {Talk & { room: string, user?: undefined, messages: Map<number, RoomMessage> }} RoomConversation with messages by number
 * @typedef {Talk & { user: User, room?: undefined, messages: Map<string, PrivateMessage> }} PrivateConversation with messages by ID
 * @typedef {RoomConversation | PrivateConversation} Conversation
 */

/** @type {Map<string, RoomConversation>} by room */
const inRooms = new Map();
/** @type {Map<string, PrivateConversation>} by user ID */
const withUsers = new Map();
const conversations = () => [...inRooms.values(), ...withUsers.values()];

/** @param {string} room */
function roomConversation(room) {
  const c = inRooms.get(room) ?? { room, messages: new Map(), unread: 0, typing: new Map() };
  inRooms.set(room, c);
  return c;
}

/** @param {User} user */
function userConversation(user) {
  const c = withUsers.get(user.id) ?? { user, messages: new Map(), unread: 0, typing: new Map() };
  withUsers.set(user.id, c);
  return c;
}

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

/** @param {EndReason} reason */
function goToLogin(reason) {
  socket.disconnect();
  location.replace("/login?ended=" + encodeURIComponent(reason));
}

/** @param {boolean} away */
function showAway(away) {
  document.body.classList.toggle("away", away);
  if (away) {
    $("state").textContent = "reconnecting";
    $("state").classList.remove("on");
  }
  for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("button.live"))) button.disabled = away;
}

/**
 * Sends an event and resolves with the answer. On failure it shows the error and resolves with undefined.
 * @template {keyof ClientToServerEvents} Name
 * @param {Name} event
 * @param {Arguments<ClientToServerEvents, Name>} args
 * @returns {Promise<Exclude<Answer<ClientToServerEvents, Name>, Failure> | undefined>}
 */
async function request(event, ...args) {
  if (!socket.connected) return undefined; // the client would queue the event and send it after a reconnect
  try {
    const answer = await socket.timeout(10000).emitWithAck(event, ...args);
    if (!isFailure(answer)) return /** @type {Exclude<typeof answer, Failure>} */ (answer);
    showToast(problemText(answer.error));
  } catch {
    // The connection was lost. The page requests everything again when it reconnects.
  }
  return undefined;
}

/** @param {unknown} answer @returns {answer is Failure} */
const isFailure = (answer) => typeof answer === "object" && answer !== null && "error" in answer;

// ---- rooms ----

socket.on("rooms", async (names) => { // after each connect and each change
  rooms = names;
  for (const room of [...inRooms.keys()]) if (!rooms.includes(room)) inRooms.delete(room);
  if (shown?.room && !inRooms.has(shown.room)) shown = null;
  if (!shown && rooms.length) show(roomConversation(rooms[0]));
  if (!shown) showConversation();
  showRooms();
  await Promise.all(rooms.map(loadHistory));
  refreshPeople();
  refreshRooms();
});

/** Loads the last messages of a room, including those that this page has missed. @param {string} room */
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

/** @param {string} room */
async function join(room) {
  if ((await request("join", room)) === undefined) return;
  show(roomConversation(room));
  loadHistory(room);
}

function showRooms() {
  renderList($("rooms"), "room-row", rooms, (row, room) => fillRow(row, roomConversation(room), room));
  const others = allRooms.filter((room) => !rooms.includes(room));
  renderList($("others"), "other-row", others.slice(0, 12), (row, room) => {
    find(row, ".label").textContent = room;
    buttonOf(row).disabled = !socket.connected;
    buttonOf(row).onclick = () => join(room);
  });
  $("known").replaceChildren(...others.map((room) => Object.assign(document.createElement("option"), { value: room })));
  $("talks-box").hidden = withUsers.size === 0;
  renderList($("talks"), "talk-row", [...withUsers.values()], (row, c) => {
    showAvatar(find(row, ".avatar"), c.user);
    fillRow(row, c, c.user.name);
  });
  showCount($("elsewhere"), conversations().reduce((n, c) => n + c.unread, 0));
}

/** @param {HTMLElement} row @param {Conversation} c @param {string} label */
function fillRow(row, c, label) {
  find(row, ".label").textContent = label;
  showCount(find(row, ".count"), c.unread);
  if (c === shown) buttonOf(row).setAttribute("aria-current", "true");
  buttonOf(row).onclick = () => show(c);
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
  $("how-many").textContent = String(people.length || "");
  renderList($("people"), "person-row", people, (row, person) => {
    showAvatar(find(row, ".avatar"), person);
    row.dataset.user = person.id;
    find(row, ".label").textContent = person.name;
    find(row, ".you").hidden = person.id !== me?.id;
    find(row, ".nodes").textContent = person.nodes.join(" ");
    buttonOf(row).disabled = person.id === me?.id;
    buttonOf(row).onclick = () => show(userConversation({ id: person.id, name: person.name }));
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

/** @param {Conversation} c @param {RoomMessage | PrivateMessage} m */
function showArrived(c, m) {
  c.typing.delete(m.from.id);
  if (c === shown) showMessages();
  else if (m.from.id !== me?.id) c.unread++;
  showTyping();
  showRooms();
}

/** @param {Conversation} c */
function show(c) {
  shown = c;
  c.unread = 0;
  showConversation();
  showRooms();
  refreshPeople();
  openPane(null);
}

function showConversation() {
  $("title").textContent = shown ? (shown.user ? shown.user.name : "# " + shown.room) : "No room";
  $("about").textContent = shown?.user ? "private messages" : "";
  $("leave").hidden = !shown?.room;
  textBox.placeholder = shown ? `Message ${shown.user ? shown.user.name : "#" + shown.room}` : "Join a room first";
  showMessages();
  showTyping();
}

/** Returns the messages of a conversation, oldest first. @param {Conversation | null} c @returns {(RoomMessage | PrivateMessage)[]} */
function messagesOf(c) {
  if (!c) return [];
  return c.user ? [...c.messages.values()] : [...c.messages.values()].sort((a, b) => a.number - b.number);
}

function showMessages() {
  const messages = messagesOf(shown).slice(-200);
  /** @type {RoomMessage | PrivateMessage | null} */
  let previous = null;
  renderList($("messages"), "message-row", messages, (row, m) => {
    row.classList.toggle("more", previous !== null && previous.from.id === m.from.id && m.at - previous.at < 300000 && previous.node === m.node);
    row.classList.toggle("waiting", m.at === 0);
    showAvatar(find(row, ".avatar"), m.from);
    find(row, "b").textContent = m.from.name;
    find(row, "time").textContent = formatTime(m.at);
    find(row, ".nodes").textContent = m.node;
    showText(find(row, ".text"), m.text);
    previous = m;
  });
  $("empty").hidden = messages.length > 0;
  $("empty").textContent = shown ? "No messages yet." : "Choose a room to start.";
  $("scroll").scrollTop = $("scroll").scrollHeight;
}

// If a message gets no answer, the user can send it again. It keeps its ID, so the server stores it once.
/** @type {{ id: string, text: string, conversation: Conversation } | null} */
let unsent = null;

async function say() {
  const text = textBox.value.trim();
  const c = shown;
  if (!text || !c || !socket.connected) return;
  if (unsent?.text !== text || unsent.conversation !== c) unsent = { id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, text, conversation: c };
  textBox.value = "";
  lastTypingNotice = 0; // typing the next message sends a notice at once
  if (!(await send(c, { id: unsent.id, text }))) {
    if (!textBox.value) textBox.value = text;
    return;
  }
  unsent = null;
  if (c === shown) showMessages();
}

/** Sends a message, and reports whether the server has taken it. @param {Conversation} c @param {{ id: string, text: string }} draft */
async function send(c, draft) {
  if (c.user) {
    const m = await request("tell", { ...draft, to: c.user.name });
    if (m) c.messages.set(m.id, m);
    return m !== undefined;
  }
  const m = await request("say", { ...draft, room: c.room });
  if (m) c.messages.set(m.number, m);
  return m !== undefined;
}

// ---- typing ----

let lastTypingNotice = 0;

function sendTypingNotice() {
  if (!shown?.room || !socket.connected || !textBox.value || Date.now() - lastTypingNotice < 2000) return;
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
textBox.oninput = sendTypingNotice;
textBox.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); say(); }
});
$("join").onsubmit = (event) => {
  event.preventDefault();
  const room = roomBox.value.trim().toLowerCase().replace(/^#/, "").replace(/\s+/g, "-");
  roomBox.value = "";
  if (room) join(room);
};
// Disconnect first: the form's response decides the next page, not the socket's "ended" event.
for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll(".me form"))) form.onsubmit = () => { socket.disconnect(); };
$("leave").onclick = () => shown?.room && request("leave", shown.room);

/** Opens one of the panes that narrow windows hide, and closes the other. null closes both. @param {"side" | "people" | null} name */
function openPane(name) {
  for (const pane of ["side", "people"]) {
    document.body.classList.toggle("show-" + pane, pane === name);
    $("open-" + pane).setAttribute("aria-expanded", String(pane === name));
  }
  $("shade").hidden = !name;
}
$("open-side").onclick = () => openPane("side");
$("open-people").onclick = () => openPane("people");
$("shade").onclick = () => openPane(null);
addEventListener("keydown", (event) => { if (event.key === "Escape") openPane(null); });
