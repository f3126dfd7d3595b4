// The types of fiberbridge.mjs, for pages that tsc checks. A socket has those of the events that
// `fiberbridge gen ts` writes:
//
//   const socket: Socket<ServerToClientEvents, ClientToServerEvents> = connect();
//
// Without them, any event and any argument will do.

/** Listeners by the names of events. */
export type AnyEvents = Record<string, (...args: any[]) => void>;

/** What the `auth` option and the field `auth` can be. */
export type Auth = object | (() => object | Promise<object>);

export interface Options {
  /** The path of the server. Default: see defaultPath */
  path?: string;
  /** Tried in this order. Default: both */
  transports?: ("websocket" | "polling")[];
  /** Sent with each connect. Default: none */
  auth?: Auth;
  /** Added to the URL of each request. Default: none */
  query?: Record<string, string>;
  /** Connect immediately. Default: true */
  autoConnect?: boolean;
  /** Reconnect when the connection is lost. Default: true */
  reconnection?: boolean;
  /** Maximum number of failed attempts in a row. Default: Infinity */
  reconnectionAttempts?: number;
  /** Milliseconds before the first attempt, doubled after each. Default: 1000 */
  reconnectionDelay?: number;
  /** Maximum of the delay, in milliseconds. Default: 5000 */
  reconnectionDelayMax?: number;
  /** Random variation of the delay, as a fraction of it. Default: 0.5 */
  randomizationFactor?: number;
  /** Milliseconds for the handshake of one transport. Default: 20000 */
  timeout?: number;
  /** Send cookies to another origin. Default: false */
  withCredentials?: boolean;
  /** Used instead of the global WebSocket. */
  WebSocket?: typeof WebSocket;
  /** Used instead of the global fetch. */
  fetch?: typeof fetch;
}

export interface TicketOptions {
  /** Where the server issues tickets. Default: "ticket" below the server's path on the page's origin */
  ticketURL?: string;
  /** Headers for the ticket request, such as a bearer token. Default: none */
  ticketHeaders?: Record<string, string>;
  /** The field of auth that carries the ticket; must match the server. Default: "ticket" */
  ticketField?: string;
  /** More fields for auth. Default: none */
  auth?: Auth;
  /** Used instead of the global fetch. */
  fetch?: typeof fetch;
}

/** The error of a connect_error event. If the server refused the socket, `data` says why. */
export interface ConnectError extends Error {
  data?: { code?: string; message?: string; [name: string]: unknown };
}

/** Events of the client itself. A listener of "*" gets all events of the server, with the name first. */
export interface ClientEvents {
  connect: () => void;
  connect_error: (error: ConnectError) => void;
  disconnect: (reason: string) => void;
  "*": (event: string, ...args: any[]) => void;
}

type Names<Events> = keyof Events & string;
type Parameters_<Listener> = Listener extends (...args: infer All) => void ? All : never;

/** The parameters before the acknowledgement, which is the last one if it is a function. */
type WithoutAck<All extends unknown[]> =
  number extends All["length"] ? All
  : All extends [] ? []
  : Required<All> extends [infer Last] ? ([Last] extends [(...answer: any[]) => void] ? [] : All)
  : All extends [infer First, ...infer Rest] ? [First, ...WithoutAck<Rest>]
  : All extends [(infer First)?, ...infer Rest] ? [First?, ...WithoutAck<Rest>]
  : All;

/** The parameters of the acknowledgement. */
type AckOf<All extends unknown[]> = Required<All> extends [...unknown[], (...answer: infer Answer) => void] ? Answer : any[];

/** The arguments of an event, without the acknowledgement. */
export type Arguments<Events, Name extends Names<Events>> = WithoutAck<Parameters_<Events[Name]>>;

/** What emitWithAck resolves with: the first value of the answer. */
export type Answer<Events, Name extends Names<Events>> = AckOf<Parameters_<Events[Name]>>[0];

/** The function that is called for an event. */
export type Listener<Events, Name extends Names<Events> | Names<ClientEvents>> =
  Name extends Names<ClientEvents> ? ClientEvents[Name]
  : Name extends Names<Events> ? Events[Name]
  : never;

