// The connection to the bridge: passes, questions, summaries.
const { path, base, namespace } = document.documentElement.dataset;

export class Forbidden extends Error {}

// newPass asks the server for a pass. The server asks the app's Authorize first.
async function newPass() {
  const response = await fetch(new URL(`${base}pass`, location.href), {
    method: "POST", headers: { "X-Inspector": "1" }, credentials: "same-origin", redirect: "error",
  });
  if ([401, 403, 404].includes(response.status)) throw new Forbidden();
  if (!response.ok) throw new Error(`the server answers ${response.status}`);
  return (await response.json()).pass;
}

// connect opens the connection. The handlers are onstate(state), onsummary(answer).
export function connect({ onstate, onsummary }) {
  const socket = globalThis.io(location.origin + namespace, {
    path: new URL(path, location.href).pathname,
    auth: (give) => newPass().then((pass) => give({ pass }), (error) => {
      if (error instanceof Forbidden) lost();
      give({});
    }),
  });
  let over = false, retry;
  function lost() {
    over = true;
    onstate("forbidden");
    socket.disconnect();
  }
  const again = () => {
    clearTimeout(retry);
    if (!over) retry = setTimeout(() => socket.connect(), 3000);
  };
  const visible = () => socket.connected && socket.emit("visible", !document.hidden);
  socket.on("connect", () => { onstate("on"); visible(); });
  socket.on("connect_error", () => { if (!over) onstate("wait"); if (!socket.active) again(); });
  socket.on("disconnect", (reason) => { if (!over) onstate("wait"); if (reason === "io server disconnect") again(); });
  socket.on("summary", onsummary);
  document.addEventListener("visibilitychange", visible);

  setInterval(async () => { // the server disconnects a page that shows no new pass for 60 s
    if (!socket.connected) return;
    try {
      const answer = await socket.timeout(10_000).emitWithAck("renew", await newPass());
      if (answer?.error) throw new Forbidden();
    } catch (error) {
      if (error instanceof Forbidden) lost();
    }
  }, 20_000);

  async function ask(op, query = {}) {
    const answer = await socket.timeout(15_000).emitWithAck("ask", { op, filter: {}, ...query });
    if (answer?.error?.code) throw new Error(answer.error.message);
    return answer;
  }
  return { ask, end: async (target) => ask("end", { ...target, pass: await newPass() }) };
}
