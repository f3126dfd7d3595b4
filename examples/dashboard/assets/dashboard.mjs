// The page behind the door. All that it shows comes over the socket. Who one is, and
// which friends are there, goes when the connection does: nobody shall read what may
// no longer be true.
import { connect } from "/socket.io/fiberbridge.mjs";
import { face, fill, ago, toast, waitingInTitle } from "./parts.mjs";

const $ = (id) => document.getElementById(id);
const socket = connect();

let me = null; // { id, login, name }, while there is a connection
let friends = null; // [{ id, login, name, tie: "friend" | "asks" | "asked", online }]
let devices = []; // [{ id, name, phone, address, seen, current }]
const comments = new Map(); // by id

// ---- connection: the name is here exactly as long as the socket is ----

socket.on("hello", (user) => {
  me = user;
  showMe("connected");
  for (const list of Object.keys(lists)) pull(list);
});

socket.on("disconnect", (reason) => {
  me = null;
  showMe("reconnecting");
  showFriends();
  if (reason === "io server disconnect") comeBack(); // by itself it does so only when the network failed
});

socket.on("ended", leave); // the session is over

socket.on("connect_error", (error) => {
  const code = error.data?.code;
  if (code === "not_logged_in") return leave("logged out");
  showMe("reconnecting");
  if (socket.active) return; // it comes back by itself
  toast("The server does not let this page in just now: " + error.message);
  comeBack();
});

const comeBack = () => setTimeout(() => socket.connect(), 1000 + 4000 * Math.random());

function leave(why) {
  socket.disconnect();
  location.replace("/login?ended=" + encodeURIComponent(why));
}

function showMe(state) {
  $("state").textContent = state;
  $("state").classList.toggle("on", me !== null);
  document.body.classList.toggle("away", me === null);
  $("name").textContent = me?.name ?? "";
  $("login").textContent = me ? "@" + me.login : "";
  if (me) face($("face"), me);
  else $("face").textContent = "";
  for (const button of document.querySelectorAll("button.live")) button.disabled = me === null;
}

// ---- lists: the server says that one changed, and this page asks for it ----

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

const pulling = new Map(); // by list: whether to ask once more

async function pull(list) {
  if (pulling.has(list)) return pulling.set(list, true);
  do {
    pulling.set(list, false);
    try {
      const answer = await socket.timeout(10000).emitWithAck(list);
      if (answer.error) toast(answer.error.message);
      else lists[list](answer);
    } catch {
      // The connection is gone. The next one asks for all lists.
    }
  } while (me && pulling.get(list));
  pulling.delete(list);
}

socket.on("changed", (list) => {
  pull(list);
  if (list === "friends") pull("comments"); // a new friend's are new here
});

/** Does something, and says what was wrong with it. Resolves with whether it was done. */
async function act(event, argument, button) {
  if (!me) return false; // it would be sent later, when nobody waits for it any more
  if (button) button.disabled = true;
  try {
    const answer = await socket.timeout(10000).emitWithAck(event, argument);
    if (answer?.error) toast(answer.error.message);
    return !answer?.error;
  } catch {
    toast("There was no answer. Please look whether it was done.");
    return false;
  } finally {
    if (button) button.disabled = me === null;
  }
}

function notify(text) {
  toast(text);
  waitingInTitle();
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
  const heard = new Set(friends?.filter((f) => f.tie === "friend").map((f) => f.id)).add(me?.id);
  const shown = [...comments.values()].filter((c) => heard.has(c.from.id)).sort((a, b) => b.id - a.id).slice(0, 50);
  fill($("comments"), "comment-row", shown, (row, comment) => {
    face(row.querySelector(".avatar"), comment.from);
    row.querySelector("b").textContent = comment.from.name;
    row.querySelector("time").textContent = ago(comment.at);
    row.querySelector("time").dateTime = new Date(comment.at).toISOString();
    row.querySelector(".text").textContent = comment.text;
    row.classList.toggle("new", Boolean(comment.fresh));
  });
  $("quiet").hidden = shown.length > 0;
}

$("say").onsubmit = async (event) => {
  event.preventDefault();
  if (await act("say", $("text").value, event.target.querySelector("button"))) $("text").value = "";
  showLeft();
};
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("say").requestSubmit();
};
const showLeft = () => ($("left").textContent = $("text").value.length > 400 ? `${500 - $("text").value.length} left` : "");
$("text").oninput = showLeft;

// ---- friends ----

socket.on("presence", (id, online) => {
  for (const friend of friends ?? []) if (friend.id === id) friend.online = online;
  showFriends();
  if (pulling.has("friends")) pull("friends"); // its answer may be older than this
});

const order = { asks: 0, friend: 1, asked: 2 };

function showFriends() {
  if (!friends) return; // they are still to come
  const sorted = [...friends].sort((a, b) => order[a.tie] - order[b.tie] || b.online - a.online || a.name.localeCompare(b.name));
  fill($("ties"), "tie-row", sorted, (row, friend) => {
    const avatar = row.querySelector(".avatar");
    face(avatar, friend);
    if (me && friend.tie === "friend") avatar.dataset.online = friend.online;
    row.dataset.tie = friend.tie;
    row.dataset.login = friend.login;
    row.querySelector("b").textContent = friend.name;
    row.querySelector("p").textContent = says(friend);
    const button = (text, event, kind) => {
      const made = row.querySelector(".acts").appendChild(document.createElement("button"));
      made.textContent = text;
      made.className = kind + " live";
      made.disabled = me === null;
      made.onclick = () => act(event, friend.id, made);
    };
    if (friend.tie === "asks") button("Accept", "accept", "primary");
    button({ friend: "Remove", asks: "Decline", asked: "Withdraw" }[friend.tie], "remove", "plain");
  });
  const waiting = friends.filter((f) => f.tie === "asks").length;
  $("waiting").textContent = waiting;
  $("waiting").hidden = waiting === 0;
  $("alone").hidden = friends.length > 0;
}

function says({ tie, online }) {
  if (tie === "asks") return "wants to be your friend";
  if (tie === "asked") return "asked, no answer yet";
  if (!me) return "…"; // nobody knows now
  return online ? "online" : "offline";
}

$("ask").onsubmit = async (event) => {
  event.preventDefault();
  if (await act("ask", $("who").value, event.target.querySelector("button"))) $("who").value = "";
};

// ---- devices ----

function showDevices() {
  fill($("signedin"), "device-row", devices, (row, device) => {
    row.querySelector(".glyph").classList.toggle("phone", device.phone);
    row.querySelector("b").textContent = device.name;
    row.querySelector("p").textContent = `${device.address} · ${ago(device.seen)}`;
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
    button.onclick = () => act("end", device.id, button);
  });
}

// "3 min ago" ages.
setInterval(() => {
  if (document.hidden || !me) return;
  showComments();
  showDevices();
}, 60000);
