// The commands that act on clients, for Node and for pages. driver-browser.mjs loads this
// module into a page as it is, so it has no imports and needs nothing of Node.

// sockets returns the commands. versions are the io functions of socket.io-client by version,
// parsers the values of its option parser by name.
export function sockets(versions, WebSocket, parsers = {}) {
  const clients = new Map(); // number -> { socket, answers, counts }
  const plain = new Map(); // number -> WebSocket

  function get({ client }) {
    const found = clients.get(client);
    if (!found) throw new Error(`no client ${client}`);
    return found;
  }

  // watch reports all events of a socket. Events in counted are only counted: their first
  // argument must be the number of those before, and the size of the second one is added up.
  function watch(number, socket, write, counted) {
    const answers = new Map();
    const counts = new Map((counted ?? []).map((event) => [event, { n: 0, size: 0, disorder: 0 }]));
    const report = (event, ...args) => write({ client: number, event, args });
    const transport = () => socket.io.engine?.transport?.name ?? "";
    clients.set(number, { socket, answers, counts });
    // Each connection has its own engine, which may upgrade before CONNECT is answered.
    socket.io.on("open", () => socket.io.engine.on("upgrade", (t) => report("upgrade", t.name)));
    socket.on("connect", () =>
      report("connect", { id: socket.id, transport: transport(), recovered: socket.recovered ?? false }),
    );
    socket.on("connect_error", (error) =>
      report("connect_error", {
        message: error.message,
        data: error.data ?? null,
        type: error.type ?? "",
        status: error.status ?? error.context?.status ?? 0,
        body: error.context?.responseText ?? "",
      }),
    );
    socket.on("disconnect", (reason) => report("disconnect", reason));
    socket.io.on("reconnect_attempt", (n) => report("reconnect_attempt", n));
    socket.onAny((event, ...args) => {
      const count = counts.get(event);
      if (count) {
        if (args[0] !== count.n++) count.disorder++;
        count.size += args[1].length;
        return;
      }
      const ack = typeof args.at(-1) === "function" ? args.pop() : null;
      report(String(event), ...args);
      if (ack && answers.has(event)) ack(...answers.get(event));
    });
  }

  const describe = ({ socket }) => ({
    id: socket.id ?? "",
    engine: socket.io.engine?.id ?? "",
    transport: socket.connected ? (socket.io.engine?.transport?.name ?? "") : "",
    connected: socket.connected,
    recovered: socket.recovered ?? false,
  });

  const ops = {
    connect(command, write) {
      const io = versions[command.version];
      if (!io) throw new Error(`no socket.io-client of version ${command.version}`);
      const options = { ...command.options };
      if (options.parser) options.parser = parsers[options.parser];
      const socket = io(command.url, { ...options, autoConnect: false, forceNew: true });
      watch(command.client, socket, write, command.count);
      socket.connect();
    },
    of(command, write) {
      const { socket } = get({ client: command.parent });
      const sibling = socket.io.socket(command.namespace, { auth: command.auth ?? undefined });
      watch(command.client, sibling, write);
      sibling.connect();
    },
    reconnect: (command) => void get(command).socket.connect(),
    header: (command) => void (get(command).socket.io.opts.extraHeaders[command.name] = command.value),
    auth: (command) => void (get(command).socket.auth = command.auth),
    state: (command) => describe(get(command)),
    counted: (command) => get(command).counts.get(command.event),
    emit(command) {
      get(command).socket.emit(command.event, ...command.args);
    },
    call(command) {
      const { socket } = get(command);
      return new Promise((resolve, reject) => {
        const answer = (...args) => resolve(args);
        if (!command.timeout) return socket.emit(command.event, ...command.args, answer);
        // Version 4.0 has no timeout(), so use a timer for all.
        const timer = setTimeout(() => reject(new Error("operation has timed out")), command.timeout);
        socket.emit(command.event, ...command.args, (...args) => (clearTimeout(timer), answer(...args)));
      });
    },
    answer: (command) => void get(command).answers.set(command.event, command.args),
    disconnect: (command) => void get(command).socket.disconnect(),
    // Closes the transport without a close packet, like a network failure.
    cut: (command) => void get(command).socket.io.engine.transport.close(),
    // Sends messages that the client itself would not send.
    engineSend(command) {
      const { socket } = get(command);
      for (const message of command.args) socket.io.engine.write(message);
    },

    // A WebSocket without Socket.IO. In a page, which chooses its headers itself, the
    // constructor ignores them.
    plain({ client, url, protocols, headers }, write) {
      const ws = new WebSocket(url, protocols ?? [], { headers });
      const report = (event, ...args) => write({ client, event, args });
      plain.set(client, ws);
      ws.binaryType = "arraybuffer";
      ws.onopen = () => report("open", ws.protocol);
      ws.onmessage = ({ data }) => report(typeof data === "string" ? "text" : "binary", data);
      ws.onerror = () => {}; // the close event follows
      ws.onclose = ({ code }) => report("close", code);
    },
    plainSend: ({ client, message }) => void plain.get(client).send(message),
    plainClose: ({ client }) => void plain.get(client).close(),
  };

  function end({ socket }) {
    socket.io.reconnection(false);
    socket.disconnect();
    socket.io.engine?.close();
  }

  function close() {
    for (const client of clients.values()) end(client);
    for (const ws of plain.values()) ws.close();
  }

  // release closes the clients of a test, and forgets them.
  function release(numbers) {
    for (const number of numbers) {
      if (clients.has(number)) end(clients.get(number));
      plain.get(number)?.close();
      clients.delete(number);
      plain.delete(number);
    }
  }

  return { ops, close, release };
}
