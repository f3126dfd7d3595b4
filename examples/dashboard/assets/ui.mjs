// Helpers that build parts of the page. Text is always inserted as text, never as markup.

/** Shows a user's initials in an avatar, in a color derived from the user's ID. */
export function showAvatar(avatar, { id, name }) {
  const words = name.split(" ");
  avatar.textContent = [words[0], words.length > 1 ? words.at(-1) : ""].map((w) => [...w][0] ?? "").join("").toUpperCase();
  let hue = 0;
  for (const c of id) hue = (hue * 31 + c.charCodeAt(0)) % 360;
  avatar.style.setProperty("--hue", hue);
}

/** Replaces a list's rows with one row per item, cloned from a template and filled in by fill(row, item). */
export function renderList(list, templateID, items, fill) {
  const template = document.getElementById(templateID).content.firstElementChild;
  list.replaceChildren(...items.map((item) => {
    const row = template.cloneNode(true);
    fill(row, item);
    return row;
  }));
}

/** Returns how long ago a time in milliseconds was. */
export function timeAgo(time) {
  const minutes = Math.round((Date.now() - time) / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.round(minutes / 60)} h ago`;
  return new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

/** Shows a short message for five seconds. */
export function showToast(text) {
  const toast = document.getElementById("toasts").appendChild(document.createElement("p"));
  toast.className = "toast";
  toast.textContent = text.length > 140 ? text.slice(0, 139) + "…" : text;
  setTimeout(() => toast.remove(), 5000);
}

let unseen = 0;
const title = document.title;
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) document.title = title;
  unseen = 0;
});

/** Counts an event in the tab's title while the tab is hidden. */
export function countInTitle() {
  if (document.hidden) document.title = `(${++unseen}) ${title}`;
}
