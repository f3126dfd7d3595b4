// A Socket.IO v5 / Engine.IO v4 client in one file, without dependencies.
//
//   import { connect } from "/socket.io/fiberbridge.mjs";
//   const socket = connect();
//   socket.on("count", (n) => show(n));
//   const n = await socket.timeout(5000).emitWithAck("incr", 1);
//
// The words are those of the official client, which works with the same servers.
// Different here: the WebSocket is tried first, and polling only when that fails;
// of() shares a connection between namespaces; binary data is an ArrayBuffer or a
// view of one (of a Blob, send `await blob.arrayBuffer()`), and arrives as an
// ArrayBuffer.

/**
 * @typedef {object} Options
 * @property {string} [path] where the server answers. Default: "/socket.io/"
 * @property {("websocket"|"polling")[]} [transports] tried in this order. Default: both
 * @property {object|(() => object|Promise<object>)} [auth] sent at each connect. Default: nothing
 * @property {Record<string,string>} [query] added to the URL of each request. Default: nothing
 * @property {boolean} [autoConnect] connect without being asked. Default: true
 * @property {boolean} [reconnection] come back after the connection was lost. Default: true
 * @property {number} [reconnectionAttempts] give up after so many in a row. Default: Infinity
 * @property {number} [reconnectionDelay] ms before the first attempt, doubled each time. Default: 1000
 * @property {number} [reconnectionDelayMax] ms that the delay grows to. Default: 5000
 * @property {number} [randomizationFactor] the delay varies by this share. Default: 0.5
 * @property {number} [timeout] ms for one transport to shake hands. Default: 20000
 * @property {boolean} [withCredentials] send cookies to another origin. Default: false
 * @property {typeof WebSocket} [WebSocket] for where there is none built in. Default: the global one
 */

const defaults = {
  path: "/socket.io/",
  transports: ["websocket", "polling"],
  reconnection: true,
  reconnectionAttempts: Infinity,
  reconnectionDelay: 1000,
  reconnectionDelayMax: 5000,
  randomizationFactor: 0.5,
  timeout: 20000,
};

/**
 * Connects to a namespace: the path of the URL.
 * @param {string} [url] "/chat", "https://example.com/chat". Default: the page's origin, namespace "/"
 * @param {Options} [options]
 * @returns {Socket}
 */
export function connect(url = "/", options = {}) {
  const target = new URL(url, globalThis.location?.href);
  const connection = new Connection(target.origin, { ...defaults, ...options });
  return new Socket(connection, target.pathname, options);
}

// ---- Socket.IO packets ----

const CONNECT = 0, DISCONNECT = 1, EVENT = 2, ACK = 3, CONNECT_ERROR = 4, BINARY = 3; // BINARY: from EVENT or ACK to its binary form
const reserved = new Set(["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]);

/** Encodes a packet as its text and the buffers that follow it. */
function encode({ type, namespace, id, data }) {
  const buffers = [];
  const json = data === undefined ? "" : JSON.stringify(takeBuffers(data, buffers));
  const head = buffers.length ? `${type + BINARY}${buffers.length}-` : `${type}`;
  return [head + (namespace === "/" ? "" : `${namespace},`) + (id ?? "") + json, ...buffers];
}

/** Copies a value with a numbered placeholder for each buffer in it. */
function takeBuffers(value, buffers) {
  if (value === null || typeof value !== "object") return value;
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    return { _placeholder: true, num: buffers.push(value) - 1 };
  }
  if (globalThis.Blob && value instanceof Blob) throw new TypeError("send `await blob.arrayBuffer()` of a Blob");
  if (Array.isArray(value)) return value.map((v) => takeBuffers(v, buffers));
  if (typeof value.toJSON === "function") return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, takeBuffers(v, buffers)]));
}

/** Puts the buffers where their placeholders stand. */
function putBuffers(value, buffers) {
  if (value === null || typeof value !== "object") return value;
  if (value._placeholder === true) {
    if (!Number.isInteger(value.num) || !(value.num in buffers)) throw new Error("illegal attachments");
    return buffers[value.num];
  }
  for (const key of Object.keys(value)) value[key] = putBuffers(value[key], buffers);
  return value;
}

const grammar = /^([0-6])(?:(\d{1,2})-)?(?:(\/[^,]*)(?:,|$))?(\d{1,15})?([^]*)$/;

