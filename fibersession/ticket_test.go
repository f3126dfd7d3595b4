package fibersession_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/faulty"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

const ticketOrigin = "https://example.com" // the origin of the page that the tickets are for

// issueTicket returns a ticket of h's session for the given origin, or for that of the
// request, which is ticketOrigin.
func issueTicket(t testing.TB, s *fibersession.Store, h *fibersession.Handle, origin ...string) string {
	t.Helper()
	ticket, err := requestTicket(t, s, h, origin...)
	must(t, err)
	return ticket
}

func requestTicket(t testing.TB, s *fibersession.Store, h *fibersession.Handle, origin ...string) (ticket string, err error) {
	t.Helper()
	app := fiber.New()
	app.Post("/", func(c *fiber.Ctx) error {
		ticket, err = s.Ticket(c, origin...)
		return nil
	})
	b := newBrowser(t, app)
	b.headers = map[string]string{"Origin": ticketOrigin}
	b.cookies["__Host-session"] = h.ID()
	if res := b.do("POST", "/"); len(res.set) != 0 {
		t.Errorf("the ticket's response has the cookies %v, want none", res.set)
	}
	return ticket, err
}

// A ticket works once, on any node, for the origin that it was issued for.
func TestTicket(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		a, b := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
		h := storedSession(t, a, map[string]any{"user": "ada"})
		ticket := issueTicket(t, a, h)
		if len(ticket) != 43 || ticket == issueTicket(t, a, h) {
			t.Errorf("got the ticket %q, want 43 characters, all different", ticket)
		}
		got, err := b.Redeem(ctx, ticket, ticketOrigin)
		must(t, err)
		defer got.Release()
		if got.Get("user") != "ada" || got.ID() != h.ID() || got.Pseudonym("x") != h.Pseudonym("x") {
			t.Error("the ticket led to another session")
		}
		for _, s := range []*fibersession.Store{a, b} {
			if _, err := s.Redeem(ctx, ticket, ticketOrigin); !errors.Is(err, fibersession.ErrTicketUsed) {
				t.Errorf("second use: got %v, want ErrTicketUsed", err)
			}
		}
	})
}

func TestTicket_IsRejected(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		s := newStore(t, fibersession.Config{Storage: st})
		h := storedSession(t, s, nil)
		cookie := func() string {
			must(t, h.Regenerate(ctx))
			ticket, err := h.CookieTicket(ctx)
			must(t, err)
			return ticket
		}()
		moved, ended := storedSession(t, s, nil), storedSession(t, s, nil)
		ofMoved, ofEnded := issueTicket(t, s, moved), issueTicket(t, s, ended)
		must(t, moved.Regenerate(ctx))
		must(t, ended.Destroy(ctx))
		good := issueTicket(t, s, h)
		swapped := issueTicket(t, s, h)
		must(t, st.Set(s.TicketKey(swapped), storedValue(t, st, s.TicketKey(good)), time.Minute))
		junk := strings.Repeat("j", 43)
		must(t, st.Set(s.TicketKey(junk), []byte("junk"), time.Minute))

		tests := map[string]struct {
			ticket, origin string
			want           error
		}{
			"empty":                     {"", ticketOrigin, fibersession.ErrTicketUnknown},
			"never issued":              {strings.Repeat("A", 43), ticketOrigin, fibersession.ErrTicketUnknown},
			"too short":                 {good[:42], ticketOrigin, fibersession.ErrTicketUnknown},
			"too long":                  {good + "A", ticketOrigin, fibersession.ErrTicketUnknown},
			"1 MB":                      {strings.Repeat("A", 1<<20), ticketOrigin, fibersession.ErrTicketUnknown},
			"other characters":          {"../" + good[3:], ticketOrigin, fibersession.ErrTicketUnknown},
			"NUL":                       {good[:42] + "\x00", ticketOrigin, fibersession.ErrTicketUnknown},
			"a session's ID":            {h.ID(), ticketOrigin, fibersession.ErrTicketUnknown},
			"a cookie ticket":           {cookie, ticketOrigin, fibersession.ErrTicketUnknown},
			"another ticket's value":    {swapped, ticketOrigin, fibersession.ErrTicketUnknown},
			"a value that is no ticket": {junk, ticketOrigin, fibersession.ErrTicketUnknown},
			"another host":              {issueTicket(t, s, h), "https://evil.example", fibersession.ErrTicketOrigin},
			"another scheme":            {issueTicket(t, s, h), "http://example.com", fibersession.ErrTicketOrigin},
			"another port":              {issueTicket(t, s, h), ticketOrigin + ":8443", fibersession.ErrTicketOrigin},
			"a subdomain":               {issueTicket(t, s, h), "https://a.example.com", fibersession.ErrTicketOrigin},
			"a longer host":             {issueTicket(t, s, h), ticketOrigin + ".evil.example", fibersession.ErrTicketOrigin},
			"with a path":               {issueTicket(t, s, h), ticketOrigin + "/", fibersession.ErrTicketOrigin},
			"with user info":            {issueTicket(t, s, h), "https://example.com@evil.example", fibersession.ErrTicketOrigin},
			"null":                      {issueTicket(t, s, h), "null", fibersession.ErrTicketOrigin},
			"empty origin":              {issueTicket(t, s, h), "", fibersession.ErrTicketOrigin},
			"a session with a newer ID": {ofMoved, ticketOrigin, fibersession.ErrTicketSession},
			"a session that has ended":  {ofEnded, ticketOrigin, fibersession.ErrTicketSession},
		}
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				got, err := s.Redeem(ctx, tt.ticket, tt.origin)
				if !errors.Is(err, tt.want) || !errors.Is(err, fibersession.ErrTicket) || got != nil {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if len(tt.ticket) == 43 && tt.want != fibersession.ErrTicketUnknown {
					if _, err := s.Redeem(ctx, tt.ticket, ticketOrigin); !errors.Is(err, fibersession.ErrTicketUsed) {
						t.Errorf("second use, with the right origin: got %v, want ErrTicketUsed: the rejected use counts", err)
					}
				}
			})
		}
		same, err := s.Redeem(ctx, good, "HTTPS://Example.COM:443") // another form of the same origin
		if err != nil {
			t.Fatalf("the valid ticket, with the origin in another form: got %v, want nil", err)
		}
		same.Release()
	})
}

