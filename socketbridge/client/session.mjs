// A session where no cookie travels: on a page of another site, or in an app. The
// page fetches a ticket, which is good for one connect, for each of them.
//
//   const socket = connectWithSession();                       // this file's client
//   const socket = io({ auth: fiberbridge.sessionAuth() });    // the official client
import { connect } from "./fiberbridge.mjs";

/**
 * @typedef {object} TicketOptions
 * @property {string} [ticketURL] where tickets are given. Default: "/socket.io/ticket", of the page's origin
 * @property {Record<string,string>} [ticketHeaders] sent there, such as a bearer token. Default: none
 * @property {string} [ticketField] the server's Config.TicketField. Default: "ticket"
 * @property {object|(() => object|Promise<object>)} [auth] sent along with the ticket. Default: nothing
 * @property {typeof fetch} [fetch] for where there is none, or another. Default: the global one
 */

/**
 * connect(), with the session of the page's origin: each time that a socket connects,
 * a ticket is fetched before. When its session gets a new ID, the new cookie too.
 * @param {string|(Options & TicketOptions)} [url] as of connect()
 * @param {Options & TicketOptions} [options]
 * @returns {Socket}
 */
export function connectWithSession(url = "/", options = {}) {
  if (typeof url === "object" && !(url instanceof URL)) return connectWithSession("/", url);
  const server = new URL(url, globalThis.location?.href).origin;
  const path = folder(options.path);
  const auth = sessionAuth({ ticketURL: `${path}ticket`, ...options });
  return followCookie(connect(url, { ...options, auth }), { server, path, fetch: options.fetch });
}

/**
 * What a client takes as its `auth`: a function that fetches a ticket for each connect.
 * A visitor without a session connects without one. When no ticket can be had, the
 * server refuses the socket: connect_error has the code "ticket_invalid" in its data.
 * @param {TicketOptions} [options]
 * @returns {(done?: (auth: object) => void) => Promise<object>|void}
 */
export function sessionAuth(options = {}) {
  const { ticketURL = "/socket.io/ticket", ticketField = "ticket", auth } = options;
  async function withTicket(wanted) {
    const ticket = await fetchTicket(ticketURL, options, wanted);
    const more = typeof auth === "function" ? await auth() : auth;
    return ticket === null ? { ...more } : { ...more, [ticketField]: ticket };
  }
  const turns = new WeakMap(); // by socket: a connect that was given up must not answer for the next
  const nobody = {};
  return function (done) { // called by each client as a method of its socket
    const socket = this ?? nobody, turn = (turns.get(socket) ?? 0) + 1;
    turns.set(socket, turn);
    const wanted = () => turns.get(socket) === turn;
    if (!done) return withTicket(wanted);
    // The official client waits for its callback for ever, so that it is called in any case.
    const tell = (auth) => wanted() && done(auth);
    withTicket(wanted).then(tell, () => tell({ [ticketField]: "" }));
  };
}

const ticketTries = 5;

/** Resolves with a ticket, "" when none is to be had, or null for a visitor without a session. */
async function fetchTicket(url, options, wanted) {
  const fetch = options.fetch ?? globalThis.fetch;
  for (let attempt = 1; ; attempt++) {
    let response = null;
    try {
      response = await fetch(new URL(url, globalThis.location?.href), {
        method: "POST", credentials: "include", cache: "no-store", headers: options.ticketHeaders ?? {},
      });
    } catch {} // the network is away: so is the socket, soon
    if (response?.ok) return (await response.json()).ticket;
    if (response?.status === 401) return null;
    const passing = !response || response.status === 429 || response.status >= 500;
    if (!passing || attempt === ticketTries || !wanted()) return "";
    await new Promise((done) => setTimeout(done, 250 * 2 ** attempt));
  }
}

/**
 * Has the page fetch its new cookie when the server sends it the URL (SendCookie).
 * @param {Socket} socket of this file's client or the official one
 * @param {{server?: string, path?: string, fetch?: typeof fetch}} [options] server: the socket's origin
 * @returns {Socket} the socket
 */
export function followCookie(socket, options = {}) {
  const server = options.server ?? socket.io?.uri ?? globalThis.location?.href;
  const start = `${folder(options.path ?? socket.io?.opts?.path)}cookie/`;
  socket.on("fiberbridge:cookie", (url) => {
    // An app may let others choose an event's name: fetch nothing else than such a URL.
    if (typeof url !== "string" || !url.startsWith(start) || !/^[\w-]{43}$/.test(url.slice(start.length))) return;
    const fetch = options.fetch ?? globalThis.fetch;
    fetch(new URL(url, server), { method: "POST", credentials: "include", cache: "no-store" }).catch(() => {});
  });
  return socket;
}

/** The path with a slash at its end, which clients leave out as they like. */
function folder(path = "/socket.io/") {
  return path.endsWith("/") ? path : `${path}/`;
}
