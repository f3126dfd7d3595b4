package fibersession_test

import (
	"bytes"
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

const ticketOrigin = "https://example.com" // whose tickets these are

// ticketOf returns a ticket of h's session for the origin page, or the one given.
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
		t.Errorf("a ticket comes with the cookies %v", res.set)
	}
	return ticket, err
}

// A ticket opens its session once, on any node, for the page that it was given to.
func TestTicket(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		a, b := newStore(t, fibersession.Config{Storage: st}), newStore(t, fibersession.Config{Storage: st})
		h := storedSession(t, a, map[string]any{"user": "ada"})
		ticket := issueTicket(t, a, h)
		if len(ticket) != 43 || ticket == issueTicket(t, a, h) {
			t.Errorf("the ticket is %q", ticket)
		}
		got, err := b.Redeem(ctx, ticket, ticketOrigin)
		must(t, err)
		defer got.Release()
		if got.Get("user") != "ada" || got.ID() != h.ID() || got.Pseudonym("x") != h.Pseudonym("x") {
			t.Error("it opens another session")
		}
		for _, s := range []*fibersession.Store{a, b} {
			if _, err := s.Redeem(ctx, ticket, ticketOrigin); !errors.Is(err, fibersession.ErrTicketUsed) {
				t.Errorf("the second time: %v", err)
			}
		}
	})
}

func TestTicket_IsRefused(t *testing.T) {
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
		moved, gone := storedSession(t, s, nil), storedSession(t, s, nil)
		ofMoved, ofGone := issueTicket(t, s, moved), issueTicket(t, s, gone)
		must(t, moved.Regenerate(ctx))
		must(t, gone.Destroy(ctx))
		good := issueTicket(t, s, h)
		swapped := issueTicket(t, s, h)
		must(t, st.Set(s.TicketKey(swapped), storedValue(t, st, s.TicketKey(good)), time.Minute))
		junk := strings.Repeat("j", 43)
		must(t, st.Set(s.TicketKey(junk), []byte("junk"), time.Minute))

		tests := map[string]struct {
			ticket, origin string
			want           error
		}{
			"none":                    {"", ticketOrigin, fibersession.ErrTicketUnknown},
			"never issued":            {strings.Repeat("A", 43), ticketOrigin, fibersession.ErrTicketUnknown},
			"too short":               {good[:42], ticketOrigin, fibersession.ErrTicketUnknown},
			"too long":                {good + "A", ticketOrigin, fibersession.ErrTicketUnknown},
			"1 MB":                    {strings.Repeat("A", 1<<20), ticketOrigin, fibersession.ErrTicketUnknown},
			"other characters":        {"../" + good[3:], ticketOrigin, fibersession.ErrTicketUnknown},
			"NUL":                     {good[:42] + "\x00", ticketOrigin, fibersession.ErrTicketUnknown},
			"a session's ID":          {h.ID(), ticketOrigin, fibersession.ErrTicketUnknown},
			"a cookie's ticket":       {cookie, ticketOrigin, fibersession.ErrTicketUnknown},
			"another ticket's value":  {swapped, ticketOrigin, fibersession.ErrTicketUnknown},
			"somebody else's value":   {junk, ticketOrigin, fibersession.ErrTicketUnknown},
			"another host":            {issueTicket(t, s, h), "https://evil.example", fibersession.ErrTicketOrigin},
			"another scheme":          {issueTicket(t, s, h), "http://example.com", fibersession.ErrTicketOrigin},
			"another port":            {issueTicket(t, s, h), ticketOrigin + ":8443", fibersession.ErrTicketOrigin},
			"a subdomain":             {issueTicket(t, s, h), "https://a.example.com", fibersession.ErrTicketOrigin},
			"a longer name":           {issueTicket(t, s, h), ticketOrigin + ".evil.example", fibersession.ErrTicketOrigin},
			"with a path":             {issueTicket(t, s, h), ticketOrigin + "/", fibersession.ErrTicketOrigin},
			"with a user":             {issueTicket(t, s, h), "https://example.com@evil.example", fibersession.ErrTicketOrigin},
			"null":                    {issueTicket(t, s, h), "null", fibersession.ErrTicketOrigin},
			"no origin":               {issueTicket(t, s, h), "", fibersession.ErrTicketOrigin},
			"a session that has left": {ofMoved, ticketOrigin, fibersession.ErrTicketSession},
			"a session that ended":    {ofGone, ticketOrigin, fibersession.ErrTicketSession},
		}
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				got, err := s.Redeem(ctx, tt.ticket, tt.origin)
				if !errors.Is(err, tt.want) || !errors.Is(err, fibersession.ErrTicket) || got != nil {
					t.Errorf("%v, want %v", err, tt.want)
				}
				if len(tt.ticket) == 43 && tt.want != fibersession.ErrTicketUnknown {
					if _, err := s.Redeem(ctx, tt.ticket, ticketOrigin); !errors.Is(err, fibersession.ErrTicketUsed) {
						t.Errorf("and then, as it should be: %v; the refusal was to use it up", err)
					}
				}
			})
		}
		same, err := s.Redeem(ctx, good, "HTTPS://Example.COM:443") // is the same origin
		if err != nil {
			t.Fatalf("the good one, of all these: %v", err)
		}
		same.Release()
	})
}

