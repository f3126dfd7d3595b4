package socketbridge_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// pollingRequest makes a handshake without a body, or else posts the body to the connection
// that the query names.
func pollingRequest(t *testing.T, s *site, query, body, cookie string, header ...string) (status int, answer string, set []string) {
	t.Helper()
	method := map[bool]string{true: "GET", false: "POST"}[body == ""]
	req, err := http.NewRequest(method, s.url+"/socket.io/?EIO=4&transport=polling"+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header["Set-Cookie"]
}

// sidOf returns the connection's ID in the answer to a handshake.
func sidOf(t *testing.T, body string) string {
	t.Helper()
	_, rest, _ := strings.Cut(body, `"sid":"`)
	sid, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("got %q, want the answer to a handshake", body)
	}
	return sid
}

// F5: the handshake of a client with two session cookies of one name removes both and sets
// the session's own, over either transport. The connection goes on with the new one.
func TestF5_HandshakeWithTwoCookies(t *testing.T) {
	t.Parallel()
	s := newSite(t, options{sessions: fibersession.Config{KeyLookup: "cookie:sid", CookieDomain: "app.test"}}).serve()
	own := func(set []string) string {
		t.Helper()
		if len(set) < 3 {
			t.Fatalf("got the cookies %q, want two removals at least and the session's", set)
		}
		for i, line := range set {
			if removal := strings.HasPrefix(line, "sid=;"); removal == (i == len(set)-1) {
				t.Errorf("cookie %d of %d: got %s, want removals and then the session's", i+1, len(set), line)
			}
		}
		value, _, _ := strings.Cut(set[len(set)-1], ";")
		return value
	}
	status, answer, set := pollingRequest(t, s, "", "", "sid=a; sid=b")
	cookie := own(set)
	if status != 200 {
		t.Fatalf("the handshake: got status %d", status)
	}
	query := "&sid=" + sidOf(t, answer)
	for cookie, want := range map[string]int{cookie: 200, "sid=" + strings.Repeat("A", 43): 400} {
		if status, _, _ := pollingRequest(t, s, query, "40", cookie); status != want {
			t.Errorf("a post with the cookie %s: got status %d, want %d", cookie, status, want)
		}
	}

	ws := newSite(t, options{sessions: fibersession.Config{KeyLookup: "cookie:sid", CookieDomain: "app.test"}}).serve()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(ws.url, "http")+"/socket.io/?EIO=4&transport=websocket",
		&websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {"sid=a; sid=b"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	own(res.Header["Set-Cookie"])
	for _, s := range []*site{s, ws} {
		if got := s.sessions.Stats().Duplicates; got != 1 {
			t.Errorf("got Duplicates %d, want 1", got)
		}
	}
}

// F5: a connection that was opened over plain http is not served over https with the plain
// cookie, and the other way round.
func TestF5_ConnectionsStayOnTheirSide(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{true, false} {
		for _, plain := range []bool{true, false} {
			s := newSite(t, options{sessions: fibersession.Config{KeyLookup: "cookie:sid"}}).counter().serve()
			proto := map[bool]string{true: "http", false: "https"}
			cookie := ""
			if stored {
				req, err := http.NewRequest("POST", s.url+"/incr", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Forwarded-Proto", proto[plain])
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				cookie, _, _ = strings.Cut(res.Header.Get("Set-Cookie"), ";")
			}
			_, answer, set := pollingRequest(t, s, "", "", cookie, "X-Forwarded-Proto", proto[plain])
			if len(set) > 0 {
				cookie, _, _ = strings.Cut(set[0], ";")
			}
			query := "&sid=" + sidOf(t, answer)
			for _, over := range []bool{!plain, plain} {
				want := map[bool]int{true: 200, false: 400}[over == plain]
				if status, _, _ := pollingRequest(t, s, query, "40", cookie, "X-Forwarded-Proto", proto[over]); status != want || !strings.HasPrefix(cookie, "sid=") {
					t.Errorf("opened over %s, stored %t, with the cookie %q: over %s got status %d, want %d", proto[plain], stored, cookie, proto[over], status, want)
				}
			}
		}
	}
}
