package doccheck_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/cors"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// shellRow is a row of the table of origins in docs/shells.md.
var shellRow = regexp.MustCompile("(?m)^\\| (.+?) \\| `([^`]+)`[^|]*\\| yes \\|$")

// shellSite is the program of docs/shells.md for these origins.
func shellSite(origins []string) *fiber.App {
	quiet := slog.New(slog.DiscardHandler)
	sessions := fibersession.New(fibersession.Config{
		Logger:    quiet,
		UserKey:   "user",
		Extractor: fibersession.Chain(fibersession.FromCookie(""), fibersession.FromHeader("X-Session")),
	})
	io := socketbridge.New(socketbridge.Config{
		Logger:   quiet,
		Sessions: sessions,
		Engine:   engineio.Config{AllowOrigins: origins, AllowHeaders: []string{"Content-Type", "X-Session"}, Logger: quiet},
	})
	app := fiber.New(fiber.Config{Immutable: true})
	app.Use(sessions.Handler(), io.Handler(), cors.New(cors.Config{
		AllowOrigins: strings.Join(origins, ","), AllowHeaders: "Content-Type, X-Session", ExposeHeaders: "X-Session",
	}))
	app.Post("/login", func(c *fiber.Ctx) error {
		var form struct{ Name string }
		if err := c.BodyParser(&form); err != nil {
			return err
		}
		return fibersession.FromContext(c).Login(form.Name)
	})
	io.Of("/").RequireSession()
	io.On("who am I", func(p *socketbridge.Packet) error { return p.Ack(p.Socket().User()) })
	return app
}

// TestShells: the origins in docs/shells.md can log in with the header, fetch a ticket and
// connect with it, as the page says. No cookie is involved. Origins that are not listed can not.
func TestShells(t *testing.T) {
	t.Parallel()
	rows := shellRow.FindAllStringSubmatch(read(t, "docs/shells.md"), -1)
	if len(rows) < 10 {
		t.Fatalf("found %d origins in the table", len(rows))
	}
	var origins []string
	for _, row := range rows {
		origins = append(origins, row[2])
	}
	app := shellSite(origins)
	for _, row := range rows {
		c := shellClient{t: t, app: app, origin: row[2]}
		r := c.send(http.MethodOptions, "/login", "", "", http.StatusNoContent)
		if got := r.Header.Get("Access-Control-Allow-Headers"); !strings.Contains(got, "X-Session") {
			t.Errorf("%s: a preflight of the login allows the headers %q", row[1], got)
		}
		r = c.send(http.MethodPost, "/login", `{"name":"ann"}`, "new", http.StatusOK)
		id := r.Header.Get("X-Session")
		if id == "" || len(r.Cookies()) > 0 || r.Header.Get("Access-Control-Expose-Headers") != "X-Session" {
			t.Fatalf("%s: the login is answered with %v", row[1], r.Header)
		}
		r = c.send(http.MethodOptions, "/socket.io/ticket", "", "", http.StatusNoContent)
		if got := r.Header.Get("Access-Control-Allow-Headers"); !strings.Contains(got, "X-Session") {
			t.Errorf("%s: a preflight of the ticket allows the headers %q", row[1], got)
		}
		var answer struct{ Ticket string }
		if err := json.Unmarshal([]byte(c.body(c.send(http.MethodPost, "/socket.io/ticket", "", id, http.StatusOK))), &answer); err != nil {
			t.Fatal(err)
		}
		if got := c.whoAmI(answer.Ticket); got != `430["ann"]` {
			t.Errorf("%s: a socket with the ticket is answered with %q", row[1], got)
		}
		if got := c.whoAmI(answer.Ticket); !strings.HasPrefix(got, "44") {
			t.Errorf("%s: a ticket that was used is answered with %q", row[1], got)
		}
	}
	for _, origin := range []string{"capacitor://localhost.evil", "capacitor://evil", "null", "file://", "https://localhost:8443"} {
		shellClient{t: t, app: app, origin: origin}.send(http.MethodGet, "/socket.io/?EIO=4&transport=polling", "", "", http.StatusForbidden)
	}
	// React Native: requests without an origin, WebSockets with the server's own.
	for _, origin := range []string{"", "http://example.com"} {
		shellClient{t: t, app: app, origin: origin}.send(http.MethodGet, "/socket.io/?EIO=4&transport=polling", "", "new", http.StatusOK)
	}
}

// shellClient is the page of a shell: it sends an origin and no cookies.
type shellClient struct {
	t      *testing.T
	app    *fiber.App
	origin string
}

// send sends a request with the session's ID in the header, and wants the status.
func (c shellClient) send(method, url, body, session string, status int) *http.Response {
	c.t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	if c.origin != "" {
		r.Header.Set("Origin", c.origin)
	}
	if method == http.MethodOptions {
		r.Header.Set("Access-Control-Request-Method", http.MethodPost)
		r.Header.Set("Access-Control-Request-Headers", "x-session")
	}
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	} else if body != "" {
		r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	if session != "" {
		r.Header.Set("X-Session", session)
	}
	response, err := c.app.Test(r, -1)
	if err != nil {
		c.t.Fatal(err)
	}
	if response.StatusCode != status {
		c.t.Fatalf("%s: %s %s is answered with %d, want %d", c.origin, method, url, response.StatusCode, status)
	}
	return response
}

func (c shellClient) body(r *http.Response) string {
	c.t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// whoAmI connects over polling with a ticket, and returns the answer to "who am I", or the
// refusal.
func (c shellClient) whoAmI(ticket string) string {
	c.t.Helper()
	const path = "/socket.io/?EIO=4&transport=polling"
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(c.body(c.send(http.MethodGet, path, "", "", http.StatusOK))[1:]), &open); err != nil {
		c.t.Fatal(err)
	}
	auth, err := json.Marshal(map[string]string{"ticket": ticket})
	if err != nil {
		c.t.Fatal(err)
	}
	path2 := path + "&sid=" + open.SID
	c.send(http.MethodPost, path2, "40"+string(auth), "", http.StatusOK)
	if answer := c.body(c.send(http.MethodGet, path2, "", "", http.StatusOK)); !strings.HasPrefix(answer, "40") {
		return answer
	}
	c.send(http.MethodPost, path2, `420["who am I"]`, "", http.StatusOK)
	return c.body(c.send(http.MethodGet, path2, "", "", http.StatusOK))
}
