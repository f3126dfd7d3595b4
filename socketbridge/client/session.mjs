// Sessions for pages that cannot send the session cookie: a page of another site, or an
// app. For each connect, the client fetches a ticket that is valid for one connect.
//
//   const socket = connectWithSession();                       // this file's client
//   const socket = io({ auth: fiberbridge.sessionAuth() });    // the official client
import { connect, defaultPath } from "./fiberbridge.mjs";

/**
 * @typedef {object} TicketOptions
 * @property {string} [ticketURL] where the server issues tickets. Default: "ticket" below the server's path on the page's origin
 * @property {Record<string,string>} [ticketHeaders] headers for the ticket request, such as a bearer token. Default: none
 * @property {string} [ticketField] the field of auth that carries the ticket; must match the server. Default: "ticket"
 * @property {object|(() => object|Promise<object>)} [auth] more fields for auth. Default: none
 * @property {typeof fetch} [fetch] used instead of the global fetch
 */

/**
 * Like connect(), but with the session of the page's origin. It fetches a ticket before each
 * connect. When the session gets a new ID, it also fetches the new cookie.
 * @param {string|(Options & TicketOptions)} [url] as for connect()
 * @param {Options & TicketOptions} [options]
 * @returns {Socket}
 */
export function connectWithSession(url = "/", options = {}) {
  if (typeof url === "object" && !(url instanceof URL)) return connectWithSession("/", url);
  const server = new URL(url, globalThis.location?.href).origin;
  const auth = sessionAuth(options.path ? { ticketURL: `${folder(options.path)}ticket`, ...options } : options);
  const path = options.path ?? defaultPath(server);
  return followCookie(connect(url, { ...options, auth }), { server, path, fetch: options.fetch });
}

/**
 * Returns a function for the `auth` option of this client or the official one. It fetches a
 * ticket for each connect. A visitor without a session connects without a ticket. If no ticket
 * can be fetched, the server refuses the socket: connect_error has the code "ticket_invalid" in
 * its data.
 * @param {TicketOptions} [options]
 * @returns {(done?: (auth: object) => void) => Promise<object>|void}
 */
export function sessionAuth(options = {}) {
  const { ticketField = "ticket", auth } = options;
  const ticketURL = options.ticketURL ?? `${defaultPath(globalThis.location?.origin)}ticket`;
  async function withTicket(isLatest) {
    const ticket = await fetchTicket(ticketURL, options, isLatest);
    const more = typeof auth === "function" ? await auth() : auth;
    return ticket === null ? { ...more } : { ...more, [ticketField]: ticket };
  }
  const calls = new WeakMap(); // by socket: an abandoned connect must not answer a later one
  const anonymous = {};
  return function (done) { // both clients call it as a method of the socket
    const socket = this ?? anonymous, call = (calls.get(socket) ?? 0) + 1;
    calls.set(socket, call);
    const isLatest = () => calls.get(socket) === call;
    if (!done) return withTicket(isLatest);
    // The official client waits for the callback without a timeout, so always call it.
    const finish = (auth) => isLatest() && done(auth);
    withTicket(isLatest).then(finish, () => finish({ [ticketField]: "" }));
  };
}

const maxTicketAttempts = 5;

/** Resolves with a ticket, with "" if it cannot get one, or with null if the visitor has no session. */
async function fetchTicket(url, options, isLatest) {
  const fetch = options.fetch ?? globalThis.fetch;
  for (let attempt = 1; ; attempt++) {
    let response = null;
    // A server that ignores cookies lets pages read only answers to requests without them.
    for (const credentials of options.ticketHeaders ? ["include", "omit"] : ["include"]) {
      try {
        response = await fetch(new URL(url, globalThis.location?.href), {
          method: "POST", credentials, cache: "no-store", headers: options.ticketHeaders ?? {},
        });
        break;
      } catch {} // the network failed; the socket will notice too
    }
    if (response?.ok) return (await response.json()).ticket;
    if (response?.status === 401) return null;
    const transient = !response || response.status === 429 || response.status >= 500;
    if (!transient || attempt === maxTicketAttempts || !isLatest()) return "";
    await new Promise((done) => setTimeout(done, 250 * 2 ** attempt));
  }
}

/**
 * Fetches the session's new cookie when the server sends its URL (SendCookie).
 * @param {Socket} socket of this client or the official one
 * @param {{server?: string, path?: string, fetch?: typeof fetch}} [options] server: the socket's origin
 * @returns {Socket} the socket
 */
export function followCookie(socket, options = {}) {
  const server = options.server ?? socket.io?.uri ?? globalThis.location?.href;
  const path = folder(options.path ?? socket.io?.opts?.path);
  socket.on("fiberbridge:cookie", (url) => {
    // An app may let other users choose event names, so accept only URLs of this form.
    if (typeof url !== "string" || !/^cookie\/[\w-]{43}$/.test(url)) return;
    const fetch = options.fetch ?? globalThis.fetch;
    fetch(new URL(path + url, server), { method: "POST", credentials: "include", cache: "no-store" }).catch(() => {});
  });
  return socket;
}

/** Appends a slash to the path, which clients may omit. */
function folder(path = "/socket.io/") {
  return path.endsWith("/") ? path : `${path}/`;
}
