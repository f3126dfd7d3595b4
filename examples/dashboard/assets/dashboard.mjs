// The page behind the door. All that it shows comes over the socket, and goes when
// the connection does, so that nobody reads what may no longer be true.
import { connect } from "/socket.io/fiberbridge.mjs";
import { face, fill, ago, toast, waitingInTitle } from "./parts.mjs";

const $ = (id) => document.getElementById(id);
const socket = connect();

let me = null;
let friends = []; // { id, login, name, tie: "friend" | "asks" | "asked", online }
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
  // The server ended it, and not the network: the session is over.
  if (reason === "io server disconnect") leave();
});

socket.on("connect_error", (error) => {
  const code = error.data?.code;
  if (code === "not_logged_in" || code === "session_gone") return leave();
  showMe(socket.active ? "reconnecting" : "not connected");
  if (code) toast("The server lets this page in no more: " + error.message);
});

const leave = () => location.replace("/login?ended=1");

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
    friends = list;
    showFriends();
    showComments();
  },
  comments(list) {
    for (const comment of list) comments.set(comment.id, comment);
    showComments();
  },
  devices: showDevices,
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
      break; // the connection is gone, and with it this list; it is asked for again at the next
    }
  } while (pulling.get(list));
  pulling.delete(list);
}

socket.on("changed", (list) => {
  pull(list);
  if (list === "friends") pull("comments"); // a new friend's are new here
});

/** Does something, and says what was wrong with it. Resolves with whether it was done. */
async function act(event, argument) {
  try {
    const answer = await socket.timeout(10000).emitWithAck(event, argument);
    if (answer?.error) toast(answer.error.message);
    return !answer?.error;
  } catch {
    if (me) toast("There was no answer. Please try again.");
    return false;
  }
}

// ---- comments ----

socket.on("comment", (comment) => {
  comments.set(comment.id, { ...comment, fresh: true });
  showComments();
  comments.get(comment.id).fresh = false;
  if (comment.from.id === me?.id) return;
  toast(`${comment.from.name}: ${comment.text}`);
  waitingInTitle();
});

function showComments() {
  const heard = new Set(friends.filter((f) => f.tie === "friend").map((f) => f.id)).add(me?.id);
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
  if (await act("say", $("text").value)) $("text").value = "";
  showLeft();
};
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("say").requestSubmit();
};
const showLeft = () => ($("left").textContent = $("text").value.length > 400 ? `${500 - $("text").value.length} left` : "");
$("text").oninput = showLeft;

// ---- friends ----

socket.on("presence", (id, online) => {
  for (const friend of friends) if (friend.id === id) friend.online = online;
  showFriends();
  if (pulling.has("friends")) pull("friends"); // its answer may be older than this
});

const order = { asks: 0, friend: 1, asked: 2 };

function showFriends() {
  const sorted = [...friends].sort((a, b) => order[a.tie] - order[b.tie] || b.online - a.online || a.name.localeCompare(b.name));
  fill($("ties"), "tie-row", sorted, (row, friend) => {
    const avatar = row.querySelector(".avatar");
    face(avatar, friend);
    if (friend.tie === "friend") avatar.dataset.online = friend.online;
    row.dataset.tie = friend.tie;
    row.dataset.login = friend.login;
    row.querySelector("b").textContent = friend.name;
    row.querySelector("p").textContent = {
      friend: friend.online ? "online" : "offline",
      asks: "wants to be your friend",
      asked: "asked, no answer yet",
    }[friend.tie];
    const button = (text, event, kind) => {
      const made = row.querySelector(".acts").appendChild(document.createElement("button"));
      made.textContent = text;
      made.className = kind + " live";
      made.disabled = me === null;
      made.onclick = () => act(event, friend.id);
    };
    if (friend.tie === "asks") button("Accept", "accept", "primary");
    button({ friend: "Remove", asks: "Decline", asked: "Withdraw" }[friend.tie], "remove", "plain");
  });
  const waiting = friends.filter((f) => f.tie === "asks").length;
  $("waiting").textContent = waiting;
  $("waiting").hidden = waiting === 0;
  $("alone").hidden = friends.length > 0;
}

$("ask").onsubmit = async (event) => {
  event.preventDefault();
  if (await act("ask", $("who").value)) $("who").value = "";
};

// ---- devices ----

function showDevices(devices) {
  fill($("signedin"), "device-row", devices, (row, device) => {
    row.querySelector(".glyph").classList.toggle("phone", device.phone);
    row.querySelector("b").textContent = device.name;
    row.querySelector("p").textContent = `${device.address}, seen ${ago(device.seen)}`;
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
    button.onclick = () => act("end", device.id);
  });
}

// "3 min ago" ages.
setInterval(() => document.hidden || showComments(), 60000);