/** A socket on which one emit waits for its answer no longer than a timeout. */
export interface Timed<Incoming, Outgoing> {
  /** The callback gets an Error alone, or null and the answer. */
  emit<Name extends Names<Outgoing>>(
    event: Name,
    ...args: [...args: Arguments<Outgoing, Name>, callback: (error: Error | null, ...answer: AckOf<Parameters_<Outgoing[Name]>>) => void]
  ): Socket<Incoming, Outgoing>;
  /** Rejects if the answer does not arrive in time, or if the connection is lost before. */
  emitWithAck<Name extends Names<Outgoing>>(event: Name, ...args: Arguments<Outgoing, Name>): Promise<Answer<Outgoing, Name>>;
}

/** A client in one namespace. It receives the events of Incoming, and emits those of Outgoing. */
export class Socket<Incoming = AnyEvents, Outgoing = Incoming> {
  private constructor();
  /** The socket's ID while it is connected. */
  readonly id: string | undefined;
  readonly connected: boolean;
  /** Whether the server restored the state of the previous connection and sent the missed events. */
  readonly recovered: boolean;
  readonly namespace: string;
  /** Sent with each connect. May be changed between connects. */
  auth: Auth | undefined;
  /** True while it is connected or will reconnect. */
  get active(): boolean;
  /** "" while there is no connection. */
  get transport(): "websocket" | "polling" | "";
  connect(): this;
  disconnect(): this;
  /** Returns the socket of another namespace, over the same connection. */
  of<In = AnyEvents, Out = In>(namespace: string, options?: Pick<Options, "auth" | "autoConnect">): Socket<In, Out>;
  /** Calls listener for each event. */
  on<Name extends Names<Incoming> | Names<ClientEvents>>(event: Name, listener: Listener<Incoming, Name>): this;
  /** Calls listener for the next event. */
  once<Name extends Names<Incoming> | Names<ClientEvents>>(event: Name, listener: Listener<Incoming, Name>): this;
  /** Removes a listener, all listeners of an event, or all listeners. */
  off<Name extends Names<Incoming> | Names<ClientEvents>>(event?: Name, listener?: Listener<Incoming, Name>): this;
  /** Emits an event. If the last argument is a function, it is called with the answer. Events are buffered while not connected. */
  emit<Name extends Names<Outgoing>>(event: Name, ...args: Parameters_<Outgoing[Name]>): this;
  /** Emits an event and resolves with the first value of the answer. Rejects if the connection is lost before. */
  emitWithAck<Name extends Names<Outgoing>>(event: Name, ...args: Arguments<Outgoing, Name>): Promise<Answer<Outgoing, Name>>;
  /** Sets the milliseconds within which the answer to one emit must arrive. */
  timeout(ms: number): Timed<Incoming, Outgoing>;
}

/** Returns the path of the server on an origin. */
export function defaultPath(origin: string | undefined): string;

/** Connects to the namespace that is the path of the URL. */
export function connect<Incoming = AnyEvents, Outgoing = Incoming>(url?: string | URL, options?: Options): Socket<Incoming, Outgoing>;
export function connect<Incoming = AnyEvents, Outgoing = Incoming>(options: Options): Socket<Incoming, Outgoing>;

/** Like connect(), but with the session of the page's origin, by a ticket for each connect. */
export function connectWithSession<Incoming = AnyEvents, Outgoing = Incoming>(url?: string | URL, options?: Options & TicketOptions): Socket<Incoming, Outgoing>;
export function connectWithSession<Incoming = AnyEvents, Outgoing = Incoming>(options: Options & TicketOptions): Socket<Incoming, Outgoing>;

/** Returns a function for the `auth` option of this client or the official one. It fetches a ticket for each connect. */
export function sessionAuth(options?: TicketOptions): (done?: (auth: object) => void) => Promise<object>;

/** Fetches the session's new cookie when the server sends its URL (SendCookie). */
export function followCookie<S extends object>(socket: S, options?: { server?: string; path?: string; fetch?: typeof fetch }): S;
