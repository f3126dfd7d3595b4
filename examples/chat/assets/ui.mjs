// Small things that the page is made of. Text goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** Gives an avatar somebody's initials, and a colour that is theirs. */
export function face(avatar, { id, name }) {
  const words = name.split(" ");
  avatar.textContent = [words[0], words.length > 1 ? words.at(-1) : ""].map((w) => [...w][0] ?? "").join("").toUpperCase();
  let hue = 0;
  for (const c of id) hue = (hue * 31 + c.charCodeAt(0) * 7) % 360;
  avatar.style.setProperty("--hue", hue);
}

/** Fills a list with a row for each item, made from the template of that ID. */
export function fill(list, template, items, dress) {
  const pattern = $(template).content.firstElementChild;
  list.replaceChildren(...items.map((item) => {
    const row = pattern.cloneNode(true);
    dress(row, item);
    return row;
  }));
}

/** Shows a number, unless it is 0. */
export function count(element, n) {
  element.textContent = n > 99 ? "99+" : n;
  element.hidden = n === 0;
}

/** Says something for a few seconds. */
export function toast(text) {
  const made = $("toasts").appendChild(document.createElement("p"));
  made.className = "toast";
  made.textContent = text.length > 140 ? text.slice(0, 139) + "…" : text;
  setTimeout(() => made.remove(), 5000);
}

export function clock(ms) {
  const time = new Date(ms), today = time.toDateString() === new Date().toDateString();
  return time.toLocaleString(undefined, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}
