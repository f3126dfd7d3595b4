package socketbridge_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

func TestConnectMiddlewares(t *testing.T) {
	t.Parallel()
	type auth struct{ Token string }
	happened := make(events, 32)
	io := newServer(t, socketbridge.Config{})
	io.Of("/admin").Use(func(c *socketbridge.Connect) error {
		happened.add("first")
		err := c.Next()
		happened.add("after %v", err)
		return err
	}, func(c *socketbridge.Connect) error {
		var a auth
		if err := c.Auth(&a); err != nil {
			return err
		}
		if err := c.Socket().Join("admins"); err != nil { // a refused socket must not stay in it
			return err
		}
		switch a.Token {
		case "good":
			c.Socket().Data().Set("who", "admin")
			if err := c.Socket().Emit("early"); err != nil {
				return err
			}
			return c.Next()
		case "silent":
			return nil
		case "panic":
			panic("secret")
		case "panic later":
			return &socketbridge.ConnectError{Message: "secret", Data: panicker{}}
		case "internal":
			return errors.New("secret")
		}
		return &socketbridge.ConnectError{Message: "who are you?", Data: map[string]any{"retry": false}}
	}).OnConnection(func(s *socketbridge.Socket) {
		happened.add("connected %v %v", s.Data().Get("who"), s.Rooms()[1:])
	})

	const forbidden = `4/admin,{"data":{"code":"forbidden","message":"Forbidden"},"message":"Forbidden"}`
	for _, tt := range []struct {
		name, auth, want string
		after            string
	}{
		{"a ConnectError is sent", `{"token":"bad"}`, `4/admin,{"data":{"retry":false},"message":"who are you?"}`, "after who are you?"},
		{"no auth", ``, `4/admin,{"data":{"retry":false},"message":"who are you?"}`, "after who are you?"},
		{"another error keeps its text", `{"token":"internal"}`, forbidden, "after secret"},
		{"not calling Next refuses", `{"token":"silent"}`, forbidden, "after <nil>"},
		{"a panic refuses", `{"token":"panic"}`, `4/admin,{"data":{"code":"internal_error","message":"internal error"},"message":"internal error"}`, ""},
		{"a panic of the encoder refuses", `{"token":"panic later"}`, forbidden, "after secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, io)
			c.send("0/admin," + tt.auth)
			c.expect(tt.want)
			happened.expect(t, "first")
			if tt.after != "" {
				happened.expect(t, tt.after)
			}
			// The connection stays usable after a refusal.
			c.send(`0/admin,{"token":"good"}`)
			admitted, ok := strings.CutPrefix(c.next(), `0/admin,{"sid":"`)
			id, _, _ := strings.Cut(admitted, `"`)
			if !ok {
				t.Fatalf("CONNECT was answered with %s, want a sid", admitted)
			}
			c.expect(`2/admin,["early"]`)
			happened.expect(t, "first", "after <nil>", "connected admin [admins]")
			// The sockets of earlier attempts leave the room in the background.
			waitFor(t, "only the admitted socket to be in the room", func() bool {
				sockets := io.Of("/admin").To("admins").Sockets()
				return len(sockets) == 1 && sockets[0].ID() == id
			})
		})
	}
	waitFor(t, "the room to be empty", func() bool { return len(io.Of("/admin").To("admins").Sockets()) == 0 })
	if st := io.Stats(); st.Sockets != 0 {
		t.Errorf("got %d sockets, want 0", st.Sockets)
	}
}

func TestUnknownNamespace(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	c := dial(t, io)
	for i := range 3 {
		c.send(fmt.Sprintf("0/nowhere%d,", i))
		c.expect(fmt.Sprintf(`4/nowhere%d,{"message":"Invalid namespace"}`, i))
	}
	c.join("/")
	if st := io.Stats(); st.Sockets != 1 {
		t.Errorf("got %d sockets, want 1", st.Sockets)
	}
}

// A client that joins and leaves a namespace again and again cannot have more handlers
// running than one that stays in the maximum number of namespaces.
func TestMaxNamespaces_SocketsThatEnd(t *testing.T) {
	t.Parallel()
	io := newServer(t, socketbridge.Config{})
	hold := make(chan struct{})
	io.On("hold", func(*socketbridge.Packet) error { <-hold; return nil })
	c := dial(t, io)
	for range 2 * 64 {
		c.join("/")
		c.send(`2["hold"]`)
		c.send("1")
	}
	c.send("0")
	c.expect(`4{"data":{"code":"too_many","message":"too many namespaces"},"message":"too many namespaces"}`)
	close(hold)
	waitFor(t, "the client to be allowed to join", func() bool {
		c.send("0")
		return strings.HasPrefix(c.next(), `0{"sid"`)
	})
}
