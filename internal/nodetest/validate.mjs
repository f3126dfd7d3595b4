// Validates payloads with ajv. It reads {"schema":…,"draft7":…,"cases":[{"path":[…],"payload":"…"}]}
// from the standard input, where a path names the members that lead to a schema in the document, and
// a payload is JSON. It writes {"results":[…],"warnings":[…]}, where a result is null for a payload
// that fits, and the first error otherwise.
import { text } from "node:stream/consumers";
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const { schema, draft7, cases } = JSON.parse(await text(process.stdin));
const warnings = [];
const warn = (...args) => warnings.push(args.join(" "));
const logger = { log: warn, warn, error: console.error };
// An AsyncAPI document has members that are no keywords.
const ajv = draft7 ? new Ajv({ strict: false, logger }) : new Ajv2020({ strictTuples: false, logger });
addFormats.default(ajv);
ajv.addSchema(schema, "events");
const part = (name) => encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"));
const results = cases.map(({ path, payload }) => {
  const validate = ajv.getSchema(`events#/${path.map(part).join("/")}`);
  if (!validate) throw new Error(`there is no schema ${path.join(" ")}`);
  if (validate(JSON.parse(payload))) return null;
  const [error] = validate.errors;
  return `${error.instancePath} ${error.message}`;
});
process.stdout.write(JSON.stringify({ results, warnings }));
