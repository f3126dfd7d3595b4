// Helpers that build parts of the page. Text is always inserted as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** Shows a user's initials in an avatar, in a color derived from the user's ID. */
export function showAvatar(avatar, { id, name }) {
  const words = name.split(" ");
  avatar.textContent = [words[0], words.length > 1 ? words.at(-1) : ""].map((w) => [...w][0] ?? "").join("").toUpperCase();
  let hue = 0;
  for (const c of id) hue = (hue * 31 + c.charCodeAt(0) * 7) % 360;
  avatar.style.setProperty("--hue", hue);
}

/** Replaces a list's rows with one row per item, cloned from a template and filled in by fill(row, item). */
export function renderList(list, templateID, items, fill) {
  const template = $(templateID).content.firstElementChild;
  list.replaceChildren(...items.map((item) => {
    const row = template.cloneNode(true);
    fill(row, item);
    return row;
  }));
}

/** Shows a number, or hides the element if the number is 0. */
export function showCount(element, n) {
  element.textContent = n > 99 ? "99+" : n;
  element.hidden = n === 0;
}

/** Shows a short message for five seconds. */
export function showToast(text) {
  const toast = $("toasts").appendChild(document.createElement("p"));
  toast.className = "toast";
  toast.textContent = text.length > 140 ? text.slice(0, 139) + "…" : text;
  setTimeout(() => toast.remove(), 5000);
}

/** Formats a time in milliseconds, with the date unless it is today. */
export function formatTime(ms) {
  const time = new Date(ms), today = time.toDateString() === new Date().toDateString();
  return time.toLocaleString(undefined, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

/** Returns a function that calls fn once, between ms and 2*ms after its first call. */
export function debounce(fn, ms) {
  let timer;
  return () => {
    timer ??= setTimeout(() => { timer = undefined; fn(); }, ms * (1 + Math.random()));
  };
}
