// Socket.IO servers in a cluster with @socket.io/redis-adapter or
// @socket.io/redis-streams-adapter, and emitters of @socket.io/redis-emitter. The packages
// are imported on first use.
import { createServer } from "node:http";
import { Server } from "socket.io";

const servers = new Map(); // number -> { io, close }
const emitters = new Map(); // number -> { emitter, close }
const AsyncFunction = (async () => {}).constructor;

async function connect(url, ...more) {
  const { createClient } = await import("redis");
  const clients = [createClient({ url })];
  for (let i = 0; i < more.length; i++) clients.push(clients[0].duplicate());
  for (const client of clients) client.on("error", (error) => console.error(`redis: ${error.message}`));
  await Promise.all(clients.map((client) => client.connect()));
  return clients;
}

// The streams adapter 0.2 does not work with clients of redis 5, so use ioredis.
async function openStream(url, options) {
  const { createAdapter } = await import("@socket.io/redis-streams-adapter");
  const { Redis } = await import("ioredis");
  const client = new Redis(url);
  client.on("error", (error) => console.error(`redis: ${error.message}`));
  return { client, adapter: createAdapter(client, options ?? {}) };
}

export const ops = {
  // Starts a server with the namespaces / and /chat. Each socket joins the rooms of its
  // auth option and stores its data.
  async cluster({ server, redis, sharded, streams, adapter, options }) {
    const { createAdapter, createShardedAdapter } = await import("@socket.io/redis-adapter");
    const [pub, sub] = await connect(redis, "sub");
    const http = createServer();
    const make = sharded ? createShardedAdapter : createAdapter;
    const stream = streams && (await openStream(redis, adapter));
    const io = new Server(http, { ...options, adapter: stream ? stream.adapter : make(pub, sub, adapter ?? {}) });
    for (const name of ["/", "/chat"]) {
      io.of(name).on("connection", (socket) => {
        socket.join(socket.handshake.auth.rooms ?? []);
        Object.assign(socket.data, socket.handshake.auth.data);
        socket.emit("ready");
      });
    }
    await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
    servers.set(server, {
      io,
      heard: [],
      close: async () => {
        await io.close();
        stream?.client.disconnect();
        pub.destroy();
        sub.destroy();
      },
    });
    return `http://127.0.0.1:${http.address().port}`;
  },
  // Runs the body of an async function with io, the namespace, a list that persists until
  // the server is closed, and the arguments.
  async clusterRun({ server, namespace, script, args }) {
    const { io, heard } = servers.get(server);
    return await new AsyncFunction("io", "nsp", "heard", "args", script)(io, io.of(namespace), heard, args);
  },
  async clusterClose({ server }) {
    await servers.get(server).close();
    servers.delete(server);
  },
  async emitter({ server, redis, options }) {
    const { Emitter } = await import("@socket.io/redis-emitter");
    const [client] = await connect(redis);
    emitters.set(server, { emitter: new Emitter(client, options ?? {}), close: () => client.destroy() });
  },
  async emitterRun({ server, script, args }) {
    return await new AsyncFunction("emitter", "args", script)(emitters.get(server).emitter, args);
  },
};

export async function close() {
  await Promise.allSettled([...servers.values(), ...emitters.values()].map((each) => each.close()));
}
