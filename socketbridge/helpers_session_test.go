package socketbridge_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// sessionHandshake returns the handshake of a client with the session of h.
func sessionHandshake(h *fibersession.Handle) *transport.Handshake {
	return &transport.Handshake{Time: time.Now(), Method: "GET", Path: "/socket.io/", Host: "example.com", RemoteIP: "192.0.2.1", Lifted: socketbridge.Lifted(h)}
}

// newStoredSession returns a handle of a new session that is stored with these values.
func newStoredSession(t testing.TB, store *fibersession.Store, values map[string]any) *fibersession.Handle {
	t.Helper()
	var h *fibersession.Handle
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) (err error) {
		h, err = store.Lift(c)
		return err
	})
	if res, err := app.Test(httptest.NewRequest("GET", "/", nil), -1); err != nil || res.StatusCode != 200 {
		t.Fatalf("Lift: got response %v and error %v, want 200", res, err)
	}
	for key, v := range values {
		h.Set(key, v)
	}
	if err := h.Save(context.Background()); err != nil {
		t.Fatal(err)
	}
	return h
}

// otherHandle returns another handle of h's session.
func otherHandle(t testing.TB, store *fibersession.Store, h *fibersession.Handle) *fibersession.Handle {
	t.Helper()
	other, err := store.GetByID(context.Background(), h.ID())
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// joinAs connects to a namespace with a session, over an in-memory connection. The
// connection releases the handle.
func joinAs(t testing.TB, io *socketbridge.Server, namespace string, h *fibersession.Handle) *peer {
	t.Helper()
	conn, err := transporttest.Connect(io, sessionHandshake(h))
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn}
	t.Cleanup(p.leave)
	p.join(namespace)
	return p
}

func save(t testing.TB, h *fibersession.Handle) {
	t.Helper()
	if err := h.Save(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// valueOf returns the value of key, or T's zero value if there is none or the session is gone. It
// panics if the value has another type.
func valueOf[T any](g fibersession.Getter, key string) T {
	v, err := fibersession.Value[T](g, key)
	if errors.Is(err, fibersession.ErrType) {
		panic(err)
	}
	return v
}
