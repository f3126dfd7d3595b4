package contract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/notice/noticetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/bridgetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// noKeys has keys of the client at each place where a path can have one.
type noKeys struct {
	contract.Strict
	Tags  map[string]string       `json:"tags" validate:"dive,max=5"`
	Pages map[string][]Item       `json:"pages" validate:"dive,dive"`
	By    map[int]map[string]bool `json:"by"`
}

// TestM1_S6_Refusals: what does not fit is counted and logged in one line for each place, with
// the place and what was expected, and without anything that the client has sent.
func TestM1_S6_Refusals(t *testing.T) {
	t.Parallel()
	var log noticetest.Log
	io := newServer(t, socketbridge.Config{Logger: log.Logger()})
	contract.Event[noKeys, contract.None]("put").Handle(io, nop[noKeys])
	c := bridgetest.Dial(t, io)
	const others = `"tags":{},"pages":{},"by":{}`
	places := 0
	for _, tt := range []struct{ json, path, want string }{
		{`{"secret%d":1,` + others + `}`, "/0/secret0", `at /0/*: expected no such field`},
		{`{"tags":{"secret%d":1},"pages":{},"by":{}}`, "/0/tags/secret0", `at /0/tags/*: expected a string`},
		{`{"tags":{"secret%d":"secret"},"pages":{},"by":{}}`, "/0/tags/secret0", `at /0/tags/*: expected a value with max=5`},
		{`{"tags":{"secret%[1]d":"", "secret%[1]d":""},"pages":{},"by":{}}`, "/0/tags/secret0", `at /0/tags/*: expected each key once`},
		{`{"tags":{},"pages":{"secret%d":[{"name":"","level":"low"}]},"by":{}}`, "/0/pages/secret0/0/name", `at /0/pages/*/*/name: expected a value with min=1`},
		{`{"tags":{},"pages":{},"by":{"%d":{"secret":"secret"}}}`, "/0/by/0/secret", `at /0/by/*/*: expected true or false`},
	} {
		for i := range 20 {
			e := c.Ask("put", json.RawMessage(fmt.Sprintf(tt.json, i))).WantError(contract.CodeInvalidArgument)
			if data, _ := e.Data.(map[string]any); i == 0 && data["path"] != tt.path {
				t.Errorf("%s: the client got %v, want %s", tt.json, e, tt.path)
			}
		}
		places++
		c.Settle() // events are logged and counted after their answers
		lines := log.Lines("invalid_argument")
		if len(lines) != places || !strings.Contains(lines[len(lines)-1], tt.want) {
			t.Fatalf("%s: the log has %d lines, want %d, the last with %q:\n%s", tt.json, len(lines), places, tt.want, strings.Join(lines, "\n"))
		}
	}
	if all := strings.Join(log.Lines("invalid_argument"), "\n"); strings.Contains(all, "secret") {
		t.Errorf("the log has what the client has sent:\n%s", all)
	}
	if got := io.Stats().Notices["invalid_argument"]; got != uint64(20*places) {
		t.Errorf("counted %d times, want %d", got, 20*places)
	}
}

// TestM1_OnError: an error handler gets what the client gets, and can log the error's text.
func TestM1_OnError(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	failed := make(chan error, 1)
	io.OnConnection(func(s *socketbridge.Socket) {
		s.OnError(func(_ *socketbridge.Packet, err error) { failed <- err })
	})
	Go.Handle(io, echo[Move](func() {}))
	Put.Handle(io, echo[Everything](func() {}))
	c := bridgetest.Dial(t, io)
	for _, tt := range []struct {
		event string
		args  []any
		want  socketbridge.ArgumentError
		text  string
	}{
		{"go", []any{1, "secret"}, socketbridge.ArgumentError{Event: "go", Position: 1, Path: "/1", Expected: "an integer from -32768 to 32767"},
			`socketbridge: argument 1 of "go": at /1: expected an integer from -32768 to 32767`},
		{"put", []any{json.RawMessage(with(`{"a/b":"c"}`, `{"secret":7}`))}, socketbridge.ArgumentError{Event: "put", Path: "/0/tags/secret", Expected: "a string"},
			`socketbridge: argument 0 of "put": at /0/tags/*: expected a string`},
	} {
		c.Emit(tt.event, tt.args...) // wants no answer, and is refused nevertheless
		err := <-failed
		var got *socketbridge.ArgumentError
		if !errors.As(err, &got) || got.Code() != contract.CodeInvalidArgument || err.Error() != tt.text {
			t.Fatalf("got %v, want %s", err, tt.text)
		}
		if got.Event != tt.want.Event || got.Position != tt.want.Position || got.Path != tt.want.Path || got.Expected != tt.want.Expected {
			t.Errorf("got %+v, want %+v", got, tt.want)
		}
	}
}

// TestM1_S6_Answers: the error of an answer that does not fit has its path, but its text holds
// nothing that the client has sent, because apps log it.
func TestM1_S6_Answers(t *testing.T) {
	t.Parallel()
	io := newServer(t)
	io.On("begin", func(p *socketbridge.Packet) error {
		_, err := contract.Ask[contract.None, map[string]int]("ask").Emit(p.Context(), p.Socket(), contract.None{})
		return err
	})
	c := bridgetest.Dial(t, io)
	c.On("ask", func(e *bridgetest.Event) { e.Answer(json.RawMessage(`{"secret":"secret"}`)) })
	var misfit *contract.AnswerError
	if err := c.Ask("begin").HandlerErr(); !errors.As(err, &misfit) || misfit.Path != "/0/secret" || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "at /0/*:") {
		t.Errorf("got %v", err)
	}
}
