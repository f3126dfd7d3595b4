package socketbridge_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// call emits an event and returns the single argument of its answer as JSON.
func call(t testing.TB, c *nodetest.Client, event string, args ...any) string {
	t.Helper()
	answer := c.MustCall(event, args...)
	if len(answer) != 1 {
		t.Fatalf("%s was answered with %s, want one argument", event, answer)
	}
	return string(answer[0])
}

func equal(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// clientOptions returns options for each version of the official client on each transport.
func clientOptions() map[string]nodetest.Options {
	all := map[string]nodetest.Options{}
	for _, version := range []string{"4.8", "4.0"} {
		for name, transports := range map[string][]string{
			"polling":   {"polling"},
			"websocket": {"websocket"},
			"upgrade":   {"polling", "websocket"},
		} {
			all[fmt.Sprintf("%s by client %s", name, version)] = nodetest.Options{Version: version, Transports: transports}
		}
	}
	return all
}

// waitForRefusal waits for a connect_error and returns the code in its data.
func waitForRefusal(t testing.TB, c *nodetest.Client) string {
	t.Helper()
	var refusal struct {
		Message string
		Data    struct{ Code string }
	}
	c.MustNext(nodetest.ConnectError).Bind(t, &refusal)
	return refusal.Data.Code
}

// causeOf names the cause in the error of an OnInvalidSession handler.
func causeOf(err error) string {
	for _, c := range []struct {
		err  error
		name string
	}{
		{socketbridge.ErrSessionMissing, "missing"},
		{fibersession.ErrExpired, "expired"},
		{fibersession.ErrDestroyed, "destroyed"},
		{fibersession.ErrUnavailable, "unavailable"},
	} {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	return err.Error()
}

// expectRefusal checks that a client is refused because of its session, with a stable code.
func expectRefusal(t testing.TB, c *nodetest.Client, code string) {
	t.Helper()
	var e struct{ Data struct{ Code string } }
	c.MustNext(nodetest.ConnectError).Bind(t, &e)
	equal(t, "code of the refusal", e.Data.Code, code)
}

// expectInvalid checks that the invalid-session handler reaches a client, which is then
// disconnected.
func expectInvalid(t testing.TB, c *nodetest.Client, cause string) {
	t.Helper()
	equal(t, "cause from the invalid-session handler", c.MustNext("invalid").String(), `["`+cause+`"]`)
	equal(t, "disconnect reason", c.MustNext(nodetest.Disconnected).String(), `["io server disconnect"]`)
	if n := c.Waiting("broadcast"); n != 0 {
		t.Errorf("the client got %d broadcasts, want 0", n)
	}
}

var (
	byWebSocket = nodetest.Options{Transports: []string{"websocket"}}
	byPolling   = nodetest.Options{Transports: []string{"polling"}}
)

// waitForLogout waits until the server has disconnected the sockets. A polling client that
// sends a request at that moment gets an error response and reports a transport error.
func waitForLogout(t testing.TB, who string, sockets ...*nodetest.Client) {
	t.Helper()
	for _, c := range sockets {
		switch got := c.MustNext(nodetest.Disconnected).String(); got {
		case `["io server disconnect"]`, `["transport error"]`:
		default:
			t.Errorf("%s: disconnect reason %s, want io server disconnect", who, got)
		}
	}
}
