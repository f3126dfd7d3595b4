package socketbridge_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
)

// picky refuses all values, and quotes them.
type picky string

func (*picky) UnmarshalText(text []byte) error { return errors.New("no such picky: " + string(text)) }

// TestS6_BindErrorsQuoteNothing: the errors of Bind say where a value does not fit and what would,
// but not what the client has sent, because apps log them. The cause stays within reach of errors.As.
func TestS6_BindErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	io := socketbridge.New(socketbridge.Config{Logger: silent})
	t.Cleanup(func() { _ = io.Shutdown(t.Context()) })
	cases := []struct {
		json string
		to   func() any
		want string
	}{
		{`"secret"`, func() any { return new(int) }, "expected int, got a JSON string"},
		{`1234567890`, func() any { return new(int8) }, "expected int8, got a JSON number"},
		{`{"secret":{"a":"secret"}}`, func() any { return new(map[string]struct{ A int }) }, "field A: expected int, got a JSON string"},
		{`{"b":[{"a":"secret"}]}`, func() any { return new(struct{ B []struct{ A int } }) }, "field B.A: expected int, got a JSON string"},
		{`{"secret":1}`, func() any { return new(map[int]int) }, "expected int, got a JSON number"},
		{`"secret"`, func() any { return new(time.Time) }, "its Go type refuses the value, with a *time.ParseError"},
		{`"secret"`, func() any { return new(netip.Addr) }, "its Go type refuses the value, with a netip.parseAddrError"},
		{`"secret"`, func() any { return new(picky) }, "its Go type refuses the value, with a *errors.errorString"},
		{`"secret!"`, func() any { return new([]byte) }, "expected binary data, got a string that is no base64"},
		{`"secret"`, func() any { return new(json.Number) }, "its Go type refuses the value, with a *errors.errorString"},
		{`1`, func() any { return 1 }, "json: Unmarshal(non-pointer int)"},
	}
	type texts struct{ Value, Answer, Packet string }
	io.On("bind", func(p *socketbridge.Packet) error {
		var i int
		if err := p.Values()[0].(socketbridge.Value).Bind(&i); err != nil {
			return err
		}
		a, err := p.Socket().EmitWithAck(p.Context(), "question")
		if err != nil {
			return err
		}
		to := cases[i].to
		v := p.Values()[1].(socketbridge.Value)
		return p.Ack(texts{v.Bind(to()).Error(), a.Bind(nil, to()).Error(), p.Bind(nil, to()).Error()})
	})
	c := bridgetest.Dial(t, io)
	for i, tt := range cases {
		c.On("question", func(e *bridgetest.Event) { e.Answer("skipped", json.RawMessage(tt.json)) })
		var got texts
		if err := c.Ask("bind", i, json.RawMessage(tt.json)).Bind(&got); err != nil {
			t.Fatal(err)
		}
		packet := `socketbridge: argument 1 of "bind": `
		if strings.Contains(tt.want, "non-pointer") {
			packet = `socketbridge: Bind of "bind": pointer 1: `
		}
		if want := (texts{"socketbridge: value: " + tt.want, "socketbridge: argument 1 of an answer: " + tt.want, packet + tt.want}); got != want {
			t.Errorf("%s into %T:\ngot  %+v\nwant %+v", tt.json, tt.to(), got, want)
		}
	}
	io.Use(func(c *socketbridge.Connect) error {
		auth := struct{ Token time.Time }{}
		const want = "socketbridge: auth: its Go type refuses the value, with a *time.ParseError"
		if err := c.Auth(&auth); err.Error() != want {
			t.Errorf("got %q", err)
		}
		if err := c.Socket().Auth(&auth); err.Error() != want {
			t.Errorf("got %q", err)
		}
		return c.Next()
	})
	bridgetest.Dial(t, io, bridgetest.Auth(map[string]string{"token": "secret"}))
	var v socketbridge.Value
	if err := json.Unmarshal([]byte(`"secret"`), &v); err != nil {
		t.Fatal(err)
	}
	var cause *json.UnmarshalTypeError
	if err := v.Bind(new(int)); !errors.As(err, &cause) || cause.Value != "string" {
		t.Errorf("got %v", err)
	}
}
