// Records the encodings of a list of packets by the reference parser. When run directly, it
// writes ../../socketbridge/internal/siopacket/testdata/wire/packets.json. A test compares
// that file with the current output.
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Encoder, PacketType } from "socket.io-parser";

const { CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR } = PacketType;
const bytes = (...values) => Buffer.from(values);

// Keys are in alphabetical order, as package siopacket encodes them.
const packets = {
  "connect": { type: CONNECT, nsp: "/" },
  "connect with auth": { type: CONNECT, nsp: "/", data: { token: "t", user: { id: 7 } } },
  "connect to a namespace": { type: CONNECT, nsp: "/chat" },
  "connect to a namespace with auth": { type: CONNECT, nsp: "/chat", data: { token: "t" } },
  "connected": { type: CONNECT, nsp: "/chat", data: { sid: "oSO0OpakMV_3jnilAAAA" } },
  "disconnect": { type: DISCONNECT, nsp: "/" },
  "disconnect from a namespace": { type: DISCONNECT, nsp: "/chat" },
  "connect error": { type: CONNECT_ERROR, nsp: "/admin", data: { message: "not authorized" } },
  "connect error with data": { type: CONNECT_ERROR, nsp: "/", data: { data: { code: 7 }, message: "no" } },
  "event": { type: EVENT, nsp: "/", data: ["hello"] },
  "event with arguments": { type: EVENT, nsp: "/", data: ["hello", 1, "two", true, false, null, [3, [4]], { five: 5, six: {} }, [], {}] },
  "event with id": { type: EVENT, nsp: "/", id: 0, data: ["hello", 1] },
  "event with a long id": { type: EVENT, nsp: "/", id: 999999999999999, data: ["hello"] },
  "event in a namespace": { type: EVENT, nsp: "/chat", data: ["hello", "you"] },
  "event in a namespace with id": { type: EVENT, nsp: "/a-b/c_d", id: 12, data: ["hello"] },
  "event with a comma and brackets in its name": { type: EVENT, nsp: "/", data: ["a,b[1]{}-/", 1] },
  "event with an escaped name": { type: EVENT, nsp: "/", data: ['"\\\n\t\u0001', 1] },
  "event named in many scripts": { type: EVENT, nsp: "/", data: ["héllo 你好 😀", "é你😀\u2028\u2029<>&"] },
  "control characters": { type: EVENT, nsp: "/", data: ["e", "\u0000\u0007\u000b\u001f\u007f/"] },
  "numbers": { type: EVENT, nsp: "/", data: ["e", 0, -1, 1.5, -0.25, 1e21, 1e-7, 9007199254740991, 123456789012345680] },
  "ack": { type: ACK, nsp: "/", id: 12, data: ["ok", { a: 1 }] },
  "empty ack": { type: ACK, nsp: "/", id: 12, data: [] },
  "ack in a namespace": { type: ACK, nsp: "/chat", id: 3, data: [null] },
  "binary": { type: EVENT, nsp: "/", data: ["file", bytes(0, 1, 255)] },
  "empty binary": { type: EVENT, nsp: "/", data: ["file", bytes()] },
  "binary in a namespace with id": { type: EVENT, nsp: "/chat", id: 5, data: ["file", bytes(1)] },
  "two attachments": { type: EVENT, nsp: "/", data: ["file", bytes(1), "between", bytes(2, 2)] },
  "nested attachments": { type: EVENT, nsp: "/", data: ["file", { a: [bytes(1), { b: bytes(2) }], c: bytes(3) }] },
  "ten attachments": { type: EVENT, nsp: "/", data: ["file", ...Array.from({ length: 10 }, (_, i) => bytes(i))] },
  "binary ack": { type: ACK, nsp: "/", id: 9, data: [bytes(0xde, 0xad)] },
  "binary ack in a namespace": { type: ACK, nsp: "/chat", id: 9, data: ["x", [bytes(7)]] },
};

const copy = (value) =>
  Buffer.isBuffer(value) ? value
  : Array.isArray(value) ? value.map(copy)
  : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, copy(v)]))
  : value;

export function record() {
  const encoder = new Encoder();
  return Object.entries(packets).map(([name, { type, nsp, id, data }]) => ({
    name, type, nsp, id, data,
    messages: encoder.encode({ type, nsp, id, data: copy(data) }), // a copy, because the encoder modifies its input
  }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = new URL("../../socketbridge/internal/siopacket/testdata/wire/", import.meta.url);
  const binary = (key, value) => (value?.type === "Buffer" ? { $binary: Buffer.from(value.data).toString("base64") } : value);
  await mkdir(folder, { recursive: true });
  await writeFile(new URL("packets.json", folder), JSON.stringify(record(), binary, 1) + "\n");
}
