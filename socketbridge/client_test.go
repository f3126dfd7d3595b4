package socketbridge_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// TestProtocolViolations checks that a violation closes its own connection and no other.
func TestProtocolViolations(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	io.Of("/a")
	io.Of("/b")
	never := func(p *socketbridge.Packet) error {
		t.Errorf("handler of %s ran", p.Event())
		return nil
	}
	io.On("never", never)
	io.On("error", func(p *socketbridge.Packet) error { return p.Ack("an ordinary name") })
	bystander := join(t, io, "/")
	for _, tt := range []struct {
		name string
		send []string // the last message is refused; "b:" marks a binary one
	}{
		{"event before CONNECT", []string{`2["never"]`}},
		{"ack before CONNECT", []string{`31[]`}},
		{"disconnect before CONNECT", []string{`1`}},
		{"binary before CONNECT", []string{"b:xx"}},
		{"event for another namespace", []string{"0", `2/a,["never"]`}},
		{"second CONNECT", []string{"0", "0"}},
		{"CONNECT_ERROR from a client", []string{"0", `4{"message":"x"}`}},
		{"CONNECT with a payload that is no object", []string{`0["x"]`}},
		{"CONNECT with broken JSON", []string{`0{"x"`}},
		{"unknown type", []string{"0", "7"}},
		{"empty packet", []string{"0", ""}},
		{"event that is no array", []string{"0", `2{"a":1}`}},
		{"event without a name", []string{"0", `2[]`}},
		{"event name of another type", []string{"0", `2[{"never":1}]`}},
		{"reserved name: connect", []string{"0", `2["connect"]`}},
		{"reserved name: connect_error", []string{"0", `2["connect_error"]`}},
		{"reserved name: disconnect", []string{"0", `2["disconnect"]`}},
		{"reserved name: disconnecting", []string{"0", `2["disconnecting"]`}},
		{"reserved name: newListener", []string{"0", `2["newListener"]`}},
		{"reserved name: removeListener", []string{"0", `2["removeListener"]`}},
		{"broken JSON", []string{"0", `2["never",`}},
		{"bytes after the packet", []string{"0", `2["never"]x`}},
		{"invalid UTF-8", []string{"0", "2[\"never\",\"\xff\"]"}},
		{"text between attachments", []string{"0", `51-["never",{"_placeholder":true,"num":0}]`, `2["never"]`}},
		{"unexpected attachment", []string{"0", "b:xx"}},
		{"too many attachments", []string{"0", `51001-["never"]`}},
		{"attachments without number", []string{"0", `5-["never"]`}},
		{"placeholder out of range", []string{"0", `51-["never",{"_placeholder":true,"num":1}]`}},
		{"binary event without attachments", []string{"0", `50-["never"]`}},
		{"ack id of 16 digits", []string{"0", `21234567890123456["never"]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, io)
			for i, text := range tt.send {
				var err error
				if len(text) > 2 && text[:2] == "b:" {
					err = c.conn.Binary([]byte(text[2:]))
				} else {
					err = c.conn.Text(text)
				}
				if last := i == len(tt.send)-1; last != (err != nil) {
					t.Fatalf("message %d, %q: got error %v, want an error only for the last one", i, text, err)
				}
				if text == "0" && i == 0 && err == nil {
					c.next()
				}
			}
			if reason := c.waitForClose(); reason != transport.ParseError {
				t.Errorf("closed with %q, want %q", reason, transport.ParseError)
			}
			bystander.send(`20["error"]`)
			bystander.expect(`30["an ordinary name"]`)
		})
	}
	t.Run("too many namespaces refuse the next", func(t *testing.T) {
		c := join(t, io, "/")
		for i := range 63 {
			name := fmt.Sprintf("/n%d", i)
			io.Of(name)
			c.join(name)
		}
		c.send("0/b,")
		c.expect(`4/b,{"data":{"code":"too_many","message":"too many namespaces"},"message":"too many namespaces"}`)
	})
	t.Run("an event before CONNECT is confirmed", func(t *testing.T) {
		proceed := make(chan struct{})
		defer close(proceed)
		io.Of("/slow").Use(func(*socketbridge.Connect) error { <-proceed; return nil })
		io.Of("/slow").On("never", never)
		c := dial(t, io)
		c.send("0/slow,")
		if err := c.conn.Text(`2/slow,["never"]`); err == nil {
			t.Fatal("the event was accepted")
		}
		if reason := c.waitForClose(); reason != transport.ParseError {
			t.Errorf("closed with %q, want %q", reason, transport.ParseError)
		}
	})
	t.Run("an unexpected ack is ignored", func(t *testing.T) {
		c := join(t, io, "/")
		c.send(`399["x"]`)
		c.send(`20["error"]`)
		c.expect(`30["an ordinary name"]`)
	})
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	t.Run("a client that joins nothing is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			c := dial(t, io)
			time.Sleep(45*time.Second - time.Millisecond)
			synctest.Wait()
			if reason, _ := c.conn.Reason(); reason != "" {
				t.Fatalf("closed with %q before the timeout", reason)
			}
			time.Sleep(time.Millisecond)
			if reason := c.waitForClose(); reason != transport.ForcedClose {
				t.Errorf("closed with %q, want %q", reason, transport.ForcedClose)
			}
		})
	})
	t.Run("a client that left its last namespace is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			c := join(t, io, "/")
			time.Sleep(time.Hour) // no timeout while it is in a namespace
			c.send("1")
			synctest.Wait()
			time.Sleep(45 * time.Second)
			if reason := c.waitForClose(); reason != transport.ForcedClose {
				t.Errorf("closed with %q, want %q", reason, transport.ForcedClose)
			}
		})
	})
	t.Run("half a binary packet", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			c := join(t, io, "/")
			c.send(`52-["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
			time.Sleep(9 * time.Second)
			if err := c.conn.Binary([]byte("one")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if reason := c.waitForClose(); reason != transport.ParseError {
				t.Errorf("closed with %q, want %q", reason, transport.ParseError)
			}
		})
	})
	t.Run("a complete binary packet has no timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			io := newServer(t, socketbridge.Config{})
			io.On("e", func(p *socketbridge.Packet) error {
				var b []byte
				if err := p.Bind(&b); err != nil {
					return err
				}
				return p.Ack(b)
			})
			c := join(t, io, "/")
			c.send(`51-7["e",{"_placeholder":true,"num":0}]`)
			if err := c.conn.Binary([]byte("one")); err != nil {
				t.Fatal(err)
			}
			c.expect(`61-7[{"_placeholder":true,"num":0}]`)
			if m := c.nextMessage(); !m.Binary || string(m.Data) != "one" {
				t.Errorf("got binary %v and %q, want a binary message %q", m.Binary, m.Data, "one")
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if reason, _ := c.conn.Reason(); reason != "" {
				t.Errorf("closed with %q, want an open connection", reason)
			}
		})
	})
}
