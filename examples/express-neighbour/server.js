// The Express app: sessions in Redis with express-session and connect-redis, a common
// setup. It has no code for Fiber.
const express = require("express");
const session = require("express-session");
const { RedisStore } = require("connect-redis");
const { createClient } = require("redis");

async function main() {
  const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379/0" });
  client.on("error", (error) => console.error("redis:", error.message));
  await client.connect();

  const app = express();
  app.set("trust proxy", "loopback"); // Fiber is the proxy
  app.use(express.json());
  app.use(
    session({
      store: new RedisStore({ client }),
      secret: (process.env.SESSION_SECRETS ?? "only for trying out: set SESSION_SECRETS").split(","),
      resave: false, // with true, each request here would overwrite concurrent changes by Fiber
      saveUninitialized: false,
      cookie: { maxAge: 24 * 60 * 60 * 1000, sameSite: "lax", secure: "auto" },
    }),
  );

  const me = ({ user = "", count = 0 }) => ({ user, count });

  app.get("/express/me", (request, response) => response.json(me(request.session)));

  app.post("/express/login", (request, response, next) => {
    const { name } = request.body ?? {};
    if (typeof name !== "string" || !name || name.length > 40)
      return response.status(400).type("text").send("Enter a name of 1 to 40 characters.");
    const { count } = request.session;
    request.session.regenerate((error) => {
      if (error) return next(error);
      request.session.user = name; // a real app asks for a password first
      if (count !== undefined) request.session.count = count;
      response.json(me(request.session));
    });
  });

  app.post("/express/logout", (request, response, next) => {
    request.session.destroy((error) => {
      if (error) return next(error);
      response.clearCookie("connect.sid").json(me({}));
    });
  });

  app.post("/express/count", (request, response) => {
    request.session.count = (request.session.count ?? 0) + 1;
    response.json(me(request.session));
  });

  const server = app.listen(Number(process.env.PORT ?? 3001), "127.0.0.1", () => {
    console.log(`Express listens on http://127.0.0.1:${server.address().port}`);
  });
  server.on("error", (error) => {
    console.error(`Cannot listen: if another program uses this port, stop it, or choose another one with PORT. (${error.message})`);
    process.exit(1);
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
