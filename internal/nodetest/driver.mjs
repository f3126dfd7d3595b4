// The Node side of package nodetest: one JSON object per line in each direction.
//
//   in:  {"id":1,"op":"emit","client":3,...}
//   out: {"id":1,"result":...} or {"id":1,"error":"..."}     the answer to a command
//        {"client":3,"event":"name","args":[...]}             an event, as it happens
//
// Binary data is {"$binary":"<base64>"} in both directions. The process ends when its
// standard input is closed.
import { createInterface } from "node:readline";
import * as clients from "./driver-clients.mjs";
import * as servers from "./driver-servers.mjs";
import * as browsers from "./driver-browser.mjs";
import * as cluster from "./driver-cluster.mjs";
import * as express from "./driver-express.mjs";
import * as parser from "./driver-parser.mjs";

const ops = { ...clients.ops, ...servers.ops, ...browsers.ops, ...parser.ops, ...express.ops, ...cluster.ops };

export function write(line) {
  process.stdout.write(JSON.stringify(line, pack) + "\n");
}

// pack encodes binary data in the form above. `this[key]` is the value before Buffer's
// toJSON converted it.
function pack(key, value) {
  const original = this[key];
  if (original instanceof ArrayBuffer) return { $binary: Buffer.from(original).toString("base64") };
  if (ArrayBuffer.isView(original)) {
    return { $binary: Buffer.from(original.buffer, original.byteOffset, original.byteLength).toString("base64") };
  }
  return value;
}

function unpack(key, value) {
  return typeof value?.$binary === "string" ? Buffer.from(value.$binary, "base64") : value;
}

async function run(command) {
  try {
    const op = ops[command.op];
    if (!op) throw new Error(`unknown command ${command.op}`);
    write({ id: command.id, result: (await op(command, write)) ?? null });
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
