// The Node side of package nodetest: one JSON object per line in each direction.
//
//   in:  {"id":1,"op":"emit","client":3,...}
//   out: {"id":1,"result":...} or {"id":1,"error":"..."}     the answer to a command
//        {"client":3,"event":"name","args":[...]}             an event, as it happens
//
// Binary data is {"$binary":"<base64>"} in both directions. The process ends when its
// standard input is closed.
import { createInterface } from "node:readline";
import { pack, unpack } from "./binary.mjs";
import * as inPages from "./driver-pages.mjs";
import * as clients from "./driver-clients.mjs";
import * as servers from "./driver-servers.mjs";
import * as browsers from "./driver-browser.mjs";
import * as cluster from "./driver-cluster.mjs";
import * as express from "./driver-express.mjs";
import * as parser from "./driver-parser.mjs";

// What tests have made, in the order in which it is closed.
const makers = [clients, browsers, inPages, express, cluster, servers];

// Closes what a test has made, if the process goes on with other tests.
async function release({ numbers }) {
  for (const maker of makers) await maker.release(numbers);
}

const ops = { release, ...clients.ops, ...servers.ops, ...browsers.ops, ...parser.ops, ...express.ops, ...cluster.ops };

export function write(line) {
  process.stdout.write(JSON.stringify(line, pack) + "\n");
}

async function run(command) {
  try {
    const op = ops[command.op];
    if (!op) throw new Error(`unknown command ${command.op}`);
    const result = inPages.inPage(command) ? await inPages.runIn(command) : await op(command, write);
    write({ id: command.id, result: result ?? null });
  } catch (error) {
    write({ id: command.id, error: String(error?.message ?? error) });
  }
}

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
lines.on("line", (line) => run(JSON.parse(line, unpack)));
lines.on("close", async () => {
  await Promise.allSettled([clients.close(), browsers.close(), express.close(), cluster.close()]);
  await servers.close();
  process.exit(0);
});
