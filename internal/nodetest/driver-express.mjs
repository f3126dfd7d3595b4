// An Express app with express-session over connect-redis, and the packages that sign its
// cookies. The packages are imported on first use.
import { closeAll } from "./release.mjs";

const apps = new Map(); // number -> { close }

async function start({ server, redis, storePackage, clientPackage, secrets, session, store, passport: withPassport }) {
  const { default: express } = await import("express");
  const { default: expressSession } = await import("express-session");
  const { RedisStore } = await import(storePackage);
  const { createClient } = await import(clientPackage);

  const client = createClient({ url: redis });
  client.on("error", (error) => console.error(`redis: ${error.message}`));
  await client.connect();
  const app = express();
  app.use(express.json());
  app.use(
    expressSession({
      store: new RedisStore({ client, ...store }),
      secret: secrets,
      resave: false,
      saveUninitialized: false,
      ...session,
    }),
  );
  routes(app);
  if (withPassport) await passport(app);
  app.use((error, request, response, next) => response.status(500).json({ error: String(error) }));
  const http = await new Promise((resolve) => {
    const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
  });
  const close = async () => {
    http.close();
    http.closeAllConnections();
    await client.close();
  };
  apps.set(server, { close });
  return `http://127.0.0.1:${http.address().port}`;
}

function latch() {
  let open;
  return { passed: new Promise((resolve) => (open = resolve)), open };
}

// done returns a callback for express-session that sends the response, or passes on the error.
const done = (response, next) => (error) => (error ? next(error) : response.json("done"));

function routes(app) {
  const gates = new Map(); // name -> { entered, released }
  const gate = (name) => {
    if (!gates.has(name)) gates.set(name, { entered: latch(), released: latch() });
    return gates.get(name);
  };
  app.get("/express", ({ session, sessionID }, response) => response.json({ id: sessionID, session }));
  app.post("/express/set", ({ session, body }, response) => response.json(Object.assign(session, body)));
  app.post("/express/delete/:key", ({ session, params }, response) => {
    delete session[params.key];
    response.json("done");
  });
  app.post("/express/incr", ({ session }, response) => response.json((session.count = (session.count ?? 0) + 1)));
  app.post("/express/maxage/:ms", ({ session, params }, response) => {
    session.cookie.maxAge = params.ms === "null" ? null : Number(params.ms);
    session.aged = params.ms;
    response.json("done");
  });
  app.post("/express/login/:user", (request, response, next) =>
    request.session.regenerate((error) => {
      if (error) return next(error);
      request.session.user = request.params.user;
      request.session.save(done(response, next));
    }),
  );
  app.post("/express/regenerate", ({ session }, response, next) => session.regenerate(done(response, next)));
  app.post("/express/logout", ({ session }, response, next) => session.destroy(done(response, next)));
  // Holds a request, with its session loaded, until /express/release is called.
  app.post("/express/hold/:name", async ({ session, params, body }, response) => {
    gate(params.name).entered.open();
    await gate(params.name).released.passed;
    response.json(Object.assign(session, body));
  });
  app.get("/express/held/:name", async ({ params }, response) => {
    await gate(params.name).entered.passed;
    response.json("done");
  });
  app.post("/express/release/:name", ({ params }, response) => {
    gate(params.name).released.open();
    response.json("done");
  });
}

// passport logs in without a password, because only the session is tested.
async function passport(app) {
  const { default: passport } = await import("passport");
  passport.serializeUser((user, then) => then(null, user.id));
  passport.deserializeUser((id, then) => then(null, { id, name: `user ${id}` }));
  app.use(passport.session());
  app.post("/passport/login/:id", (request, response, next) =>
    request.logIn({ id: Number(request.params.id) }, done(response, next)),
  );
  app.post("/passport/logout", (request, response, next) => request.logOut(done(response, next)));
  app.get("/passport", ({ user }, response) => response.json(user ?? null));
}

export const ops = {
  express: start,
  // Returns the Cookie header for an ID, as express-session's packages create it.
  async expressSign({ name, value, secret }) {
    const { sign } = await import("cookie-signature");
    const { serialize } = await import("cookie");
    return serialize(name, "s:" + sign(value, secret));
  },
  // Returns the ID that the same packages read from a Cookie header, or false.
  async expressUnsign({ name, header, secrets }) {
    const { unsign } = await import("cookie-signature");
    const { parse } = await import("cookie");
    const raw = parse(header)[name];
    if (!raw?.startsWith("s:")) return false;
    for (const secret of secrets) {
      const value = unsign(raw.slice(2), secret);
      if (value !== false) return value;
    }
    return false;
  },
  // Returns the keys that express-session itself uses in a session.
  async expressReserved() {
    const { default: expressSession } = await import("express-session");
    const own = new expressSession.Session({ sessionID: "x" });
    const all = [];
    for (let o = own; o; o = Object.getPrototypeOf(o)) all.push(...Object.getOwnPropertyNames(o));
    return all;
  },
};

export const release = (numbers) => closeAll(apps, numbers);

export async function close() {
  await Promise.allSettled([...apps.values()].map((app) => app.close()));
}