// A ticket is valid before its deadline, but not at it. An expired ticket is reported as
// such, not as unknown.
func TestTicket_Deadline(t *testing.T) {
	withFakeClock(t, fibersession.Config{Timeouts: fibersession.Timeouts{Ticket: 10 * time.Second}}, func(t *testing.T, s *fibersession.Store) {
		h := storedSession(t, s, nil)
		defer h.Release()
		early, late, used := issueTicket(t, s, h), issueTicket(t, s, h), issueTicket(t, s, h)
		got, err := s.Redeem(ctx, used, ticketOrigin)
		must(t, err)
		got.Release()
		time.Sleep(10*time.Second - time.Millisecond)
		got, err = s.Redeem(ctx, early, ticketOrigin)
		must(t, err)
		got.Release()
		time.Sleep(time.Millisecond)
		for name, tt := range map[string]struct {
			ticket string
			want   error
		}{
			"expired": {late, fibersession.ErrTicketExpired}, "used": {used, fibersession.ErrTicketUsed},
		} {
			if _, err := s.Redeem(ctx, tt.ticket, ticketOrigin); !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", name, err, tt.want)
			}
		}
	})
}

// If a ticket is redeemed many times at once, on several nodes, exactly one call succeeds.
func TestTicket_OnceAmongMany(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		var nodes []*fibersession.Store
		for range 3 {
			nodes = append(nodes, newStore(t, fibersession.Config{Storage: st, Timeouts: fibersession.Timeouts{Storage: 30 * time.Second}}))
		}
		h := storedSession(t, nodes[0], nil)
		for range 20 {
			ticket := issueTicket(t, nodes[0], h)
			var in atomic.Int32
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() { // wg.Wait below waits for it
					got, err := nodes[i%3].Redeem(ctx, ticket, ticketOrigin)
					if err == nil {
						in.Add(1)
						got.Release()
					} else if !errors.Is(err, fibersession.ErrTicketUsed) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if in.Load() != 1 {
				t.Fatalf("%d calls succeeded, want 1", in.Load())
			}
		}
	})
}

