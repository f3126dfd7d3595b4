// A Socket.IO 5 / Engine.IO 4 client in one file, without dependencies.
//
//   import { connect } from "/socket.io/fiberbridge.mjs";
//   const socket = connect();
//   socket.on("count", (n) => show(n));
//   const n = await socket.timeout(5000).emitWithAck("incr", 1);
//
// The API is that of the official client, which works with the same servers. Differences: this
// client tries WebSocket first, and polling only if that fails; of() shares one connection
// between namespaces; binary data is sent as an ArrayBuffer or a view of one (for a Blob, send
// `await blob.arrayBuffer()`) and received as an ArrayBuffer.

/**
 * @typedef {object} Options
 * @property {string} [path] the path of the server. Default: see defaultPath
 * @property {("websocket"|"polling")[]} [transports] tried in this order. Default: both
 * @property {object|(() => object|Promise<object>)} [auth] sent with each connect. Default: none
 * @property {Record<string,string>} [query] added to the URL of each request. Default: none
 * @property {boolean} [autoConnect] connect immediately. Default: true
 * @property {boolean} [reconnection] reconnect when the connection is lost. Default: true
 * @property {number} [reconnectionAttempts] maximum number of failed attempts in a row. Default: Infinity
 * @property {number} [reconnectionDelay] ms before the first attempt, doubled after each. A server that refuses with
 *   Retry-After can ask for more, up to a minute. Default: 1000
 * @property {number} [reconnectionDelayMax] maximum of the delay, in ms. Default: 5000
 * @property {number} [randomizationFactor] random variation of the delay, as a fraction of it. Default: 0.5
 * @property {number} [timeout] ms for the handshake of one transport. Default: 20000
 * @property {boolean} [withCredentials] send cookies to another origin. Default: false
 * @property {typeof WebSocket} [WebSocket] used instead of the global WebSocket
 * @property {typeof fetch} [fetch] used instead of the global fetch
 */

const defaults = {
  transports: ["websocket", "polling"], timeout: 20000,
  reconnection: true, reconnectionAttempts: Infinity,
  reconnectionDelay: 1000, reconnectionDelayMax: 5000, randomizationFactor: 0.5,
};

const scriptURL = import.meta.url;

/**
 * Returns the path of the server on an origin. If this script came from there, the server is
 * where the script is, such as "/app/socket.io/" behind a proxy that strips "/app". Otherwise,
 * and for a copy in another folder, it is "/socket.io/".
 * @param {string|undefined} origin
 * @returns {string}
 */
export function defaultPath(origin) {
  const script = scriptURL ? new URL(scriptURL) : {};
  const served = /^(.*\/)fiberbridge\.[\w-]{16}\.m?js$|^(.*\/socket\.io\/)fiberbridge\.m?js$/.exec(script.pathname ?? "");
  return script.origin === origin && served ? served[1] ?? served[2] : "/socket.io/";
}

/**
 * Connects to the namespace that is the path of the URL, as it is written there: its characters
 * are not percent-encoded.
 * @param {string|Options} [url] "/chat", "https://example.com/chat"; or the options. Default: the page's origin, namespace "/"
 * @param {Options} [options]
 * @returns {Socket}
 */
export function connect(url = "/", options = {}) {
  if (typeof url === "object" && !(url instanceof URL)) return connect("/", url);
  const target = new URL(url, globalThis.location?.href);
  const path = options.path ?? defaultPath(target.origin);
  const connection = new Connection(target.origin, { ...defaults, ...options, path });
  return new Socket(connection, namespaceOf(url, target), options);
}

