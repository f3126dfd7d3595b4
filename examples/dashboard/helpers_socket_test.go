package main

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// call emits an event and returns the code of the error in the answer, or "".
func call(t *testing.T, c *nodetest.Client, event string, args ...any) string {
	t.Helper()
	var answer struct{ Error struct{ Code string } }
	if got := c.MustCall(event, args...); len(got) > 0 && got[0][0] == '{' {
		got.Bind(t, &answer)
	}
	return answer.Error.Code
}

// socketOf connects the official client with the cookie of a user and returns the client
// and the user's ID.
func socketOf(t *testing.T, n *nodetest.Node, v *visitor) (*nodetest.Client, string) {
	t.Helper()
	c := n.Connect(t, v.site, nodetest.Options{Cookie: v.cookie(), Transports: []string{"websocket"}})
	var user User
	c.MustNext("hello").Bind(t, &user)
	return c, user.ID
}
