// What the types of fiberbridge.mjs accept and refuse.
import { connect, connectWithSession, followCookie, sessionAuth, type Answer, type Arguments, type Options, type Socket, type TicketOptions } from "../fiberbridge.mjs";
import type { MembersOf, OptionsOf, TicketOptionsOf } from "./names";

interface Failure {
  error: { code: string; message: string; data?: unknown };
}

// Events in the form that `fiberbridge gen ts` writes.
interface ClientToServerEvents {
  "ping now": (ack?: (failure?: Failure) => void) => void;
  draw: (data: { kind: "circle"; icon?: ArrayBuffer | Uint8Array } | { kind: "square" }, ack?: (failure?: Failure) => void) => void;
  go: (x: number, y: number, label: string | null, ack: (...answer: [x: number, y: number, label?: string | null] | [failure: Failure]) => void) => void;
  list: (ack: (data: Array<string> | Failure) => void) => void;
  save: (name: string, tag?: string | null, ack?: (failure?: Failure) => void) => void;
}
interface ServerToClientEvents {
  moved: (x: number, y: number, label?: string | null) => void;
  sure: (data: { name: string }, ack: (data: "low" | "high") => void) => void;
}

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const sure = <T extends true>() => {};

// Nothing is missing: the names are those of the script.
sure<Equal<keyof Socket, MembersOf>>();
sure<Equal<keyof Options, OptionsOf>>();
sure<Equal<keyof TicketOptions, TicketOptionsOf>>();

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = connect();
const other: Socket<ServerToClientEvents, ClientToServerEvents> = connectWithSession({ transports: ["polling"] });
followCookie(other, { path: "/socket.io/" }).disconnect();
connect("/chat", { auth: sessionAuth({ ticketHeaders: { Authorization: "Bearer x" } }) });

socket.emit("ping now");
socket.emit("ping now", (failure) => failure?.error.code.length);
socket.emit("draw", { kind: "circle", icon: new Uint8Array(1) });
socket.emit("go", 1, 2, null, (...answer) => answer.length);
socket.on("moved", (x: number, y: number, label?: string | null) => console.log(x + y, label));
socket.once("sure", (item, answer) => answer(item.name === "a" ? "low" : "high"));
socket.on("connect_error", (error) => error.data?.code?.length);
socket.on("*", (event, ...args) => event.length + args.length);
socket.on("disconnect", (reason) => reason.length).off().off("moved");
socket.timeout(1).emit("list", (error, answer) => console.log(error?.message, "error" in answer ? answer.error.code : answer.length));

// @ts-expect-error: no member of the union
socket.emit("draw", { kind: "triangle" });
// @ts-expect-error: no such event
socket.emit("nothing");
// @ts-expect-error: no such event
socket.on("nothing", () => {});
// @ts-expect-error: no string
socket.emit("go", 1, "2", null, () => {});
// @ts-expect-error: no string
void socket.emitWithAck("go", 1, "2", null);
// @ts-expect-error: too few
void socket.emitWithAck("go", 1);
// @ts-expect-error: too few
void socket.timeout(1).emitWithAck("draw");
// @ts-expect-error: a listener of other arguments
socket.on("moved", (x: string) => x);
// @ts-expect-error: no answer of the contract
socket.on("sure", (_, answer) => answer("mid"));

sure<Equal<Arguments<ClientToServerEvents, "ping now">, []>>();
sure<Equal<Arguments<ClientToServerEvents, "go">, [number, number, string | null]>>();
sure<Equal<Arguments<ClientToServerEvents, "save">, [string, (string | null | undefined)?]>>();
sure<Equal<Arguments<ServerToClientEvents, "moved">, [x: number, y: number, label?: string | null]>>();
sure<Equal<Answer<ClientToServerEvents, "ping now">, Failure | undefined>>();
sure<Equal<Answer<ClientToServerEvents, "go">, number | Failure>>();
sure<Equal<Answer<ClientToServerEvents, "list">, string[] | Failure>>();

async function answers() {
  const failure = await socket.emitWithAck("ping now");
  console.log(failure?.error.code);
  const rooms = await socket.timeout(5).emitWithAck("list");
  return "error" in rooms ? rooms.error.code : rooms.length;
}
void answers;

// Without types, any event will do.
const any = connect("/chat", { auth: () => ({ a: 1 }) });
any.emit("x", 1, 2, (n: number) => n);
any.on("y", (a, b) => a + b);
void any.emitWithAck("z", 1);
any.timeout(1).emit("z", 1, (e: Error | null, n: number) => [e, n]);
