// The dashboard page. Everything it shows arrives over the socket. When the connection is
// lost, the page hides the user's name and who is online, because both may be out of date.
import { connect } from "/socket.io/fiberbridge.mjs";
import { $, showAvatar, renderList, timeAgo, problemText, showText, showToast, countInTitle } from "./ui.mjs";

const socket = connect();

let me = null; // { id, login, name }, or null while disconnected
let friends = null; // [{ id, login, name, tie: "friend" | "asks" | "asked", online }]
let devices = []; // [{ id, name, phone, address, seen, current }]
const comments = new Map(); // by id

// ---- connection ----

socket.on("hello", (user) => {
  me = user;
  showUser("connected");
  for (const list of Object.keys(lists)) refresh(list);
});

socket.on("disconnect", (reason) => {
  me = null;
  showUser("reconnecting");
  showFriends();
  if (reason === "io server disconnect") reconnect(); // the client retries on its own only after network failures
});

socket.on("ended", goToLogin); // the session has ended

socket.on("connect_error", (error) => {
  if (error.data?.code === "not_logged_in") return goToLogin("logged out");
  showUser("reconnecting");
  if (socket.active) return; // the client retries on its own
  showToast("Could not connect. Trying again in a few seconds.");
  reconnect();
});

// The random delay spreads out the pages that reconnect after a restart.
const reconnect = () => setTimeout(() => socket.connect(), 1000 + 4000 * Math.random());

function goToLogin(reason) {
  socket.disconnect();
  location.replace("/login?ended=" + encodeURIComponent(reason));
}

function showUser(state) {
  $("state").textContent = state;
  $("state").classList.toggle("on", me !== null);
  document.body.classList.toggle("away", me === null);
  $("name").textContent = me?.name ?? "";
  $("login").textContent = me ? "@" + me.login : "";
  if (me) showAvatar($("face"), me);
  else $("face").textContent = "";
  for (const button of document.querySelectorAll("button.live")) button.disabled = me === null;
}

// ---- lists: the server notifies the page of a change, and the page requests the list ----

const lists = {
  friends(list) {
    for (const { id, name, tie } of list) {
      if (tie === "asks" && friends && !friends.some((f) => f.id === id)) notify(`${name} wants to be your friend`);
    }
    friends = list;
    showFriends();
    showComments();
  },
  comments(list) {
    for (const comment of list) comments.set(comment.id, comment);
    showComments();
  },
  devices(list) {
    devices = list;
    showDevices();
  },
};

const refreshing = new Map(); // list name -> whether to request the list once more

async function refresh(list) {
  if (refreshing.has(list)) return refreshing.set(list, true);
  do {
    refreshing.set(list, false);
    try {
      const answer = await socket.timeout(10000).emitWithAck(list);
      if (answer.error) showToast(problemText(answer.error));
      else lists[list](answer);
    } catch {
      // The connection was lost. The next "hello" requests all lists.
    }
  } while (me && refreshing.get(list));
  refreshing.delete(list);
}

socket.on("changed", (list) => {
  refresh(list);
  if (list === "friends") refresh("comments"); // the feed now includes a new friend's comments
});

/** Sends an event, shows an error if there is one, and resolves with whether it succeeded. */
async function send(event, argument, button) {
  if (!me) return false; // the client would queue the event and send it after a reconnect
  if (button) button.disabled = true;
  try {
    const answer = await socket.timeout(10000).emitWithAck(event, argument);
    if (answer?.error) showToast(problemText(answer.error));
    return !answer?.error;
  } catch {
    showToast("No answer yet. Please check whether your change was made.");
    return false;
  } finally {
    if (button) button.disabled = me === null;
  }
}

function notify(text) {
  showToast(text);
  countInTitle();
}

// ---- comments ----

socket.on("comment", (comment) => {
  comments.set(comment.id, { ...comment, fresh: true });
  showComments();
  comments.get(comment.id).fresh = false;
  if (comment.from.id === me?.id) return;
  notify(`${comment.from.name}: ${comment.text}`);
});

