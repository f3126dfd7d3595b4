// Parses an AsyncAPI document with the official parser: reads it from the standard input, and
// writes what the parser found, and what it understood.
import { text } from "node:stream/consumers";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(await text(process.stdin));
const operations = document?.operations().all().map((o) => ({
  id: o.id(),
  action: o.action(),
  channels: o.channels().all().map((c) => c.address()),
  messages: o.messages().all().map((m) => m.id()),
  reply: o.reply()?.messages().all().map((m) => m.id()),
}));
process.stdout.write(
  JSON.stringify({
    title: document?.info().title(),
    version: document?.info().version(),
    operations,
    diagnostics: diagnostics.map((d) => ({ severity: d.severity, code: String(d.code), message: d.message, path: d.path.join("/") })),
  }),
);
