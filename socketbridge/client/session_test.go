package client_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// sessionAuth handles every response of the ticket endpoint, here from a fake fetch. An
// abandoned connect does not answer a later one.
func TestSessionAuth(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	page := n.Browser(t).Open(bridge(t) + "/")
	prelude := `
		const { sessionAuth, followCookie } = await import("/socket.io/fiberbridge.mjs");
		const asked = [];
		const answer = (status, ticket) => ({ ok: status === 200, status, json: async () => ({ ticket }) });
		const fetch = (...answers) => async (url, init) => {
			asked.push({ url: String(url), method: init.method, credentials: init.credentials, cache: init.cache, headers: init.headers });
			const next = answers.length > 1 ? answers.shift() : answers[0];
			if (next === "away") throw new TypeError("network");
			return next;
		};
		const give = (options, self) => new Promise((done) => sessionAuth(options).call(self, done));
	`
	var got struct {
		Good, Again, Visitor, Refused, Later, Never, Away map[string]any
		Own, Custom                                       map[string]any
		Tries                                             map[string]int
		First                                             struct{ Method, Credentials, Cache string }
		Headers                                           map[string]string
	}
	page.Eval(prelude+`
		const tries = {};
		const counted = async (name, options) => { asked.length = 0; const auth = await give(options); tries[name] = asked.length; return auth; };
		const good = await counted("good", { fetch: fetch(answer(200, "t1")), auth: { room: 1 } });
		const first = asked[0];
		const again = await counted("again", { fetch: fetch(answer(200, "t2")), auth: async () => ({ room: 2 }) });
		const visitor = await counted("visitor", { fetch: fetch(answer(401)), auth: { room: 3 } });
		const refused = await counted("refused", { fetch: fetch(answer(403)) });
		const later = await counted("later", { fetch: fetch("away", answer(503), answer(200, "t3")) });
		const own = await sessionAuth({ fetch: fetch(answer(200, "t4")) })();
		asked.length = 0;
		const custom = await give({ fetch: fetch(answer(200, "t5")), ticketField: "pass", ticketURL: "/here", ticketHeaders: { Authorization: "Bearer x" } });
		return { good, again, visitor, refused, later, own, custom, tries, first, headers: asked[0].headers };`, nil, &got)
	same := func(what string, got map[string]any, pairs ...any) {
		t.Helper()
		if len(got) != len(pairs)/2 {
			t.Errorf("%s: %v", what, got)
		}
		for i := 0; i < len(pairs); i += 2 {
			if got[pairs[i].(string)] != pairs[i+1] {
				t.Errorf("%s: %v", what, got)
			}
		}
	}
	same("good", got.Good, "ticket", "t1", "room", 1.0)
	same("with a function", got.Again, "ticket", "t2", "room", 2.0)
	same("a visitor", got.Visitor, "room", 3.0)
	same("refused", got.Refused, "ticket", "")
	same("after transient failures", got.Later, "ticket", "t3")
	same("as a promise", got.Own, "ticket", "t4")
	same("another field", got.Custom, "pass", "t5")
	if got.Tries["good"] != 1 || got.Tries["visitor"] != 1 || got.Tries["refused"] != 1 || got.Tries["later"] != 3 {
		t.Errorf("numbers of attempts are %v", got.Tries)
	}
	if got.First.Method != "POST" || got.First.Credentials != "include" || got.First.Cache != "no-store" || got.Headers["Authorization"] != "Bearer x" {
		t.Errorf("ticket request is %+v with headers %v", got.First, got.Headers)
	}

	var received []string
	page.Eval(prelude+`
		const waiting = [];
		const auth = sessionAuth({ fetch: () => new Promise((done) => waiting.push(done)) });
		const received = [], socket = {}, other = {};
		auth.call(socket, (a) => received.push("first " + a.ticket));
		auth.call(other, (a) => received.push("other " + a.ticket));
		auth.call(socket, (a) => received.push("second " + a.ticket)); // abandons the first connect
		waiting[2](answer(200, "t2"));
		waiting[0](answer(200, "t0"));
		waiting[1](answer(200, "t1"));
		while (received.length < 2) await new Promise((done) => setTimeout(done));
		await new Promise((done) => setTimeout(done));
		return received.sort();`, nil, &received)
	if len(received) != 2 || received[0] != "other t1" || received[1] != "second t2" {
		t.Errorf("auth callbacks received %q", received)
	}

	// An app may let other users choose event names, so followCookie fetches only cookie URLs.
	var fetched []string
	page.Eval(prelude+`
		let listener;
		const socket = { on: (event, fn) => { listener = fn; }, io: { uri: "https://live.example", opts: { path: "/socket.io" } } };
		followCookie(socket, { fetch: fetch(answer(204)) });
		const token = "A".repeat(43);
		for (const url of ["cookie/" + token, "cookie/" + token + "/../x", "cookie/short", "//evil.example/cookie/" + token, "/cookie/" + token, "../cookie/" + token,
			"https://evil.example/", "/logout", "cookie/" + "%".repeat(43), "cookie/" + token + "\n", 7, null, undefined, { toString: () => "/logout" }, ["/logout"]]) listener(url);
		return asked.map(({ url }) => url);`, nil, &fetched)
	if len(fetched) != 1 || fetched[0] != "https://live.example/socket.io/cookie/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("followCookie fetched %q, want only the cookie URL", fetched)
	}
}
