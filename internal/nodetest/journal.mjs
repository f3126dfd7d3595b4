// What a page did and met with, for whoever has to find out why a test failed.
const most = 300; // lines; the first ones are dropped

const short = (text) => (text.length > 300 ? `${text.slice(0, 300)} …` : text).replaceAll("\x1e", " | ");

export class Journal {
  #page;
  #lines = [];

  constructor(page) {
    this.#page = page;
    const began = new Map(); // requests under way
    const took = (request) => `${Date.now() - (began.get(request) ?? Date.now())} ms`;
    page.on("console", (message) => this.#add(`console.${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => this.#add(`uncaught: ${error}`));
    page.on("framenavigated", (frame) => this.#add(`is at ${frame.url()}`));
    page.on("crash", () => this.#add("crashed"));
    page.on("request", (request) => {
      began.set(request, Date.now());
      this.#add(`${request.method()} ${request.url()} ${request.postData() ?? ""}`);
    });
    page.on("response", (response) => {
      const request = response.request();
      this.#add(`${response.status()} after ${took(request)} to ${request.method()} ${request.url()}`);
    });
    page.on("requestfailed", (request) => {
      this.#add(`failed after ${took(request)}: ${request.failure()?.errorText}: ${request.method()} ${request.url()}`);
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
    if (this.#lines.length > most) this.#lines.shift();
  }

  /** The lines so far, and what the page shows now. */
  async report() {
    const page = this.#page;
    const shows = page.isClosed() ? "(closed)" : await page.locator("body").innerText({ timeout: 5000 }).catch(String);
    return [...this.#lines, `shows at ${page.url()}:`, short(shows)];
  }
}
