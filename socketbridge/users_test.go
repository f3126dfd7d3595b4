package socketbridge

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// diary is what a presence handler was told, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(user string, online bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%s %v", user, online))
}

func (d *diary) take() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := fmt.Sprint(d.lines)
	d.lines = nil
	return all
}

// testPresence runs a test on a clock of its own. say lets everything settle, and compares
// what was told since.
func testPresence(t *testing.T, cfg Config, test func(s *Server, say func(when, want string))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Logger = slog.New(slog.DiscardHandler)
		s := New(cfg)
		var d diary
		s.OnPresence(d.add)
		test(s, func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := d.take(); got != want {
				t.Errorf("%s: told %s, want %s", when, got, want)
			}
		})
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if n := s.users.len(); n != 0 {
			t.Errorf("%d users are left", n)
		}
	})
}

func TestPresence_GraceIsExact(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{}, func(s *Server, say func(when, want string)) {
		one, two := &client{}, &client{}
		enter := func(c *client) { _ = s.users.addSocket("ann", c) }
		leave := func(c *client) { s.users.removeSocket("ann", c) }
		enter(one)
		say("the first socket", "[ann true]")
		enter(one) // another namespace
		enter(two)
		leave(one)
		leave(two)
		say("one of three is left", "[]")
		leave(one)
		time.Sleep(5*time.Second - time.Nanosecond)
		say("within the grace period", "[]")
		time.Sleep(time.Nanosecond)
		say("after it", "[ann false]")

		enter(one)
		say("back later", "[ann true]")
		for range 3 { // a page that is loaded again and again
			leave(one)
			time.Sleep(4 * time.Second)
			enter(one)
		}
		say("back in time", "[]")
		leave(one)
		time.Sleep(4 * time.Second)
		say("the period begins anew", "[]")
		time.Sleep(time.Second)
		say("and ends", "[ann false]")
	})
}

// However many sockets come and go, one timer runs for a user who is leaving, and none
// for one who is there.
func TestPresence_OneTimerForAUser(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{Limits: Limits{MaxConnsPerUser: -1}}, func(s *Server, say func(when, want string)) {
		clients := make([]client, 1000)
		for i := range clients {
			_ = s.users.addSocket("ann", &clients[i])
		}
		for i := range clients {
			if s.users.byID["ann"].grace != nil {
				t.Fatal("a timer runs for somebody who is there")
			}
			s.users.removeSocket("ann", &clients[i])
		}
		say("all left", "[ann true]")
		time.Sleep(5 * time.Second)
		say("later", "[ann false]")
	})
}

func TestPresence_WithoutGrace(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{Presence: Presence{Grace: -1}}, func(s *Server, say func(when, want string)) {
		c := &client{}
		for range 2 {
			_ = s.users.addSocket("ann", c)
			say("there", "[ann true]")
			s.users.removeSocket("ann", c)
			say("gone", "[ann false]")
		}
	})
}

// At the end nobody is waited for, and everybody is told of.
func TestPresence_Shutdown(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{Presence: Presence{Grace: time.Hour}}, func(s *Server, say func(when, want string)) {
		c := &client{}
		_ = s.users.addSocket("ann", c)
		s.users.removeSocket("ann", c)
		say("leaving", "[ann true]")
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		say("shut down", "[ann false]")
		_ = s.users.addSocket("bob", c) // whose connection is still to be closed
		say("the last", "[bob true]")
		s.users.removeSocket("bob", c)
		say("closed", "[bob false]")
	})
}

// A slow handler holds up nobody: others are told meanwhile, and what happened to its
// own user is told by where it ended. One that panics is told again.
func TestPresence_SlowAndPanickingHandlers(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{Presence: Presence{Grace: -1}}, func(s *Server, say func(when, want string)) {
		hold := make(chan struct{})
		running, most := 0, 0
		var mu sync.Mutex
		s.OnPresence(func(user string, online bool) {
			if user != "ann" {
				return
			}
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-hold
			mu.Lock()
			running--
			mu.Unlock()
			panic("a handler's fault")
		})
		c := &client{}
		_ = s.users.addSocket("ann", c)
		say("ann", "[ann true]")
		for range 5 {
			s.users.removeSocket("ann", c)
			_ = s.users.addSocket("ann", c)
		}
		s.users.removeSocket("ann", c)
		_ = s.users.addSocket("bob", c)
		say("bob", "[bob true]")
		close(hold)
		say("ann in the end", "[ann false]")
		s.users.removeSocket("bob", c)
		say("bob in the end", "[bob false]")
		if most != 1 {
			t.Errorf("%d calls for one user at once", most)
		}
	})
}

// A handler may use everything, also what it is told of.
func TestPresence_HandlersMayCallBack(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{Presence: Presence{Grace: -1}}, func(s *Server, say func(when, want string)) {
		c, other := &client{}, &client{}
		s.OnPresence(func(user string, online bool) {
			s.User(user).Online()
			_ = s.ToUser(user).Emit("hello")
			s.Stats()
			if user == "ann" && online {
				_ = s.users.addSocket("ann", other)
				s.users.removeSocket("ann", c)
				s.users.removeSocket("ann", other)
				s.OnPresence(func(string, bool) {})
			}
		})
		_ = s.users.addSocket("ann", c)
		synctest.Wait()
		say("one thing led to another", "[ann true ann false]")
	})
}

// A model of it: whatever comes and goes, for each user the calls alternate, and the
// last one says what is so.
func TestPresence_Alternates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Logger: slog.New(slog.DiscardHandler), Presence: Presence{Grace: time.Millisecond}})
		var mu sync.Mutex
		last := map[string]bool{}
		s.OnPresence(func(user string, online bool) {
			mu.Lock()
			defer mu.Unlock()
			if last[user] == online {
				t.Errorf("%s was told %v twice", user, online)
			}
			last[user] = online
		})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { // waited for below
				c := &client{}
				user := []string{"ann", "bob"}[i%2]
				for n := range 200 {
					_ = s.users.addSocket(user, c)
					if n%3 == 0 {
						time.Sleep(time.Duration(n%5) * 300 * time.Microsecond)
					}
					s.users.removeSocket(user, c)
					if n%7 == 0 {
						time.Sleep(time.Duration(n%4) * 400 * time.Microsecond)
					}
				}
				if i == 0 {
					_ = s.users.addSocket(user, c)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		mu.Lock()
		if !last["ann"] || last["bob"] {
			t.Errorf("in the end: %v", last)
		}
		mu.Unlock()
		if n := s.users.len(); n != 1 {
			t.Errorf("%d users are kept", n)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