// Ticket accepts valid origins only, and only for stored sessions.
func TestTicket_IsIssued(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, nil)
	for origin, ok := range map[string]bool{
		"https://app.example.com": true, "http://localhost:3000": true, "https://[::1]:8443": true, "capacitor://localhost": true,
		"null": true, "": false, "example.com": false, "https://": false, "https://a/b": false, "https://a?b": false,
		"https://u@a": false, "//a": false, "https://" + strings.Repeat("a", 600): false, "https://a\x00": false,
	} {
		ticket, err := requestTicket(t, s, h, origin)
		if ok != (err == nil) || !ok && !errors.Is(err, fibersession.ErrTicketOrigin) {
			t.Errorf("a ticket for the origin %.40q: got %v, want success: %v", origin, err, ok)
		}
		if ok {
			got, err := s.Redeem(ctx, ticket, origin)
			if err != nil {
				t.Errorf("redeeming the ticket for %q: got %v, want nil", origin, err)
				continue
			}
			got.Release()
		}
	}
	visitor := newSession(t, s)
	if _, err := requestTicket(t, s, visitor); !errors.Is(err, fibersession.ErrTicketSession) {
		t.Errorf("a session that was never stored: got %v, want ErrTicketSession", err)
	}
	must(t, h.Destroy(ctx))
	if _, err := requestTicket(t, s, h); !errors.Is(err, fibersession.ErrTicketSession) {
		t.Errorf("a session that has ended: got %v, want ErrTicketSession", err)
	}
}

// Ticket saves the request's changes first, so that they are there when the ticket is
// redeemed.
func TestTicket_SavesFirst(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	var ticket string
	b := newBrowser(t, newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) (err error) {
		fibersession.FromContext(c).Set("user", "ada")
		ticket, err = s.Ticket(c)
		return err
	}}))
	if res := b.get("/"); res.status != 200 || len(res.set) != 1 {
		t.Fatalf("got status %d and the cookies %v, want 200 and one", res.status, res.set)
	}
	h, err := s.Redeem(ctx, ticket, "https://example.com") // the request has no Origin header, so the ticket is for its own host
	must(t, err)
	defer h.Release()
	if h.Get("user") != "ada" {
		t.Errorf("got user %v, want ada", h.Get("user"))
	}
}

// The storage holds neither the ticket nor the session's ID. Of a used ticket it holds a
// short marker with a TTL.
func TestTicket_IsNotInTheStorage(t *testing.T) {
	t.Parallel()
	base := memory.New()
	seen := &recordingStorage{Storage: base}
	defer func() { _ = base.Close() }()
	s := newStore(t, fibersession.Config{Storage: seen})
	h := storedSession(t, s, nil)
	old := h.ID()
	must(t, h.Regenerate(ctx))
	ticket := issueTicket(t, s, h)
	cookie, err := h.CookieTicket(ctx)
	must(t, err)
	got, err := s.Redeem(ctx, ticket, ticketOrigin)
	must(t, err)
	got.Release()
	for name, secret := range map[string]string{"ID": h.ID(), "old ID": old, "ticket": ticket, "cookie ticket": cookie} {
		for form, text := range formsOf(t, secret) {
			if seen.all.Len() == 0 || strings.Contains(seen.all.String(), text) {
				t.Errorf("the %s is in the storage, as %s", name, form)
			}
		}
	}
	if left := storedValue(t, base, s.TicketKey(ticket)); bytes.Contains(left, []byte(ticketOrigin)) || len(left) > 16 {
		t.Errorf("after its use the storage holds %q for the ticket, want at most 16 bytes without the origin", left)
	}
}

// formsOf returns a secret of base64 as it may stand in a key or a value: as text, as the bytes
// that the text encodes, and each of these encoded again.
func formsOf(t testing.TB, secret string) map[string]string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(secret)
	must(t, err)
	forms := map[string]string{"text": secret, "bytes": string(raw)}
	for name, b := range map[string][]byte{"text": []byte(secret), "bytes": raw} {
		forms[name+" in hex"] = hex.EncodeToString(b)
		forms[name+" in base64"] = base64.RawStdEncoding.EncodeToString(b)
		forms[name+" in base64 for URLs"] = base64.RawURLEncoding.EncodeToString(b)
	}
	return forms
}