// A ticket is good until its deadline and not at it, and is then told from an invention.
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
			"late": {late, fibersession.ErrTicketExpired}, "used": {used, fibersession.ErrTicketUsed},
		} {
			if _, err := s.Redeem(ctx, tt.ticket, ticketOrigin); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Of many who bring the same ticket at once, on several nodes, one gets in.
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
				wg.Go(func() { // waited for below
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
				t.Fatalf("%d got in", in.Load())
			}
		}
	})
}

// Which origins a ticket can be for, and who gets none.
func TestTicket_IsIssued(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{})
	h := storedSession(t, s, nil)
	for origin, ok := range map[string]bool{
		"https://app.example.com": true, "http://localhost:3000": true, "https://[::1]:8443": true, "capacitor://localhost": true,
		"null": false, "": false, "example.com": false, "https://": false, "https://a/b": false, "https://a?b": false,
		"https://u@a": false, "//a": false, "https://" + strings.Repeat("a", 600): false, "https://a\x00": false,
	} {
		ticket, err := requestTicket(t, s, h, origin)
		if ok != (err == nil) || !ok && !errors.Is(err, fibersession.ErrTicketOrigin) {
			t.Errorf("for %.40q: %v", origin, err)
		}
		if ok {
			got, err := s.Redeem(ctx, ticket, origin)
			if err != nil {
				t.Errorf("of %q: %v", origin, err)
				continue
			}
			got.Release()
		}
	}
	visitor := newSession(t, s)
	if _, err := requestTicket(t, s, visitor); !errors.Is(err, fibersession.ErrTicketSession) {
		t.Errorf("a session that was never stored: %v", err)
	}
	must(t, h.Destroy(ctx))
	if _, err := requestTicket(t, s, h); !errors.Is(err, fibersession.ErrTicketSession) {
		t.Errorf("a session that ended: %v", err)
	}
}

// What a request has changed is stored before its ticket is given, so that who comes
// with it finds it.
func TestTicket_SavesFirst(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}})
	var ticket string
	b := newBrowser(t, newApp(s, map[string]fiber.Handler{"/": func(c *fiber.Ctx) (err error) {
		fibersession.FromContext(c).Set("user", "ada")
		ticket, err = s.Ticket(c)
		return err
	}}))
	if res := b.get("/"); res.status != 200 || len(res.set) != 1 {
		t.Fatalf("%d, cookies %v", res.status, res.set)
	}
	h, err := s.Redeem(ctx, ticket, "http://example.com") // the site's own, as the request names none
	must(t, err)
	defer h.Release()
	if h.Get("user") != "ada" {
		t.Error("it is not there")
	}
}

// The storage holds neither a ticket nor the session's ID, and what it holds goes by
// itself.
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
		if seen.all.Len() == 0 || strings.Contains(seen.all.String(), secret) {
			t.Errorf("the %s is in the storage", name)
		}
	}
	if left := storedValue(t, base, s.TicketKey(ticket)); bytes.Contains(left, []byte(ticketOrigin)) || len(left) > 16 {
		t.Errorf("of a used ticket there is still %q", left)
	}
}

// When the store or the randomness fails there is no ticket, and none is accepted; a
// ticket whose use had an unknown outcome is not used twice.
func TestTicket_WhenThingsFail(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulty.Fault{"refused": {Fail: errBroken}, "lost": {Lose: errBroken}} {
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
					t.Errorf("call %d failed: %v", nth, err)
				}
				second, again := s.Redeem(ctx, ticket, ticketOrigin)
				if used := nth > 1 && !(nth == 2 && name == "refused"); used != errors.Is(again, fibersession.ErrTicketUsed) {
					t.Errorf("call %d failed, then: %v", nth, again)
				}
				for _, h := range []*fibersession.Handle{first, second} {
					if h != nil {
						h.Release()
					}
				}
				st.SetPlan(faulty.OnMethod("CompareAndSwap", fault))
				if _, err := requestTicket(t, s, h); err == nil || errors.Is(err, fibersession.ErrTicket) {
					t.Errorf("issued all the same: %v", err)
				}
				h.Release()
				_ = st.Close()
				if !reached {
					if nth != 4 {
						t.Errorf("%d calls; it takes three", nth-1)
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
			t.Errorf("%s: %q, %v", name, ticket, err)
		}
	}
}