/** Decodes the text of a packet; `awaits` is how many buffers follow. */
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
    awaits: Number(count ?? 0),
  };
  if ((packet.type === EVENT || packet.type === ACK) && !Array.isArray(packet.data)) throw new Error("malformed packet");
  return packet;
}

// ---- transports ----
//
// A transport is { name, send(packets), close() }. It tells packets (a string, or
// an ArrayBuffer for a binary message) by on.packet, and its end by on.closed,
// once. Its close() tells nothing.

function webSocket(url, options, on) {
  const WS = options.WebSocket ?? globalThis.WebSocket;
  if (!WS) throw new Error("there is no WebSocket here");
  const ws = new WS(url("websocket").replace(/^http/, "ws"));
  ws.binaryType = "arraybuffer";
  ws.onmessage = ({ data }) => on.packet(data);
  ws.onclose = () => on.closed("transport close", new Error("websocket closed"));
  ws.onerror = () => on.closed("transport error", new Error("websocket error"));
  return {
    name: "websocket",
    send: (packets) => packets.forEach((packet) => ws.send(packet)),
    close() {
      ws.onmessage = ws.onclose = null;
      ws.onerror = () => {}; // closing before it opened is an error to some
      ws.close();
    },
  };
}

const SEPARATOR = "\x1e";

