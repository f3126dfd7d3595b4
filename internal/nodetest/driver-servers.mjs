// A small server of the reference implementation, for the tests of this package and of
// this repository's client.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { WebSocketServer } from "ws";
import { closeAll } from "./release.mjs";

const servers = new Map(); // number -> server

// The event handlers of every namespace.
function listen(socket) {
  socket.on("echo", (...args) => args.pop()(...args));
  socket.on("back", (event, ...args) => socket.emit(event, ...args));
  socket.on("ask", (event, ...rest) => {
    const done = rest.pop();
    socket.timeout(5000).emit(event, ...rest, (error, ...answers) => done(error ? String(error) : null, ...answers));
  });
  socket.on("silent", () => {});
  socket.on("shout", (...args) => socket.nsp.emit("shouted", ...args));
  socket.on("leave", () => socket.disconnect());
  socket.on("drop", () => socket.conn.close());
  socket.on("handshake", (done) =>
    done({ auth: socket.handshake.auth, cookie: socket.handshake.headers.cookie ?? "", query: socket.handshake.query }),
  );
}

export const ops = {
  async serve({ server, options, files }) {
    const http = createServer(async (request, response) => {
      const file = files?.[new URL(request.url, "http://localhost").pathname];
      if (!file) return response.writeHead(404).end();
      response.setHeader("Content-Type", file.type);
      response.end(file.body ?? (await readFile(file.path)));
    });
    const { Server } = await import("socket.io");
    const io = new Server(http, options ?? {});
    io.of("/admin").use((socket, next) => {
      if (socket.handshake.auth.token === "let me in") return next();
      next(Object.assign(new Error("not authorized"), { data: { code: 7 } }));
    });
    for (const name of ["/", "/chat", "/admin"]) io.of(name).on("connection", listen);
    await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
    servers.set(server, io);
    return `http://127.0.0.1:${http.address().port}`;
  },
  // A server that sends the given messages to each client, and nothing else: no pings and
  // no answers.
  async script({ server, messages }) {
    const ws = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    ws.on("connection", (connection) => messages.forEach((message) => connection.send(message)));
    await new Promise((resolve) => ws.once("listening", resolve));
    servers.set(server, { close: () => (ws.clients.forEach((c) => c.terminate()), ws.close()) });
    return `http://127.0.0.1:${ws.address().port}`;
  },
};

export const release = (numbers) => closeAll(servers, numbers);

export async function close() {
  await Promise.allSettled([...servers.values()].map((server) => server.close()));
}