/** Returns the path of a URL as the page wrote it. A parsed URL has it percent-encoded. */
function namespaceOf(url, parsed) {
  const written = typeof url === "string" && /^\s*(?:(?:[a-z][a-z\d+.-]*:)?\/\/[^/?#]*)?(\/[^?#]*)?(?:[?#]|$)/i.exec(url);
  if (written) return written[1] ?? "/";
  try {
    return decodeURIComponent(parsed.pathname);
  } catch {
    return parsed.pathname; // a percent sign that encodes nothing
  }
}

// ---- Socket.IO packets ----

const CONNECT = 0, DISCONNECT = 1, EVENT = 2, ACK = 3, CONNECT_ERROR = 4, BINARY = 3; // BINARY: offset from EVENT or ACK to its binary type
const reserved = new Set(["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "*"]);

/** Encodes a packet as its text followed by its buffers. */
function encode({ type, namespace, id, data }) {
  const buffers = [];
  const json = data === undefined ? "" : JSON.stringify(extractBuffers(data, buffers));
  const head = buffers.length ? `${type + BINARY}${buffers.length}-` : `${type}`;
  return [head + (namespace === "/" ? "" : `${namespace},`) + (id ?? "") + json, ...buffers];
}

/** Returns a copy of value with a numbered placeholder for each buffer in it. */
function extractBuffers(value, buffers) {
  if (value === null || typeof value !== "object") return value;
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    return { _placeholder: true, num: buffers.push(value) - 1 };
  }
  if (globalThis.Blob && value instanceof Blob) throw new TypeError("send `await blob.arrayBuffer()` of a Blob");
  if (Array.isArray(value)) return value.map((v) => extractBuffers(v, buffers));
  if (typeof value.toJSON === "function") return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, extractBuffers(v, buffers)]));
}

/** Replaces the placeholders in value with the buffers. */
function restoreBuffers(value, buffers) {
  if (value === null || typeof value !== "object") return value;
  if (value._placeholder === true) {
    if (!Number.isInteger(value.num) || !(value.num in buffers)) throw new Error("illegal attachments");
    return buffers[value.num];
  }
  for (const key of Object.keys(value)) value[key] = restoreBuffers(value[key], buffers);
  return value;
}

const grammar = /^([0-6])(?:(\d{1,2})-)?(?:(\/[^,]*)(?:,|$))?(\d{1,15})?([^]*)$/;

/** Decodes the text of a packet; `awaiting` is the number of buffers that follow. */
function decode(text) {
  const match = grammar.exec(text);
  if (!match) throw new Error("malformed packet");
  const [, digit, count, namespace = "/", id, json] = match;
  const binary = digit > CONNECT_ERROR;
  if (binary !== Number(count) > 0) throw new Error("illegal attachments");
  const packet = {
    type: binary ? digit - BINARY : Number(digit),
    namespace,
    id: id === undefined ? undefined : Number(id),
    data: json ? JSON.parse(json) : undefined,
    awaiting: Number(count ?? 0),
    buffers: [],
  };
  if ((packet.type === EVENT || packet.type === ACK) && !Array.isArray(packet.data)) throw new Error("malformed packet");
  return packet;
}

// ---- transports ----
//
// A transport is { name, send(packets), close(graceful) }. It calls on.packet for each
// received packet (a string, or an ArrayBuffer for a binary message), and on.closed when it
// ends. With graceful, close() sends the queued packets and a close packet to the server.

function webSocket(url, options, on) {
  const WS = options.WebSocket ?? globalThis.WebSocket;
  if (!WS) throw new Error("WebSocket is not available");
  const ws = new WS(url("websocket").replace(/^http/, "ws"));
  ws.binaryType = "arraybuffer";
  ws.onmessage = ({ data }) => on.packet(data);
  ws.onclose = () => on.closed("transport close", new Error("websocket closed"));
  ws.onerror = () => on.closed("transport error", new Error("websocket error"));
  return {
    name: "websocket",
    send: (packets) => packets.forEach((packet) => ws.send(packet)),
    close() { // always graceful: the WebSocket has its own close handshake
      ws.onmessage = ws.onclose = null;
      ws.onerror = () => {}; // some implementations report an error when closed before they open
      ws.close();
    },
  };
}

const SEPARATOR = "\x1e";

