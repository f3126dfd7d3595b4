// Instances of three versions of socket.io-client, of this repository's client, and of
// WebSockets without Socket.IO.
import WebSocket from "ws";
import { io as io48 } from "socket.io-client";
import { io as io44 } from "socket.io-client-44";
import { io as io40 } from "socket.io-client-40";
import msgpack from "socket.io-msgpack-parser";
import { io as own } from "./driver-fiberbridge.mjs";
import { sockets } from "./sockets.mjs";

const clients = sockets({ 4.8: io48, 4.4: io44, "4.0": io40, own }, WebSocket, { msgpack });

export const ops = {
  ...clients.ops,
  versions: () => ({ node: process.versions.node }),
  async fetch({ request }) {
    const response = await fetch(request.url, {
      method: request.method || "GET",
      headers: request.headers ?? {},
      body: request.body ?? undefined,
      redirect: "manual",
    });
    return {
      status: response.status,
      header: Object.fromEntries(response.headers),
      cookies: response.headers.getSetCookie(),
      body: Buffer.from(await response.arrayBuffer()),
    };
  },
};

export const close = async () => clients.close();
export const release = async (numbers) => clients.release(numbers);
