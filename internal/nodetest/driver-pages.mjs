// Clients inside a page: sockets.mjs runs there, with the page's own `io` and WebSocket.
import { readFile } from "node:fs/promises";
import { pack } from "./binary.mjs";

const pages = new Map(); // client number -> page
const reporting = new WeakSet(); // pages that have nodetestReport

// load makes the module's commands the page's nodetestRun(text), unless the page has it.
async function load(page, write) {
  if (!reporting.has(page)) {
    reporting.add(page);
    await page.exposeFunction("nodetestReport", (line) => write(JSON.parse(line)));
  }
  const source = await readFile(new URL("sockets.mjs", import.meta.url), "utf8");
  await page.evaluate(async (source) => {
    if (globalThis.nodetestRun) return;
    const pack = (_, value) => {
      if (value instanceof ArrayBuffer) value = new Uint8Array(value);
      if (!ArrayBuffer.isView(value)) return value;
      let bytes = "";
      for (const byte of new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) {
        bytes += String.fromCharCode(byte);
      }
      return { $binary: btoa(bytes) };
    };
    const unpack = (_, value) =>
      typeof value?.$binary === "string" ? Uint8Array.from(atob(value.$binary), (c) => c.charCodeAt(0)) : value;

    const { sockets } = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    const { ops } = sockets({ page: globalThis.io }, WebSocket);
    const write = (line) => globalThis.nodetestReport(JSON.stringify(line, pack));
    globalThis.nodetestRun = async (text) => {
      const command = JSON.parse(text, unpack);
      return JSON.stringify((await ops[command.op](command, write)) ?? null, pack);
    };
  }, source);
}

// adopt lets a page run the commands of a new client.
export async function adopt(page, client, write) {
  await load(page, write);
  pages.set(client, page);
}

export const release = (numbers) => numbers.forEach((number) => pages.delete(number));

export const inPage = ({ client }) => pages.has(client);

// runIn runs a command in the page of its client.
export async function runIn(command) {
  const text = JSON.stringify(command, pack);
  return JSON.parse(await pages.get(command.client).evaluate((text) => globalThis.nodetestRun(text), text));
}