// N5: the browser whose session got a new ID by a handle fetches its cookie; nobody
// else does, and nobody does twice.
func TestN5_RedeemCookie(t *testing.T) {
	t.Parallel()
	overStorages(t, func(t *testing.T, st storage.Storage) {
		s := newStore(t, fibersession.Config{Storage: st, Cookie: fibersession.Cookie{Insecure: true}})
		node := newStore(t, fibersession.Config{Storage: st, Cookie: fibersession.Cookie{Insecure: true}}) // the fetch may reach another one
		apps := map[string]*fiber.App{}
		for name, s := range map[string]*fibersession.Store{"this": s, "another": node} {
			apps[name] = newApp(s, map[string]fiber.Handler{
				"/": func(c *fiber.Ctx) error {
					return c.SendString(fibersession.Value[string](fibersession.FromContext(c), "user"))
				},
				"/in": func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", c.Query("user")); return nil },
				"/cookie": func(c *fiber.Ctx) error {
					if err := s.RedeemCookie(c, c.Query("ticket")); err != nil {
						return c.Status(403).SendString(err.Error())
					}
					return c.SendString(fibersession.Value[string](fibersession.FromContext(c), "user"))
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
					t.Errorf("without a new ID: %v", err)
				}
				oldest := b.session()
				must(t, h.Regenerate(ctx))
				must(t, h.Regenerate(ctx)) // a browser may have missed one
				b.app = app
				ticket := func() string { t.Helper(); v, err := h.CookieTicket(ctx); must(t, err); return v }

				refused := func(who string, b *browser, ticket string, want error) {
					t.Helper()
					before := b.session()
					res := b.get("/cookie?ticket=" + ticket)
					if res.status != 403 || res.body != want.Error() || b.session() != before {
						t.Errorf("%s: %d %s", who, res.status, res.body)
					}
				}
				for who, b := range map[string]*browser{"another's browser": eve, "one without a cookie": newBrowser(t, app)} {
					v := ticket()
					refused(who, b, v, fibersession.ErrTicketBrowser)
					refused(who+" again", b, v, fibersession.ErrTicketUsed)
				}
				refused("an invention", b, strings.Repeat("A", 43), fibersession.ErrTicketUnknown)
				refused("a ticket of the other kind", b, issueTicket(t, newStore(t, fibersession.Config{Storage: st}), h), fibersession.ErrTicketUnknown)
				late := ticket()
				must(t, h.Regenerate(ctx))
				refused("from before a newer ID", b, late, fibersession.ErrTicketSession)
				if b.session() != oldest {
					t.Fatal("the browser's cookie has changed")
				}

				v := ticket()
				res := b.get("/cookie?ticket=" + v)
				if res.status != 200 || res.body != "ada" || len(res.set) != 1 || !res.set[0].HttpOnly || b.session() != h.ID() {
					t.Errorf("%d %s, cookies %v", res.status, res.body, res.set)
				}
				refused("a second time", b, v, fibersession.ErrTicketUsed)
				if got := b.get("/").body; got != "ada" {
					t.Errorf("with the new cookie it is %q", got)
				}
			})
		}
	})
}

// Signed cookies are looked at before they are compared.
func TestN5_RedeemCookieSigned(t *testing.T) {
	t.Parallel()
	s := newStore(t, fibersession.Config{Cookie: fibersession.Cookie{Insecure: true, Secrets: [][]byte{secret(1)}}})
	app := newApp(s, map[string]fiber.Handler{
		"/in":     func(c *fiber.Ctx) error { fibersession.FromContext(c).Set("user", "ada"); return nil },
		"/cookie": func(c *fiber.Ctx) error { return s.RedeemCookie(c, c.Query("ticket")) },
	})
	b := newBrowser(t, app)
	b.get("/in")
	id, _, _ := strings.Cut(b.cookies["session"], ".")
	h := handleOf(t, s, id)
	must(t, h.Regenerate(ctx))
	for value, status := range map[string]int{id: 500, id + "." + strings.Repeat("A", 43): 500, b.cookies["session"]: 200} {
		ticket, err := h.CookieTicket(ctx)
		must(t, err)
		other := newBrowser(t, app)
		other.cookies["session"] = value
		if res := other.get("/cookie?ticket=" + ticket); res.status != status {
			t.Errorf("with the cookie %q: %d", value, res.status)
		} else if status == 200 && !strings.HasPrefix(other.cookies["session"], h.ID()+".") {
			t.Errorf("the new cookie is %q", other.cookies["session"])
		}
	}
}

// However often a session gets a new ID, what is remembered of the old ones is bounded.
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
		sizes[len(storedValue(t, st, strings.Replace(s.TicketKey(ticket), "ticket:", "cookie:", 1)))] = true
	}
	for n := range sizes {
		if n > 400 {
			t.Errorf("%d bytes", n)
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
		id, err := fibersession.OpenVoucher(ticket, value)
		if err == nil && (id != h.ID() || !bytes.Equal(value, good)) {
			t.Errorf("a forged value opens %q", fmt.Sprint(id))
		}
	})
}
