// @ts-check
// Helpers that build parts of the page. Text is always inserted as text, never as markup.

/** Returns the element with an ID. @param {string} id */
export const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Returns the element in a row that a selector finds. @param {HTMLElement} row @param {string} selector */
export const find = (row, selector) => /** @type {HTMLElement} */ (row.querySelector(selector));

/**
 * Shows a user's initials in an avatar, in a color derived from the user's ID.
 * @param {HTMLElement} avatar
 * @param {{ id: string, name: string }} user
 */
export function showAvatar(avatar, { id, name }) {
  const words = name.split(" ");
  avatar.textContent = [words[0], words.slice(1).at(-1) ?? ""].map((w) => [...w][0] ?? "").join("").toUpperCase();
  let hue = 0;
  for (const c of id) hue = (hue * 31 + c.charCodeAt(0) * 7) % 360;
  avatar.style.setProperty("--hue", String(hue));
}

const linkPattern = /(?<![\p{L}\p{N}_])https?:\/\/[^\s<>"'`\\^{}|]+/giu;

/**
 * Shows a text in an element, with its http and https URLs as links. Nothing else becomes markup.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function showText(element, text) {
  element.replaceChildren();
  let end = 0;
  for (const { 0: found, index } of text.matchAll(linkPattern)) {
    const address = withoutPunctuation(found);
    const url = URL.canParse(address) ? new URL(address) : null;
    if (!url || url.username || url.password) continue; // "https://your-bank.example@evil.example" misleads
    element.append(text.slice(end, index));
    const link = element.appendChild(document.createElement("a"));
    link.href = url.href;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    link.textContent = address;
    end = index + address.length;
  }
  element.append(text.slice(end));
}

/** Removes what ends the sentence around a URL, such as ")." if the URL has no "(". @param {string} url */
function withoutPunctuation(url) {
  for (;;) {
    const last = url.slice(-1), opening = last === ")" ? "(" : last === "]" ? "[" : "";
    const unbalanced = opening && url.split(last).length > url.split(opening).length;
    if (!unbalanced && !".,;:!?…*_~".includes(last)) return url;
    url = url.slice(0, -1);
  }
}

/**
 * Returns the text to show for an error of an event. Errors of the app have a text for people. Those of
 * the library have one for programs, so the page words them.
 * @param {{ code: string, message: string }} error
 */
export const problemText = ({ code, message }) => wordings[code] ?? message;

const failed = "Something went wrong. Please try again in a moment.";
const loginChanged = "Your login has changed. Please reload the page.";
/** @type {Record<string, string | undefined>} by the codes in docs/troubleshooting.md */
const wordings = {
  session_missing: loginChanged, session_gone: loginChanged, session_renewed: loginChanged,
  unknown_outcome: "Please check whether your change was made.",
  session_unavailable: failed, session_too_large: failed, bad_arguments: failed, invalid_argument: failed, internal_error: failed, ticket_invalid: failed,
  forbidden: failed, wrong_parser: failed, offset_invalid: failed, offset_reused: failed, offset_expired: failed, too_many: failed,
};

/**
 * Replaces a list's rows with one row per item, cloned from a template and filled in by fill(row, item).
 * @template Item
 * @param {HTMLElement} list
 * @param {string} templateID
 * @param {Item[]} items
 * @param {(row: HTMLElement, item: Item) => void} fill
 */
export function renderList(list, templateID, items, fill) {
  const template = /** @type {Element} */ (/** @type {HTMLTemplateElement} */ ($(templateID)).content.firstElementChild);
  list.replaceChildren(...items.map((item) => {
    const row = /** @type {HTMLElement} */ (template.cloneNode(true));
    fill(row, item);
    return row;
  }));
}

/** Shows a number, or hides the element if the number is 0. @param {HTMLElement} element @param {number} n */
export function showCount(element, n) {
  element.textContent = n > 99 ? "99+" : String(n);
  element.hidden = n === 0;
}

/** Shows a short message for five seconds. @param {string} text */
export function showToast(text) {
  const toast = $("toasts").appendChild(document.createElement("p"));
  toast.className = "toast";
  toast.textContent = text.length > 140 ? text.slice(0, 139) + "…" : text;
  setTimeout(() => toast.remove(), 5000);
}

/** Formats a time in milliseconds, with the date unless it is today. @param {number} ms */
export function formatTime(ms) {
  const time = new Date(ms), today = time.toDateString() === new Date().toDateString();
  return time.toLocaleString(undefined, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

/** Returns a function that calls fn once, between ms and 2*ms after its first call. @param {() => void} fn @param {number} ms */
export function debounce(fn, ms) {
  /** @type {number | undefined} */
  let timer;
  return () => {
    timer ??= setTimeout(() => { timer = undefined; fn(); }, ms * (1 + Math.random()));
  };
}