function polling(url, options, on) {
  const reading = new AbortController();
  const fetch = options.fetch ?? globalThis.fetch;
  const credentials = options.withCredentials ? "include" : "same-origin";
  const queue = [];
  let posting = false, closed = false, last; // last: the URL of requests after close()

  async function request(more) {
    const response = await fetch(last ?? url("polling"), { credentials, cache: "no-store", ...more });
    if (!response.ok) {
      const retryAfter = Number(response.headers.get("Retry-After")) * 1000 || 0; // 0 for a date, too
      throw Object.assign(new Error(`polling request failed with status ${response.status}`), { status: response.status, retryAfter });
    }
    return response.text();
  }
  async function receive() {
    while (!closed) {
      for (const packet of (await request({ signal: reading.signal })).split(SEPARATOR)) {
        if (!closed) on.packet(packet[0] === "b" ? fromBase64(packet.slice(1)) : packet);
      }
    }
  }
  async function post() {
    if (posting) return;
    posting = true;
    await null; // packets that are sent in one turn of the event loop share a request
    while (queue.length) {
      // As many packets as the server accepts in one request, but at least one.
      let body = queue.shift();
      while (queue.length && body.length + 1 + queue[0].length <= transport.maxBody) body += SEPARATOR + queue.shift();
      await request({ method: "POST", body, headers: { "Content-Type": "text/plain;charset=UTF-8" } });
    }
    posting = false;
  }
  const fail = (error) => closed || on.closed("transport error", error);

  const transport = {
    name: "polling",
    maxBody: Infinity, // in characters; set from the handshake
    send(packets) {
      queue.push(...packets.map((p) => (typeof p === "string" ? p : "b" + toBase64(p))));
      post().catch(fail);
    },
    close(graceful) {
      closed = true;
      last = url("polling"); // now, while the connection has its ID
      if (graceful) return transport.send(["1"]); // the server then ends the pending poll too
      queue.length = 0;
      reading.abort();
    },
  };
  receive().catch(fail);
  return transport;
}

