package socketbridge_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// TestNoLeaks_ConnectionCycles opens 10,000 connections that end in different ways. Afterwards
// no goroutine, connection, socket, room or session is left in memory.
func TestNoLeaks_ConnectionCycles(t *testing.T) {
	cycles := 2000
	switch {
	case testing.Short():
		cycles = 500
	case os.Getenv("RELIABILITY") == "full":
		cycles = 10_000
	}
	s := newSite(t, options{}).counter()
	s.io.Of("/more")
	s.io.OnConnection(func(sock *socketbridge.Socket) { _ = sock.Join("room", "room of "+sock.ID()) })
	s.serve()
	a := s.agent()
	a.post("/incr")
	cookie := a.cookie()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	http.DefaultClient.CloseIdleConnections()
	a.http.CloseIdleConnections()
	before := runtime.NumGoroutine()

	var next atomic.Int64
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := next.Add(1); i <= int64(cycles); i = next.Add(1) {
				if err := cycle(ctx, s, cookie, int(i)); err != nil {
					t.Errorf("cycle %d: %v", i, err)
					return
				}
			}
		})
	}
	workers.Wait()
	t.Log("cycles done")
	http.DefaultClient.CloseIdleConnections()
	waitForNil(t, func() error {
		st, sess := s.io.Stats(), s.sessions.Stats()
		if n := st.Connections + st.Sockets + st.Rooms + st.Sessions + st.Engine.Connections; n != 0 || sess.States != 0 || sess.Handles != 0 {
			return fmt.Errorf("left over: %+v, %d states, %d handles", st, sess.States, sess.Handles)
		}
		if now := runtime.NumGoroutine(); now > before+2 { // the runtime starts and stops a few itself
			return fmt.Errorf("got %d goroutines, want at most %d", now, before+2)
		}
		return nil
	})
}

// cycle opens one connection and closes it.
func cycle(ctx context.Context, s *site, cookie string, i int) error {
	if i%4 == 3 {
		return pollCycle(ctx, s, cookie, i)
	}
	if i%2 == 0 {
		cookie = "" // a new session that is never stored
	}
	w, err := dialWebSocket(ctx, s, cookie)
	if err != nil {
		return err
	}
	if i%3 == 0 {
		if err := w.write(ctx, "40/more,"); err != nil {
			return err
		}
		if err := w.write(ctx, `451-["half",{"_placeholder":true,"num":0}]`); err != nil {
			return err
		}
	}
	w.close(i%5 == 0)
	return nil
}

// pollCycle opens a connection over polling and closes it with a packet.
func pollCycle(ctx context.Context, s *site, cookie string, i int) error {
	request := func(method, query, body string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, method, s.url+"/socket.io/?EIO=4&transport=polling"+query, strings.NewReader(body))
		if err != nil {
			return "", err
		}
		req.Header.Set("Cookie", cookie)
		if method == "POST" {
			req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != 200 {
			err = fmt.Errorf("status %d: %s", res.StatusCode, b)
		}
		return string(b), err
	}
	open, err := request("GET", "", "")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(open, `"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	if _, err := request("POST", "&sid="+sid, "40"); err != nil {
		return err
	}
	if got, err := request("GET", "&sid="+sid, ""); err != nil || !strings.HasPrefix(got, "40{") {
		return fmt.Errorf("polled %q: %w", got, err)
	}
	_, err = request("POST", "&sid="+sid, "1")
	return err
}

// TestNoLeaks_InMemoryConnections checks that connections that come and go leave no state behind.
func TestNoLeaks_InMemoryConnections(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	io.Of("/a")
	io.OnConnection(func(s *socketbridge.Socket) { _ = s.Join("r", "s", s.ID()+"x") })
	for i := range 1000 {
		conn, err := transporttest.Connect(io, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, conn: conn}
		p.join("/")
		if i%3 == 0 {
			p.send("0/a,")
			p.send("0/nowhere,")
		}
		if i%5 == 0 {
			p.send("1")
		}
		if i%7 == 0 {
			p.send(`51-["e",{"_placeholder":true,"num":0}]`) // half a packet
		}
		p.leave()
	}
	shutdown(t, io)
	if st := io.Stats(); st.Connections+st.Sockets+st.Rooms+st.Sessions != 0 {
		t.Errorf("left over: %+v, want no connections, sockets, rooms and sessions", st)
	}
}
