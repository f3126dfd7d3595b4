// Small things that pages are made of. Text goes in as text, never as markup.

/** Gives an avatar somebody's initials, and a colour that is theirs. */
export function face(avatar, { id, name }) {
  const words = name.split(" ");
  avatar.textContent = [words[0], words.length > 1 ? words.at(-1) : ""].map((w) => [...w][0] ?? "").join("").toUpperCase();
  let hue = 0;
  for (const c of id) hue = (hue * 31 + c.charCodeAt(0)) % 360;
  avatar.style.setProperty("--hue", hue);
}

/** Fills a list with a row for each item, made from the template of that ID. */
export function fill(list, template, items, dress) {
  const pattern = document.getElementById(template).content.firstElementChild;
  list.replaceChildren(...items.map((item) => {
    const row = pattern.cloneNode(true);
    dress(row, item);
    return row;
  }));
}

/** How long ago a time in milliseconds was. */
export function ago(time) {
  const minutes = Math.round((Date.now() - time) / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.round(minutes / 60)} h ago`;
  return new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

/** Says something for a few seconds. */
export function toast(text) {
  const made = document.getElementById("toasts").appendChild(document.createElement("p"));
  made.className = "toast";
  made.textContent = text.length > 140 ? text.slice(0, 139) + "…" : text;
  setTimeout(() => made.remove(), 5000);
}

let waiting = 0;
const title = document.title;
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) document.title = title;
  waiting = 0;
});

/** Counts in the tab's title what came while nobody looked. */
export function waitingInTitle() {
  if (document.hidden) document.title = `(${++waiting}) ${title}`;
}
