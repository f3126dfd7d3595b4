package bridgeotel_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// N9: no span and no metric has a session ID, a cookie, a user, a value, a room or a text of the
// app or of a client. The pseudonym is in the spans.
func TestN9_OtelSecrets(t *testing.T) {
	t.Parallel()
	tel := newTelemetry(t)
	hub := adapter.NewMemory()
	n := newNode(t, tel, socketbridge.Config{Adapter: hub.Join()}, fibersession.Config{UserKey: "user"})
	var ids []string
	var pseudonym string
	n.app.Post("/login", func(c *fiber.Ctx) error {
		s := fibersession.FromContext(c)
		s.Set("before", "secret value")
		if err := errors.Join(s.Save(), s.Login("secret-user")); err != nil {
			return err
		}
		ids, pseudonym = append(ids, s.ID()), s.Pseudonym(fibersession.LogLabel)
		return n.io.ToUser("secret-user").WithContext(c.UserContext()).Emit("hello", "secret argument")
	})
	n.app.Post("/logout", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Destroy() })
	n.io.Use(func(c *socketbridge.Connect) error {
		var auth struct{ Refuse bool }
		if err := c.Auth(&auth); err != nil || !auth.Refuse {
			return errors.Join(err, c.Next())
		}
		return errors.New("secret reason")
	})
	n.io.On("say", func(p *socketbridge.Packet) error {
		p.Session().Set("said", "secret value")
		if err := errors.Join(p.Socket().Join("secret room"), p.Socket().To("secret room").WithContext(p.Context()).Emit("said", "secret argument")); err != nil {
			return err
		}
		if err := p.Socket().ToSession().WithContext(p.Context()).Emit("said", "secret argument"); err != nil {
			return err
		}
		return &socketbridge.EventError{Code: "secret_code", Message: "secret message"}
	})
	n.io.On("fail", func(p *socketbridge.Packet) error { return errors.New("secret error") })
	n.io.On("panic", func(p *socketbridge.Packet) error { panic("secret panic") })
	n.serve(t)
	cookie := n.post(t, "/login", "")
	_, value, _ := strings.Cut(cookie, "=")
	ids = append(ids, value)
	c := n.dial(t, cookie)
	c.send(`40{"token":"secret token"}`)
	c.next()
	for _, event := range []string{"say", "fail", "panic", "secret event"} {
		c.send(`421["` + event + `","secret argument"]`)
	}
	other := n.dial(t, cookie)
	other.send(`40{"refuse":true}`)
	other.next()
	tel.wait(t, 4, "handle say", "handle fail", "handle panic", "handle")
	tel.wait(t, 2, "connect")
	n.post(t, "/logout", cookie)
	spans := tel.wait(t, 1, "POST /logout")
	points, _ := tel.metrics(t)
	found := false
	check := func(what string, v any) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		found = found || strings.Contains(string(text), pseudonym)
		for _, secret := range append(ids, "secret") {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s has %q: %s", what, secret, text)
			}
		}
	}
	for _, s := range spans {
		check("the span "+s.Name, []any{s.Name, s.Attributes, s.Events, s.Status, s.Links, s.Resource})
	}
	if !found || pseudonym == "" {
		t.Errorf("no span has the session's pseudonym %q", pseudonym)
	}
	for name := range points {
		check("the metric "+name, name)
		if strings.Contains(name, pseudonym) {
			t.Errorf("the metric %s has the session's pseudonym, of which there is no bounded number", name)
		}
	}
}