function polling(url, options, on) {
  const end = new AbortController();
  const init = { credentials: options.withCredentials ? "include" : "same-origin", cache: "no-store" };
  const queue = [];
  let posting = false;

  async function request(more) {
    const response = await fetch(url("polling"), { ...init, ...more });
    if (!response.ok) throw Object.assign(new Error(`polling answered ${response.status}`), { status: response.status });
    return response.text();
  }
  function fail(error) {
    if (end.signal.aborted) return;
    end.abort();
    on.closed("transport error", error);
  }
  async function receive() {
    while (!end.signal.aborted) {
      const body = await request({ signal: end.signal });
      for (const packet of body.split(SEPARATOR)) {
        if (end.signal.aborted) return;
        on.packet(packet[0] === "b" ? fromBase64(packet.slice(1)) : packet);
      }
    }
  }
  async function flush() {
    if (posting) return;
    posting = true;
    while (queue.length && !end.signal.aborted) {
      // As many packets as the server takes at once, but one at least.
      let body = queue.shift();
      while (queue.length && body.length + 1 + queue[0].length <= transport.maxBody) body += SEPARATOR + queue.shift();
      await request({ method: "POST", body, headers: { "Content-Type": "text/plain;charset=UTF-8" }, signal: end.signal });
    }
    posting = false;
  }

  const transport = {
    name: "polling",
    maxBody: Infinity, // characters; the connection learns the true limit at the handshake
    send(packets) {
      queue.push(...packets.map((p) => (typeof p === "string" ? p : "b" + toBase64(p))));
      flush().catch(fail);
    },
    close() {
      end.abort();
      request({ method: "POST", body: "1", headers: { "Content-Type": "text/plain;charset=UTF-8" }, keepalive: true }).catch(() => {});
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

// ---- the connection: handshake, heartbeat, coming back ----

class Connection {
  /** @type {Map<string, Socket>} those that want to be connected, by namespace */
  sockets = new Map();
  #origin;
  #options;
  #transport = null;
  #state = "closed"; // "opening", "open"
  #sid = null;
  #attempts = 0;
  #pending = null; // a packet that awaits buffers
  #handshake; // its timer
  #heartbeat; // the timer of the next ping
  #retry; // the timer of the next attempt

  constructor(origin, options) {
    this.#origin = origin;
    this.#options = options;
    globalThis.addEventListener?.("offline", () => this.#state === "open" && this.#end("transport close", new Error("offline")));
    globalThis.addEventListener?.("online", () => this.#retry && this.open());
  }

  get transport() {
    return this.#state === "open" ? this.#transport.name : "";
  }

  attach(socket) {
    this.sockets.set(socket.namespace, socket);
    if (this.#state === "open") socket._opened();
    else if (this.#state === "closed") this.open();
  }

  detach(socket) {
    if (this.sockets.get(socket.namespace) !== socket) return;
    this.sockets.delete(socket.namespace);
    if (this.sockets.size > 0) return;
    this.#drop();
    this.#stopTimers();
    this.#attempts = 0;
  }

  open() {
    this.#stopTimers();
    this.#try(this.#options.transports);
  }

  /** Sends Socket.IO packets; buffers go as binary messages of their own. */
  send(packet) {
    this.#transport.send(encode(packet).map((m) => (typeof m === "string" ? `4${m}` : m)));
  }

  /** Tries the transports in turn, until one shakes hands. */
  #try([name, ...others]) {
    this.#state = "opening";
    let over = false;
    const closed = (reason, error) => {
      if (over) return;
      over = true;
      if (this.#state === "opening" && others.length) {
        this.#drop();
        this.#try(others);
      } else {
        this.#end(reason, error);
      }
    };
    this.#handshake = setTimeout(() => closed("transport error", new Error("timeout")), this.#options.timeout);
    try {
      const transport = transports[name]((as) => this.#url(as), this.#options, {
        packet: (data) => over || transport !== this.#transport || this.#packet(data),
        closed: (reason, error) => transport === this.#transport && closed(reason, error),
      });
      this.#transport = transport;
    } catch (error) {
      closed("transport error", error);
    }
  }

  #url(transport) {
    const url = new URL(this.#options.path, this.#origin);
    const query = { ...this.#options.query, EIO: "4", transport };
    if (this.#sid) query.sid = this.#sid;
    url.search = new URLSearchParams(query);
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
    this.pingWait = pingInterval + pingTimeout;
    // A character of text takes three bytes at most.
    if (maxPayload) this.#transport.maxBody = Math.floor(maxPayload / 3);
    this.#awaitPing();
    for (const socket of [...this.sockets.values()]) socket._opened();
  }

  #awaitPing() {
    clearTimeout(this.#heartbeat);
    this.#heartbeat = setTimeout(() => this.#end("ping timeout", new Error("ping timeout")), this.pingWait);
  }

  #message(data) {
    let packet = this.#pending;
    if (typeof data === "string") {
      if (packet) throw new Error("text in the middle of attachments");
      packet = { ...decode(data), buffers: [] };
    } else {
      if (!packet) throw new Error("an attachment that no packet awaits");
      packet.buffers.push(data);
    }
    this.#pending = packet.buffers.length < packet.awaits ? packet : null;
    if (this.#pending) return;
    if (packet.awaits) packet.data = putBuffers(packet.data, packet.buffers);
    this.sockets.get(packet.namespace)?._packet(packet);
  }

  /** Forgets the transport, and closes it. */
  #drop() {
    const transport = this.#transport;
    clearTimeout(this.#handshake);
    clearTimeout(this.#heartbeat);
    this.#transport = this.#pending = null;
    this.#state = "closed";
    transport?.close();
    this.#sid = null;
  }

  #end(reason, error) {
    const wasOpen = this.#state === "open";
    this.#drop();
    for (const socket of [...this.sockets.values()]) {
      if (wasOpen) socket._closed(reason);
      else socket._failed(error);
    }
    const { reconnection, reconnectionAttempts, reconnectionDelay, reconnectionDelayMax, randomizationFactor } = this.#options;
    if (!reconnection || !this.sockets.size || this.#state !== "closed" || this.#attempts >= reconnectionAttempts) return;
    const delay = Math.min(reconnectionDelay * 2 ** this.#attempts++, reconnectionDelayMax);
    this.#retry = setTimeout(() => this.open(), delay * (1 + randomizationFactor * (2 * Math.random() - 1)));
  }

  #stopTimers() {
    clearTimeout(this.#handshake);
    clearTimeout(this.#heartbeat);
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }
}

// ---- a socket: one client in one namespace ----

export class Socket {
  /** The socket's ID while it is connected. @type {string|undefined} */
  id;
  connected = false;
  /** @type {string} */
  namespace;
  /** Sent at each connect; may be changed in between. */
  auth;
  #connection;
  #listeners = new Map();
  #acks = new Map(); // by id: { resolve, reject }
  #lastAck = 0;
  #buffer = []; // what was emitted while not connected

  /** Use connect() or of(). */
  constructor(connection, namespace, { auth, autoConnect = true }) {
    this.#connection = connection;
    this.namespace = namespace;
    this.auth = auth;
    if (autoConnect) this.connect();
  }

  /** True while it is connected or will come back by itself. */
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

  /** Another namespace over the same connection. @param {Pick<Options, "auth"|"autoConnect">} [options] */
  of(namespace, options = {}) {
    return this.#connection.sockets.get(namespace) ?? new Socket(this.#connection, namespace, options);
  }

  disconnect() {
    if (this.connected) this.#connection.send({ type: DISCONNECT, namespace: this.namespace });
    this.#connection.detach(this);
    this._closed("io client disconnect");
    return this;
  }

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

  /** Removes a listener, all of an event, or all. */
  off(event, listener) {
    if (event === undefined) this.#listeners.clear();
    else if (listener === undefined) this.#listeners.delete(event);
    else this.#listeners.set(event, (this.#listeners.get(event) ?? []).filter((l) => l.listener !== listener));
    return this;
  }

  /** Emits an event; a function as the last argument is called with the answer. While not connected, it waits. */
  emit(event, ...args) {
    const answer = typeof args.at(-1) === "function" ? args.pop() : null;
    this.#emit(event, args, answer && { resolve: (values) => answer(...values), reject() {} });
    return this;
  }

  /** Emits an event and resolves with the answer's first value. It rejects when the connection is lost meanwhile. */
  emitWithAck(event, ...args) {
    return new Promise((resolve, reject) => this.#emit(event, args, { resolve: ([value]) => resolve(value), reject }));
  }

  /** For one emit: an answer within ms. A callback gets an Error or null first; emitWithAck rejects. */
  timeout(ms) {
    return {
      emit: (event, ...args) => {
        const answer = args.pop();
        this.#emit(event, args, { resolve: (values) => answer(null, ...values), reject: answer }, ms);
        return this;
      },
      emitWithAck: (event, ...args) =>
        new Promise((resolve, reject) => this.#emit(event, args, { resolve: ([value]) => resolve(value), reject }, ms)),
    };
  }

  #emit(event, args, ack, ms) {
    if (reserved.has(event)) throw new Error(`"${event}" is a reserved event name`);
    const message = { data: [event, ...args], ack };
    if (ack && ms !== undefined) {
      ack.timer = setTimeout(() => {
        this.#acks.delete(message.id);
        this.#buffer = this.#buffer.filter((m) => m !== message);
        ack.reject(new Error("operation has timed out"));
      }, ms);
    }
    if (this.connected) this.#send(message);
    else this.#buffer.push(message);
  }

  #send(message) {
    if (message.ack) this.#acks.set((message.id = this.#lastAck++), message.ack);
    this.#connection.send({ type: EVENT, namespace: this.namespace, id: message.id, data: message.data });
  }

  #tell(event, ...args) {
    for (const entry of [...(this.#listeners.get(event) ?? [])]) {
      if (entry.once) this.off(event, entry.listener);
      try {
        entry.listener(...args);
      } catch (error) {
        queueMicrotask(() => { throw error; }); // the listener's own affair, not the connection's
      }
    }
  }

  // What the connection calls.

  async _opened() {
    const auth = typeof this.auth === "function" ? await this.auth() : this.auth;
    if (this.active && this.transport) this.#connection.send({ type: CONNECT, namespace: this.namespace, data: auth ?? undefined });
  }

  _closed(reason) {
    for (const { reject, timer } of this.#acks.values()) {
      clearTimeout(timer);
      reject(new Error("socket has been disconnected"));
    }
    this.#acks.clear();
    if (!this.connected) return;
    this.connected = false;
    this.id = undefined;
    this.#tell("disconnect", reason);
  }

  _failed(error) {
    this.#tell("connect_error", error);
  }

  _packet({ type, id, data }) {
    switch (type) {
      case CONNECT:
        this.id = data?.sid;
        this.connected = true;
        for (const message of this.#buffer.splice(0)) this.#send(message);
        return this.#tell("connect");
      case DISCONNECT:
        this.#connection.detach(this);
        return this._closed("io server disconnect");
      case CONNECT_ERROR:
        this.#connection.detach(this);
        return this._failed(Object.assign(new Error(data?.message ?? data), { data: data?.data }));
      case EVENT:
        if (id === undefined) return this.#tell(...data);
        return this.#tell(...data, (...values) => {
          if (id === undefined || !this.connected) return;
          this.#connection.send({ type: ACK, namespace: this.namespace, id, data: values });
          id = undefined; // an answer is given once
        });
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
