package socketbridge_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// authOf returns a CONNECT's payload of n bytes.
func authOf(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }

// A CONNECT has at most 16 KiB of auth, exactly, and the sockets of a client 128 KiB together.
func TestS11_R27_Auth(t *testing.T) {
	t.Parallel()
	io := newServer(t, unlimited)
	for i := range 10 {
		io.Of(fmt.Sprint("/n", i))
	}
	c := dial(t, io)
	connect := func(ns string, n int) string {
		c.send("0" + ns + "," + authOf(n))
		return c.next()
	}
	if got := connect("/n0", 16<<10+1); !strings.Contains(got, `"code":"bad_arguments","message":"more than 16384 bytes of auth"`) {
		t.Errorf("16 KiB and 1 byte: got %s", got)
	}
	for i := range 8 {
		if got := connect(fmt.Sprint("/n", i), 16<<10); !strings.HasPrefix(got, "0/n") {
			t.Fatalf("16 KiB in namespace %d: got %s", i, got)
		}
	}
	if got := connect("/n8", 8); !strings.Contains(got, `"code":"too_many"`) {
		t.Errorf("8 bytes beside 128 KiB: got %s", got)
	}
	c.send("1/n0,")
	waitFor(t, "the end of the socket", func() bool { return len(io.Of("/n0").Sockets()) == 0 })
	waitFor(t, "room for more", func() bool { return strings.HasPrefix(connect("/n8", 16<<10), "0/n8") })
}

// The connection of a client is closed after 128 refused CONNECTs within a minute.
func TestS11_R27_RefusedConnects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, unlimited)
		io.Of("/closed").Use(func(*socketbridge.Connect) error { return &socketbridge.ConnectError{Message: "no"} })
		for _, text := range []string{"0/none,", "0/closed,", "0/closed," + authOf(16<<10+1)} {
			c := join(t, io, "/")
			for range 3 { // of as many minutes
				for range 128 {
					c.send(text)
					if got := c.next(); got[0] != '4' {
						t.Fatalf("got %s", got)
					}
				}
				time.Sleep(time.Minute)
			}
			for range 128 {
				c.send(text)
				c.next()
			}
			if reason, _ := c.conn.Reason(); reason != "" {
				t.Fatalf("%s: closed with %s after 128", text, reason)
			}
			c.send(text)
			if reason := c.waitForClose(); reason != transport.ForcedClose {
				t.Errorf("%s: closed with %s", text, reason)
			}
		}
		if got := io.Stats().Notices["connect_flood"]; got != 3 {
			t.Errorf("connect_flood is counted %d times, want 3", got)
		}
	})
}

// BenchmarkRefusedConnect measures a CONNECT to a namespace that does not exist.
func BenchmarkRefusedConnect(b *testing.B) {
	io := newServer(b, unlimited)
	c := dial(b, io)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%100 == 99 {
			c = dial(b, io)
		}
		c.send("0/none,")
		c.next()
	}
}
