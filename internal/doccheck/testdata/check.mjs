// Reads blocks of JavaScript from the standard input, as JSON: [{page, line, text}]. Writes what
// is wrong with them in the same form. Nothing of them runs: each is parsed as a module, and
// the names that it imports are looked up.
//
//   node --experimental-vm-modules check.mjs CLIENT NODE_MODULES
//
// CLIENT is the folder of this project's client.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import vm from "node:vm";

const [client, nodeModules] = process.argv.slice(2);
const require = createRequire(join(nodeModules, "x.js"));

// withNames returns a module that exports names. A module belongs to one block.
async function withNames(names) {
  const module = new vm.SyntheticModule(names, () => {});
  await module.link(() => {});
  return module;
}

const own = ["fiberbridge.mjs", "session.mjs"].flatMap((file) =>
  [...readFileSync(join(client, file), "utf8").matchAll(/^export (?:async )?(?:function|class|const) (\w+)/gm)]
    .map((m) => m[1]));

async function imported(specifier) {
  if (specifier.endsWith("/fiberbridge.mjs")) return withNames(own);
  if (/^[./]|^\w+:\/\//.test(specifier)) throw new Error(`${specifier} is not known to the test of this block`);
  const url = specifier.startsWith("node:") ? specifier : pathToFileURL(require.resolve(specifier)).href;
  return withNames(Object.keys(await import(url)));
}

// lineOfSyntaxError asks another process, since Node shows the line of an uncaught error only.
function lineOfSyntaxError(source) {
  const program = `new (require("node:vm").SourceTextModule)(${JSON.stringify(source)}, { identifier: "block" })`;
  const { stderr } = spawnSync(process.execPath, ["--experimental-vm-modules", "-e", program], { encoding: "utf8" });
  return Number(stderr.match(/^block:(\d+)$/m)?.[1] ?? 1);
}

// lineOfImport finds the line of the last specifier that was asked for.
const lineOfImport = (source, specifier) =>
  1 + source.split("\n").findIndex((line) => line.includes(JSON.stringify(specifier)));

const problems = [];
for (const block of JSON.parse(await text(process.stdin))) {
  let module, asked;
  try {
    module = new vm.SourceTextModule(block.text);
    await module.link((specifier) => imported((asked = specifier)));
  } catch (error) {
    const name = error.message.match(/^The requested module '(.*?)' does not/)?.[1] ?? asked;
    const line = module ? lineOfImport(block.text, name) : lineOfSyntaxError(block.text);
    problems.push({ page: block.page, line: block.line + line - 1, text: error.message.split("\n")[0] });
  }
}
console.log(JSON.stringify(problems));
