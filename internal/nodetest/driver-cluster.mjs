// Socket.IO servers in a cluster with an adapter over Redis, and emitters of
// @socket.io/redis-emitter. The packages are imported on first use.
import { createServer } from "node:http";
import { closeAll } from "./release.mjs";

const servers = new Map(); // number -> { io, close }
const emitters = new Map(); // number -> { emitter, close }
const AsyncFunction = (async () => {}).constructor;

// Connects a client of a version of redis or ioredis to a Redis, or to the nodes of a Redis
// Cluster.
async function connect(name, url, nodes) {
  const { createClient, createCluster, Redis, Cluster } = await import(name);
  let client;
  if (Redis) {
    const addresses = nodes?.map((node) => ({ host: node.split(":")[0], port: Number(node.split(":")[1]) }));
    client = addresses ? new Cluster(addresses, { shardedSubscribers: true }) : new Redis(url);
  } else {
    client = nodes ? createCluster({ rootNodes: nodes.map((node) => ({ url: `redis://${node}` })) }) : createClient({ url });
  }
  watch(client);
  await client.connect().catch((error) => {
    if (!Redis) throw error; // ioredis has begun to connect already
  });
  return client;
}

function watch(client) {
  client.on("error", (error) => console.error(`redis: ${error.message}`));
}

async function duplicate(client) {
  const copy = client.duplicate();
  watch(copy);
  if (copy.destroy) await copy.connect();
  return copy;
}

// Commands in flight may still end: an adapter's commands have no handlers for errors.
const disconnect = (client) => (client.destroy ? client.close() : client.disconnect());

// Creates an adapter: sharded or classic over a pair of clients, streams over one.
async function open({ sharded, streams, adapterPackage, clientPackage, redis, nodes, adapter }) {
  const client = await connect(clientPackage, redis, nodes);
  const { createAdapter, createShardedAdapter } = await import(adapterPackage);
  if (streams) return { adapter: createAdapter(client, adapter ?? {}), close: () => disconnect(client) };
  const sub = await duplicate(client);
  return {
    adapter: (sharded ? createShardedAdapter : createAdapter)(client, sub, adapter ?? {}),
    close: () => Promise.allSettled([client, sub].map(disconnect)),
  };
}

export const ops = {
  // Starts a server with the namespaces / and /chat. Each socket joins the rooms of its
  // auth option and stores its data.
  async cluster({ server, options, ...how }) {
    const { Server } = await import("socket.io"); // before open: an adapter begins with its server
    const { adapter, close: closeAdapter } = await open(how);
    const http = createServer();
    const io = new Server(http, { ...options, adapter });
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
        await closeAdapter();
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
  async emitter({ server, redis, clientPackage, options }) {
    const { Emitter } = await import("@socket.io/redis-emitter");
    const client = await connect(clientPackage, redis);
    emitters.set(server, { emitter: new Emitter(client, options ?? {}), close: () => disconnect(client) });
  },
  async emitterRun({ server, script, args }) {
    return await new AsyncFunction("emitter", "args", script)(emitters.get(server).emitter, args);
  },
};

export async function release(numbers) {
  await closeAll(servers, numbers);
  await closeAll(emitters, numbers);
}

export async function close() {
  await Promise.allSettled([...servers.values(), ...emitters.values()].map((each) => each.close()));
}
