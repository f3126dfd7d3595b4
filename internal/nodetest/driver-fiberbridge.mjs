// This repository's client in Node, with the parts of the official client's API that the
// driver uses. It does not support upgrades, and hides its engine.
import WebSocket from "ws";
import { connect } from "../../socketbridge/client/fiberbridge.mjs";

function withOfficialAPI(socket) {
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
    socket: (namespace, { auth }) => withOfficialAPI(socket.of(namespace, { auth, autoConnect: false })),
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
  return withOfficialAPI(connect(url, { WebSocket: Dialer, fetch: fetcher, ...options }));
}