// If the storage or the random source fails, no ticket is issued or accepted. A ticket
// whose use had an unknown outcome cannot be used again.
func TestTicket_WhenTheStoreFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{"the call fails": {Fail: errBroken}, "the answer is lost": {Lose: errBroken}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for nth := 1; ; nth++ {
				st := faulty.New(memory.New(), nil)
				s := newStore(t, fibersession.Config{Storage: st})
				h := storedSession(t, s, nil)
				ticket := issueTicket(t, s, h)
				begun := st.Calls()
				st.SetPlan(faulty.OnCall(begun+nth, fault))
				first, err := s.Redeem(ctx, ticket, ticketOrigin)
				reached := st.Calls() >= begun+nth
				st.SetPlan(nil)
				if reached && (err == nil || errors.Is(err, fibersession.ErrTicket) || strings.Contains(err.Error(), ticket)) {
					t.Errorf("call %d failed: got %v, want an error that neither is ErrTicket nor contains the ticket", nth, err)
				}
				second, again := s.Redeem(ctx, ticket, ticketOrigin)
				if used := nth > 1 && !(nth == 2 && name == "the call fails"); used != errors.Is(again, fibersession.ErrTicketUsed) {
					t.Errorf("after a failure of call %d: second use got %v, want ErrTicketUsed: %v", nth, again, used)
				}
				for _, h := range []*fibersession.Handle{first, second} {
					if h != nil {
						h.Release()
					}
				}
				st.SetPlan(faulty.OnMethod("CompareAndSwap", fault))
				if _, err := requestTicket(t, s, h); err == nil || errors.Is(err, fibersession.ErrTicket) {
					t.Errorf("issuing a ticket: got %v, want an error that is not ErrTicket", err)
				}
				h.Release()
				_ = st.Close()
				if !reached {
					if nth != 4 {
						t.Errorf("Redeem made %d calls, want 3", nth-1)
					}
					return
				}
			}
		})
	}
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, nil)
	for name, random := range map[string]io.Reader{"an error": iotest.ErrReader(errBroken), "too little": bytes.NewReader(make([]byte, 31))} {
		s.SetRandom(random)
		if ticket, err := requestTicket(t, s, h); !errors.Is(err, fibersession.ErrRandom) || ticket != "" {
			t.Errorf("%s: got the ticket %q and %v, want none and ErrRandom", name, ticket, err)
		}
	}
}

// N5: a browser whose session got a new ID through a handle exchanges a cookie ticket for
// its new cookie. Another browser cannot use the ticket, and no ticket works twice.
func TestN5_RedeemCookie(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		s := newStore(t, fibersession.Config{Storage: st})
		node := newStore(t, fibersession.Config{Storage: st}) // the browser's request may reach another node
		apps := map[string]*fiber.App{}
		for name, s := range map[string]*fibersession.Store{"this": s, "another": node} {
			apps[name] = newApp(s, map[string]fiber.Handler{
				"/": func(c *fiber.Ctx) error {
					return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
				},
				"/in": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", c.Query("user")); return nil },
				"/cookie": func(c *fiber.Ctx) error {
					if err := s.RedeemCookie(c, c.Query("ticket")); err != nil {
						return c.Status(403).SendString(err.Error())
					}
					return c.SendString(valueOf[string](fibersession.FromContext(c), "user"))
				},
			})
		}
		for name, app := range apps {
			t.Run("on "+name+" node", func(t *testing.T) {
				b, eve := newBrowser(t, apps["this"]), newBrowser(t, app)
				b.get("/in?user=ada")
				eve.get("/in?user=eve")
				h := handleOf(t, s, b.session())
				if _, err := h.CookieTicket(ctx); !errors.Is(err, fibersession.ErrTicketSession) {
					t.Errorf("CookieTicket without a new ID: got %v, want ErrTicketSession", err)
				}
				oldest := b.session()
				must(t, h.Regenerate(ctx))
				must(t, h.Regenerate(ctx)) // the browser may have missed an ID
				b.app = app
				ticket := func() string { t.Helper(); v, err := h.CookieTicket(ctx); must(t, err); return v }

				rejected := func(name string, b *browser, ticket string, want error) {
					t.Helper()
					before := b.session()
					res := b.get("/cookie?ticket=" + ticket)
					if res.status != 403 || res.body != want.Error() || b.session() != before {
						t.Errorf("%s: got %d %s, want 403 %v and no new cookie", name, res.status, res.body, want)
					}
				}
				for name, b := range map[string]*browser{"another's browser": eve, "one without a cookie": newBrowser(t, app)} {
					v := ticket()
					rejected(name, b, v, fibersession.ErrTicketBrowser)
					rejected(name+" again", b, v, fibersession.ErrTicketUsed)
				}
				rejected("a made-up ticket", b, strings.Repeat("A", 43), fibersession.ErrTicketUnknown)
				rejected("a ticket of Store.Ticket", b, issueTicket(t, newStore(t, fibersession.Config{Storage: st}), h), fibersession.ErrTicketUnknown)
				late := ticket()
				must(t, h.Regenerate(ctx))
				rejected("a ticket from before a newer ID", b, late, fibersession.ErrTicketSession)
				if b.session() != oldest {
					t.Fatal("a rejected ticket changed the browser's cookie")
				}

				v := ticket()
				res := b.get("/cookie?ticket=" + v)
				if res.status != 200 || res.body != "ada" || len(res.set) != 1 || !res.set[0].HttpOnly || b.session() != h.ID() {
					t.Errorf("got %d %s and the cookies %v, want 200 \"ada\" and the new ID", res.status, res.body, res.set)
				}
				rejected("second use", b, v, fibersession.ErrTicketUsed)
				if got := b.get("/").body; got != "ada" {
					t.Errorf("with the new cookie: got user %q, want ada", got)
				}
			})
		}
	})
}

