// Headless Chromium: one browser per process. Each context has its own cookies.
import { adopt } from "./driver-pages.mjs";
import { Journal } from "./journal.mjs";
import { closeAll } from "./release.mjs";

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP *.test 127.0.0.1", // a site that is neither localhost nor an address
];

let browser;
const contexts = new Map();
const pages = new Map();
const journals = new Map();

function page({ page: number }) {
  const found = pages.get(number);
  if (!found) throw new Error(`no page ${number}`);
  return found;
}

export const ops = {
  async browser({ executable }) {
    // Each launch has a new profile, which is removed when the browser closes.
    const { chromium } = await import("playwright-core"); // it takes half of the start of a process that uses no browser
    browser ??= await chromium.launch({ executablePath: executable, headless: true, args: flags });
    return browser.version();
  },
  async context({ context, options, timeout }) {
    const made = await browser.newContext(options ?? {});
    made.setDefaultTimeout(timeout);
    contexts.set(context, made);
  },
  async open({ context, page: number, url }, write) {
    const made = await contexts.get(context).newPage();
    const report = (event, text) => write({ client: number, event, args: [text] });
    made.on("console", (message) => {
      if (message.location().url.endsWith("/favicon.ico")) return; // every browser requests it
      report(message.type() === "error" ? "error" : "console", message.text());
    });
    made.on("pageerror", (error) => report("error", String(error)));
    pages.set(number, made);
    journals.set(number, new Journal(made));
    await made.goto(url);
  },
  journal: ({ page: number }) => journals.get(number)?.report() ?? [],
  goto: (command) => page(command).goto(command.url).then(() => null),
  reload: (command) => page(command).reload().then(() => null),
  closePage: (command) => page(command).close(),
  click: (command) => page(command).click(command.selector),
  fill: (command) => page(command).fill(command.selector, command.text),
  press: (command) => page(command).press(command.selector, command.text),
  text: (command) => page(command).innerText(command.selector),
  count: (command) => page(command).locator(command.selector).count(),
  async waitText(command) {
    const locator = page(command).locator(command.selector, { hasText: command.text }).first();
    await locator.waitFor({ timeout: command.timeout });
    return locator.innerText();
  },
  screenshot: (command) => page(command).screenshot({ path: command.path, fullPage: true }).then(() => null),
  // Pass an expression instead of a function: a page's Content-Security-Policy does not
  // block it. The argument is `arg`, and the body may await.
  evaluate: (command) =>
    page(command).evaluate(`(async (arg) => {${command.body}})(${JSON.stringify(command.arg ?? null)})`),
  adopt: (command, write) => adopt(page(command), command.socket, write),
  cookies: ({ context, url }) => contexts.get(context).cookies(url),
  offline: ({ context, offline }) => contexts.get(context).setOffline(offline),
  closeContext: ({ context }) => contexts.get(context).close(),
};

// release closes the contexts of a test with their pages, and forgets them.
export async function release(numbers) {
  await closeAll(contexts, numbers);
  for (const number of numbers) {
    pages.delete(number);
    journals.delete(number);
  }
}

export async function close() {
  await browser?.close();
}