function toBase64(data) {
  const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

const transports = { websocket: webSocket, polling };

// ---- the connection: handshake, heartbeat, reconnection ----

class Connection {
  /** @type {Map<string, Socket>} the active sockets, by namespace */
  sockets = new Map();
  #origin;
  #options;
  #transport = null;
  #state = "closed"; // "opening", "open"
  #sid = null;
  #joining = new Set(); // namespaces whose CONNECT has not been answered
  #pending = null; // a packet whose buffers are incomplete
  #attempts = 0;
  #pingWait; // ms until the next ping must arrive
  #handshake; // this and the next two: timers
  #heartbeat;
  #retry;
  #offline = () => this.#state === "open" && this.#end("transport close", new Error("offline"));
  #online = () => this.#retry && this.#open();

  constructor(origin, options) {
    this.#origin = origin;
    this.#options = options;
  }

  get transport() {
    return this.#state === "open" ? this.#transport.name : "";
  }

  attach(socket) {
    if (!this.sockets.size) this.#watchNetwork("addEventListener");
    this.sockets.set(socket.namespace, socket);
    if (this.#state === "open") socket._opened();
    else if (this.#state === "closed") this.#open();
  }

  detach(socket) {
    if (!this.sockets.delete(socket.namespace) || this.sockets.size) return;
    this.#watchNetwork("removeEventListener");
    clearTimeout(this.#retry);
    this.#attempts = 0;
    this.#drop(this.#state === "open");
  }

  join(namespace, data) {
    if (this.#joining.has(namespace)) return; // the pending answer is for the namespace's current socket
    this.#joining.add(namespace);
    this.send(encode({ type: CONNECT, namespace, data }));
  }

  /** Sends the result of encode(): the buffers become separate binary messages. */
  send(messages) {
    // The transport is null while the sockets' disconnect listeners run.
    this.#transport?.send(messages.map((m) => (typeof m === "string" ? `4${m}` : m)));
  }

  #watchNetwork(method) {
    globalThis[method]?.("offline", this.#offline);
    globalThis[method]?.("online", this.#online);
  }

  #open() {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#try(this.#options.transports);
  }

  /** Tries the transports in turn until a handshake succeeds. */
  #try([name, ...others]) {
    this.#state = "opening";
    let transport = null;
    const closed = (reason, error) => {
      if (this.#transport !== transport) return; // already dropped
      if (this.#state === "open" || !others.length) return this.#end(reason, error);
      this.#drop();
      this.#try(others);
    };
    this.#handshake = setTimeout(() => closed("transport error", new Error("timeout")), this.#options.timeout);
    try {
      transport = this.#transport = transports[name]((as) => this.#url(as), this.#options, {
        packet: (data) => this.#transport === transport && this.#packet(data),
        closed,
      });
    } catch (error) {
      closed("transport error", error);
    }
  }

  #url(transport) {
    const url = new URL(this.#options.path, this.#origin);
    const sid = this.#sid ? { sid: this.#sid } : {};
    url.search = new URLSearchParams({ ...this.#options.query, EIO: "4", transport, ...sid });
    return url.href;
  }

  #packet(data) {
    try {
      if (typeof data !== "string") return this.#message(data);
      switch (data[0]) {
        case "0": return this.#opened(JSON.parse(data.slice(1)));
        case "1": return this.#end("transport close", new Error("the server closed the connection"));
        case "2": this.#transport.send(["3"]); return this.#awaitPing();
        case "4": return this.#message(data.slice(1));
        case "6": return;
        default: throw new Error("malformed packet");
      }
    } catch (error) {
      this.#end("parse error", error);
    }
  }

  #opened({ sid, pingInterval, pingTimeout, maxPayload }) {
    clearTimeout(this.#handshake);
    this.#sid = sid;
    this.#state = "open";
    this.#attempts = 0;
    this.#pingWait = pingInterval + pingTimeout;
    if (maxPayload) this.#transport.maxBody = Math.floor(maxPayload / 3); // at most three bytes per character
    this.#awaitPing();
    for (const socket of [...this.sockets.values()]) socket._opened();
  }

  #awaitPing() {
    clearTimeout(this.#heartbeat);
    this.#heartbeat = setTimeout(() => this.#end("ping timeout", new Error("ping timeout")), this.#pingWait);
  }

  #message(data) {
    let packet = this.#pending;
    if (typeof data === "string") {
      if (packet) throw new Error("text message before the packet's attachments");
      packet = decode(data);
    } else {
      if (!packet) throw new Error("binary message without a packet");
      packet.buffers.push(data);
    }
    this.#pending = packet.buffers.length < packet.awaiting ? packet : null;
    if (this.#pending) return;
    if (packet.awaiting) packet.data = restoreBuffers(packet.data, packet.buffers);
    const { type, namespace } = packet;
    if (type === CONNECT || type === CONNECT_ERROR) this.#joining.delete(namespace);
    const socket = this.sockets.get(namespace);
    if (socket) socket._packet(packet);
    else if (type === CONNECT) this.send(encode({ type: DISCONNECT, namespace })); // the socket has disconnected meanwhile
  }

  /** Closes the transport, if there is one, and resets the connection. */
  #drop(graceful = false) {
    const transport = this.#transport;
    clearTimeout(this.#handshake);
    clearTimeout(this.#heartbeat);
    this.#transport = this.#pending = null;
    this.#state = "closed";
    this.#joining.clear();
    transport?.close(graceful);
    this.#sid = null;
  }

  #end(reason, error) {
    const wasOpen = this.#state === "open";
    this.#drop();
    for (const socket of [...this.sockets.values()]) wasOpen ? socket._closed(reason) : socket._failed(error);
    const o = this.#options;
    if (!o.reconnection || !this.sockets.size || this.#state !== "closed" || this.#attempts >= o.reconnectionAttempts) return;
    const delay = Math.min(o.reconnectionDelay * 2 ** this.#attempts++, o.reconnectionDelayMax);
    clearTimeout(this.#retry);
    const random = o.randomizationFactor * Math.random();
    // Not before the time that the server asks for, and then spread, because it may ask many clients.
    const earliest = Math.min(error?.retryAfter ?? 0, 60000) * (1 + random);
    this.#retry = setTimeout(() => this.#open(), Math.max(earliest, delay * (1 - o.randomizationFactor + 2 * random)));
  }
}

// ---- a socket: one client in one namespace ----

/** Calls a callback of the page. Its exceptions are reported, but do not affect the connection. */
function call(callback, ...args) {
  try {
    callback(...args);
  } catch (error) {
    queueMicrotask(() => { throw error; });
  }
}

export class Socket {
  /** The socket's ID while it is connected. @type {string|undefined} */
  id;
  connected = false;
  /** Whether the server restored the state of the previous connection and sent the missed events. */
  recovered = false;
  /** @type {string} */
  namespace;
  /** Sent with each connect. May be changed between connects. */
  auth;
  #connection;
  #listeners = new Map();
  #acks = new Map(); // by id: { resolve, reject }
  #lastAck = 0;
  #buffer = []; // messages emitted while not connected
  #epoch = 0; // incremented whenever the socket opens or closes
  #pid; // the private ID with which the server recovers the socket
  #offset; // the offset of the last received event

  /** Use connect() or of() instead. */
  constructor(connection, namespace, { auth, autoConnect = true }) {
    this.#connection = connection;
    this.namespace = namespace;
    this.auth = auth;
    if (autoConnect) this.connect();
  }

  /** True while it is connected or will reconnect. */
  get active() {
    return this.#connection.sockets.get(this.namespace) === this;
  }

  /** "websocket", "polling", or "" while there is no connection. */
  get transport() {
    return this.#connection.transport;
  }

  connect() {
    if (!this.active) this.#connection.attach(this);
    return this;
  }

  /** Returns the socket of another namespace, over the same connection. @param {Pick<Options, "auth"|"autoConnect">} [options] */
  of(namespace, options = {}) {
    return this.#connection.sockets.get(namespace) ?? new Socket(this.#connection, namespace, options);
  }

  disconnect() {
    if (!this.active) return this;
    if (this.connected) this.#connection.send(encode({ type: DISCONNECT, namespace: this.namespace }));
    this.#connection.detach(this);
    this._closed("io client disconnect");
    return this;
  }

  /** Calls listener for each event. A listener of "*" gets all events of the server, with the name first. */
  on(event, listener) {
    if (!this.#listeners.has(event)) this.#listeners.set(event, []);
    this.#listeners.get(event).push({ listener });
    return this;
  }

  once(event, listener) {
    this.on(event, listener);
    this.#listeners.get(event).at(-1).once = true;
    return this;
  }

  /** Removes a listener, all listeners of an event, or all listeners. */
  off(event, listener) {
    if (event === undefined) this.#listeners.clear();
    else if (listener === undefined) this.#listeners.delete(event);
    else this.#listeners.set(event, (this.#listeners.get(event) ?? []).filter((l) => l.listener !== listener));
    return this;
  }

  /** Emits an event. If the last argument is a function, it is called with the answer. Events are buffered while not connected. */
  emit(event, ...args) {
    const answer = typeof args.at(-1) === "function" ? args.pop() : null;
    this.#emit(event, args, answer && { resolve: (values) => call(answer, ...values), reject() {} });
    return this;
  }

  /** Emits an event and resolves with the first value of the answer. Rejects if the connection is lost before. */
  emitWithAck(event, ...args) {
    return new Promise((resolve, reject) => this.#emit(event, args, { resolve: ([value]) => resolve(value), reject }));
  }

  /** Sets the ms within which the answer to one emit must arrive. A callback gets an Error or null first; emitWithAck rejects. */
  timeout(ms) {
    return {
      emit: (event, ...args) => {
        const answer = args.pop();
        this.#emit(event, args, { resolve: (values) => call(answer, null, ...values), reject: (error) => call(answer, error) }, ms);
        return this;
      },
      emitWithAck: (event, ...args) =>
        new Promise((resolve, reject) => this.#emit(event, args, { resolve: ([value]) => resolve(value), reject }, ms)),
    };
  }

  #emit(event, args, ack, ms) {
    if (reserved.has(event)) throw new Error(`"${event}" is a reserved event name`);
    const id = ack ? this.#lastAck++ : undefined;
    // Encode now: later changes to the arguments have no effect, and encoding errors are thrown here.
    const message = { id, ack, encoded: encode({ type: EVENT, namespace: this.namespace, id, data: [event, ...args] }) };
    if (ack && ms !== undefined) {
      ack.timer = setTimeout(() => {
        this.#acks.delete(id);
        this.#buffer = this.#buffer.filter((m) => m !== message);
        ack.reject(new Error("operation has timed out"));
      }, ms);
    }
    if (this.connected) this.#send(message);
    else this.#buffer.push(message);
  }

  #send({ id, ack, encoded }) {
    if (ack) this.#acks.set(id, ack);
    this.#connection.send(encoded);
  }

  #dispatch(event, ...args) {
    for (const entry of [...(this.#listeners.get(event) ?? [])]) {
      if (entry.once) this.off(event, entry.listener);
      call(entry.listener, ...args);
    }
  }

  /** Returns the function that answers an event: once, and only over the current connection. */
  #answerer(id) {
    const epoch = this.#epoch;
    let done = false;
    return (...values) => {
      if (done || epoch !== this.#epoch) return;
      done = true;
      this.#connection.send(encode({ type: ACK, namespace: this.namespace, id, data: values }));
    };
  }

  // Called by the connection.

  async _opened() {
    const epoch = ++this.#epoch;
    try {
      const auth = typeof this.auth === "function" ? await this.auth() : this.auth;
      const back = this.#pid && { pid: this.#pid, offset: this.#offset };
      if (epoch === this.#epoch) this.#connection.join(this.namespace, back ? { ...back, ...auth } : auth ?? undefined);
    } catch (error) { // from the auth function, or because auth cannot be encoded
      if (epoch !== this.#epoch) return;
      this.#connection.detach(this);
      this._failed(error);
    }
  }

  _closed(reason) {
    this.#epoch++;
    for (const { reject, timer } of this.#acks.values()) {
      clearTimeout(timer);
      reject(new Error("socket has been disconnected"));
    }
    this.#acks.clear();
    if (!this.connected) return;
    this.connected = false;
    this.id = undefined;
    this.#dispatch("disconnect", reason);
  }

  _failed(error) {
    this.#dispatch("connect_error", error);
  }

  _packet({ type, id, data }) {
    switch (type) {
      case CONNECT:
        this.id = data?.sid;
        this.recovered = data?.pid !== undefined && data.pid === this.#pid;
        if (!this.recovered) this.#offset = undefined;
        this.#pid = data?.pid;
        this.connected = true;
        for (const message of this.#buffer.splice(0)) this.#send(message);
        return this.#dispatch("connect");
      case DISCONNECT:
        this.#connection.detach(this);
        return this._closed("io server disconnect");
      case CONNECT_ERROR:
        this.#connection.detach(this);
        return this._failed(Object.assign(new Error(data?.message ?? data), { data: data?.data }));
      case EVENT:
        if (id !== undefined) data.push(this.#answerer(id));
        else if (this.#pid && typeof data.at(-1) === "string") this.#offset = data.at(-1);
        this.#dispatch("*", ...data);
        return this.#dispatch(...data);
      case ACK: {
        const ack = this.#acks.get(id);
        if (!ack) return;
        this.#acks.delete(id);
        clearTimeout(ack.timer);
        ack.resolve(data);
      }
    }
  }
}