// RedeemCookie verifies the signature of the browser's cookie.
func TestN5_RedeemCookieSigned(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret(1)}}})
	app := newApp(s, map[string]fiber.Handler{
		"/in":     func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", "ada"); return nil },
		"/cookie": func(c *fiber.Ctx) error { return s.RedeemCookie(c, c.Query("ticket")) },
	})
	b := newBrowser(t, app)
	b.get("/in")
	id, _, _ := strings.Cut(b.cookies["__Host-session"], ".")
	h := handleOf(t, s, id)
	must(t, h.Regenerate(ctx))
	for value, status := range map[string]int{id: 500, id + "." + strings.Repeat("A", 43): 500, b.cookies["__Host-session"]: 200} {
		ticket, err := h.CookieTicket(ctx)
		must(t, err)
		other := newBrowser(t, app)
		other.cookies["__Host-session"] = value
		if res := other.get("/cookie?ticket=" + ticket); res.status != status {
			t.Errorf("with the cookie %q: got status %d, want %d", value, res.status, status)
		} else if status == 200 && !strings.HasPrefix(other.cookies["__Host-session"], h.ID()+".") {
			t.Errorf("got the new cookie %q, want the new ID with a signature", other.cookies["__Host-session"])
		}
	}
}

// The number of former IDs that a session keeps is bounded.
func TestN5_FormerIDsAreBounded(t *testing.T) {
	t.Parallel()
	st := memory.New()
	defer func() { _ = st.Close() }()
	s := newStore(t, fibersession.Config{Storage: st})
	h := storedSession(t, s, nil)
	sizes := map[int]bool{}
	for range 50 {
		must(t, h.Regenerate(ctx))
	}
	for range 3 {
		ticket, err := h.CookieTicket(ctx)
		must(t, err)
		sizes[len(storedValue(t, st, strings.Replace(s.TicketKey(ticket), ":t:", ":c:", 1)))] = true
	}
	for n := range sizes {
		if n > 400 {
			t.Errorf("got a cookie ticket of %d bytes after 50 new IDs, want at most 400", n)
		}
	}
}

func FuzzVoucher(f *testing.F) {
	st := memory.New()
	f.Cleanup(func() { _ = st.Close() })
	s := fibersession.New(fibersession.Config{Storage: st, Logger: discardLogger})
	f.Cleanup(func() { _ = s.Close() })
	h := storedSession(f, s, nil)
	ticket := issueTicket(f, s, h)
	good := storedValue(f, st, s.TicketKey(ticket))
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(good[:len(good)-1])
	f.Add(append([]byte{2}, good[1:]...))
	f.Fuzz(func(t *testing.T, value []byte) {
		id, err := fibersession.DecodeTicket(ticket, value)
		if err == nil && (id != h.ID() || !bytes.Equal(value, good)) {
			t.Errorf("a forged value was accepted for the session %q", fmt.Sprint(id))
		}
	})
}
