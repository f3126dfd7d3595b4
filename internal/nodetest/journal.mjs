// Records the activity of a page, to explain why a test failed.
const maxLines = 300; // older lines are dropped

const short = (text) => (text.length > 300 ? `${text.slice(0, 300)} …` : text).replaceAll("\x1e", " | ");

export class Journal {
  #page;
  #lines = [];

  constructor(page) {
    this.#page = page;
    const started = new Map(); // pending request -> time in ms
    const elapsed = (request) => `${Date.now() - (started.get(request) ?? Date.now())} ms`;
    page.on("console", (message) => this.#add(`console.${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => this.#add(`uncaught: ${error}`));
    page.on("framenavigated", (frame) => this.#add(`is at ${frame.url()}`));
    page.on("crash", () => this.#add("crashed"));
    page.on("request", (request) => {
      started.set(request, Date.now());
      this.#add(`${request.method()} ${request.url()} ${request.postData() ?? ""}`);
    });
    page.on("response", (response) => {
      const request = response.request();
      this.#add(`${response.status()} after ${elapsed(request)} to ${request.method()} ${request.url()}`);
    });
    page.on("requestfailed", (request) => {
      this.#add(`failed after ${elapsed(request)}: ${request.failure()?.errorText}: ${request.method()} ${request.url()}`);
    });
    page.on("websocket", (ws) => {
      this.#add(`WebSocket ${ws.url()}`);
      ws.on("framesent", ({ payload }) => this.#add(`WebSocket > ${payload}`));
      ws.on("framereceived", ({ payload }) => this.#add(`WebSocket < ${payload}`));
      ws.on("socketerror", (error) => this.#add(`WebSocket error: ${error}`));
      ws.on("close", () => this.#add("WebSocket closed"));
    });
  }

  #add(line) {
    this.#lines.push(`${new Date().toISOString().slice(11, 23)} ${short(line)}`);
    if (this.#lines.length > maxLines) this.#lines.shift();
  }

  /** Returns the recorded lines, followed by the visible text of the page. */
  async report() {
    const page = this.#page;
    const shows = page.isClosed() ? "(closed)" : await page.locator("body").innerText({ timeout: 5000 }).catch(String);
    return [...this.#lines, `shows at ${page.url()}:`, short(shows)];
  }
}
