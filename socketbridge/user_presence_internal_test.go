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

// callLog records the calls of a presence handler, in order.
type callLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *callLog) add(user string, online bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%s %v", user, online))
}

func (l *callLog) drain() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := fmt.Sprint(l.lines)
	l.lines = nil
	return all
}

// testPresence runs a test on a fake clock. expect waits until all goroutines are idle and
// checks the calls since the last expect.
func testPresence(t *testing.T, cfg Config, test func(s *Server, expect func(when, want string))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.Logger = slog.New(slog.DiscardHandler)
		s := New(cfg)
		var l callLog
		s.OnPresence(l.add)
		test(s, func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := l.drain(); got != want {
				t.Errorf("%s: got calls %s, want %s", when, got, want)
			}
		})
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if n := s.users.len(); n != 0 {
			t.Errorf("got %d users after Shutdown, want 0", n)
		}
	})
}

func TestPresence_GraceIsExact(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{}, func(s *Server, expect func(when, want string)) {
		one, two := &client{}, &client{}
		enter := func(c *client) { _ = s.users.addSocket("ann", c) }
		leave := func(c *client) { s.users.removeSocket("ann", c) }
		enter(one)
		expect("the first socket", "[ann true]")
		enter(one) // another namespace
		enter(two)
		leave(one)
		leave(two)
		expect("one of three sockets left", "[]")
		leave(one)
		time.Sleep(5*time.Second - time.Nanosecond)
		expect("within the grace period", "[]")
		time.Sleep(time.Nanosecond)
		expect("after the grace period", "[ann false]")

		enter(one)
		expect("back after the grace period", "[ann true]")
		for range 3 { // a page that is reloaded repeatedly
			leave(one)
			time.Sleep(4 * time.Second)
			enter(one)
		}
		expect("back within the grace period", "[]")
		leave(one)
		time.Sleep(4 * time.Second)
		expect("within a new grace period", "[]")
		time.Sleep(time.Second)
		expect("after the new grace period", "[ann false]")
	})
}

// However many sockets come and go, a user without sockets has one timer, and a user with
// sockets has none.
func TestPresence_OneTimerForAUser(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{Limits: Limits{MaxConnsPerUser: -1}}, func(s *Server, expect func(when, want string)) {
		clients := make([]client, 1000)
		for i := range clients {
			_ = s.users.addSocket("ann", &clients[i])
		}
		for i := range clients {
			if s.users.byID["ann"].grace != nil {
				t.Fatal("a grace timer runs for a user with sockets")
			}
			s.users.removeSocket("ann", &clients[i])
		}
		expect("all sockets have left", "[ann true]")
		time.Sleep(5 * time.Second)
		expect("after the grace period", "[ann false]")
	})
}

func TestPresence_WithoutGrace(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{Presence: Presence{Grace: -1}}, func(s *Server, expect func(when, want string)) {
		c := &client{}
		for range 2 {
			_ = s.users.addSocket("ann", c)
			expect("connected", "[ann true]")
			s.users.removeSocket("ann", c)
			expect("disconnected", "[ann false]")
		}
	})
}

// Shutdown waits for no grace period and reports every user offline.
func TestPresence_Shutdown(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{Presence: Presence{Grace: time.Hour}}, func(s *Server, expect func(when, want string)) {
		c := &client{}
		_ = s.users.addSocket("ann", c)
		s.users.removeSocket("ann", c)
		expect("within the grace period", "[ann true]")
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		expect("after Shutdown", "[ann false]")
		_ = s.users.addSocket("bob", c) // on a connection that is still open
		expect("a user after Shutdown", "[bob true]")
		s.users.removeSocket("bob", c)
		expect("its connection closed", "[bob false]")
	})
}

// A slow handler does not delay calls for other users. Changes of its own user during a
// call are coalesced; the next call reports only the final state. A handler that panics is
// called again for the next change.
func TestPresence_SlowAndPanickingHandlers(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{Presence: Presence{Grace: -1}}, func(s *Server, expect func(when, want string)) {
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
			panic("a faulty handler")
		})
		c := &client{}
		_ = s.users.addSocket("ann", c)
		expect("ann", "[ann true]")
		for range 5 {
			s.users.removeSocket("ann", c)
			_ = s.users.addSocket("ann", c)
		}
		s.users.removeSocket("ann", c)
		_ = s.users.addSocket("bob", c)
		expect("bob", "[bob true]")
		close(hold)
		expect("final state of ann", "[ann false]")
		s.users.removeSocket("bob", c)
		expect("final state of bob", "[bob false]")
		if most != 1 {
			t.Errorf("got %d concurrent calls for one user, want 1", most)
		}
	})
}

// A handler can call everything, also for the user it is called for.
func TestPresence_HandlersMayCallBack(t *testing.T) {
	t.Parallel()
	testPresence(t, Config{Presence: Presence{Grace: -1}}, func(s *Server, expect func(when, want string)) {
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
		expect("changes within the handler", "[ann true ann false]")
	})
}

// While sockets come and go at random, the calls for each user alternate, and the last call
// reports the final state.
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
				t.Errorf("got two calls in a row for %s with online = %v", user, online)
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
			t.Errorf("got final states %v, want ann online and bob offline", last)
		}
		mu.Unlock()
		if n := s.users.len(); n != 1 {
			t.Errorf("got %d users, want 1", n)
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
