// Our own browser client in Node, in the shape that the driver knows from the
// official one. It has no upgrade, and its engine is its own affair.
import WebSocket from "ws";
import { connect } from "../../socketbridge/client/fiberbridge.mjs";

function shaped(socket) {
  socket.onAny = (listener) => socket.on("*", listener);
  socket.io = {
    on() {},
    reconnection() {},
    engine: {
      get transport() {
        return { name: socket.transport };
      },
      close() {},
    },
    socket: (namespace, { auth }) => shaped(socket.of(namespace, { auth, autoConnect: false })),
  };
  return socket;
}

export function io(url, { extraHeaders: headers, ...options }) {
  class Dialer extends WebSocket {
    constructor(url) {
      super(url, { headers });
    }
  }
  const fetcher = (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } });
  return shaped(connect(url, { WebSocket: Dialer, fetch: fetcher, ...options }));
}