function showComments() {
  const authors = new Set(friends?.filter((f) => f.tie === "friend").map((f) => f.id)).add(me?.id);
  const shown = [...comments.values()].filter((c) => authors.has(c.from.id)).sort((a, b) => b.id - a.id).slice(0, 50);
  renderList($("comments"), "comment-row", shown, (row, comment) => {
    showAvatar(row.querySelector(".avatar"), comment.from);
    row.querySelector("b").textContent = comment.from.name;
    row.querySelector("time").textContent = timeAgo(comment.at);
    row.querySelector("time").dateTime = new Date(comment.at).toISOString();
    showText(row.querySelector(".text"), comment.text);
    row.classList.toggle("new", Boolean(comment.fresh));
  });
  $("quiet").hidden = shown.length > 0;
}

$("say").onsubmit = async (event) => {
  event.preventDefault();
  if (await send("say", $("text").value, event.target.querySelector("button"))) $("text").value = "";
  showCharactersLeft();
};
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("say").requestSubmit();
};
function showCharactersLeft() {
  const left = 500 - $("text").value.length;
  $("left").textContent = left < 100 ? `${left} characters left` : "";
}
$("text").oninput = showCharactersLeft;

// ---- friends ----

socket.on("presence", (id, online) => {
  for (const friend of friends ?? []) if (friend.id === id) friend.online = online;
  showFriends();
  if (refreshing.has("friends")) refresh("friends"); // the pending answer may be older than this event
});

const order = { asks: 0, friend: 1, asked: 2 };

function showFriends() {
  if (!friends) return; // the list has not arrived yet
  const sorted = [...friends].sort((a, b) => order[a.tie] - order[b.tie] || b.online - a.online || a.name.localeCompare(b.name));
  renderList($("ties"), "tie-row", sorted, (row, friend) => {
    const avatar = row.querySelector(".avatar");
    showAvatar(avatar, friend);
    if (me && friend.tie === "friend") avatar.dataset.online = friend.online;
    row.dataset.tie = friend.tie;
    row.dataset.login = friend.login;
    row.querySelector("b").textContent = friend.name;
    row.querySelector("p").textContent = statusText(friend);
    const addButton = (text, event, kind) => {
      const button = row.querySelector(".acts").appendChild(document.createElement("button"));
      button.textContent = text;
      button.className = kind + " live";
      button.disabled = me === null;
      button.onclick = () => send(event, friend.id, button);
    };
    if (friend.tie === "asks") addButton("Accept", "accept", "primary");
    addButton({ friend: "Remove", asks: "Decline", asked: "Withdraw" }[friend.tie], "remove", "plain");
  });
  const waiting = friends.filter((f) => f.tie === "asks").length;
  $("waiting").textContent = waiting;
  $("waiting").hidden = waiting === 0;
  $("alone").hidden = friends.length > 0;
}

function statusText({ tie, online }) {
  if (tie === "asks") return "wants to be your friend";
  if (tie === "asked") return "request sent, no answer yet";
  if (!me) return "…"; // unknown while disconnected
  return online ? "online" : "offline";
}

$("ask").onsubmit = async (event) => {
  event.preventDefault();
  if (await send("ask", $("who").value, event.target.querySelector("button"))) $("who").value = "";
};

// ---- devices ----

function showDevices() {
  renderList($("signedin"), "device-row", devices, (row, device) => {
    row.querySelector(".glyph").classList.toggle("phone", device.phone);
    row.querySelector("b").textContent = device.name;
    row.querySelector("p").textContent = `${device.address} · ${timeAgo(device.seen)}`;
    const acts = row.querySelector(".acts");
    if (device.current) {
      const tag = acts.appendChild(document.createElement("span"));
      tag.className = "tag";
      tag.textContent = "this device";
      return;
    }
    const button = acts.appendChild(document.createElement("button"));
    button.textContent = "Log out";
    button.className = "live";
    button.disabled = me === null;
    button.onclick = () => send("end", device.id, button);
  });
}

// Times such as "3 min ago" need an update now and then.
setInterval(() => {
  if (document.hidden || !me) return;
  showComments();
  showDevices();
}, 60000);
