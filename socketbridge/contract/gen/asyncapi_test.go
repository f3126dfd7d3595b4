package gen_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen"
)

// operation is what the official parser understands of one.
type operation struct {
	ID       string   `json:"id"`
	Action   string   `json:"action"`
	Channels []string `json:"channels"`
	Messages []string `json:"messages"`
	Reply    []string `json:"reply"`
}

// TestM1_AsyncAPIParses: the official parser finds no fault, and understands what is sent and
// what is received.
func TestM1_AsyncAPIParses(t *testing.T) {
	t.Parallel()
	c := loadRules(t)
	dir := filepath.Join(nodetest.Dir(t), "asyncapi")
	needNode(t, dir, "@asyncapi/parser")
	cmd := exec.Command("node", "parse.mjs")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(gen.AsyncAPI(c))
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	var out struct {
		Title, Version string
		Operations     []operation
		Diagnostics    []struct {
			Severity            int
			Code, Message, Path string
		}
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	for _, d := range out.Diagnostics {
		if d.Code != "asyncapi-latest-version" { // 3.0 is what most tools know
			t.Errorf("%s: %s at %s", d.Code, d.Message, d.Path)
		}
	}
	if out.Title != "fiberbridge" || out.Version != "1.0.0" {
		t.Errorf("title %q, version %q; want the name of the module, and 1.0.0", out.Title, out.Version)
	}
	if want := len(c.Events) + len(c.Asks); len(out.Operations) != want {
		t.Errorf("%d operations; want %d", len(out.Operations), want)
	}
	for _, want := range []operation{
		{"receive.texts", "receive", []string{"texts"}, []string{"receive"}, []string{"receive.answer", "failure"}},
		{"receive.a shape/~é", "receive", []string{"a shape/~é"}, []string{"receive"}, []string{"receive.answer", "failure"}},
		{"receive.pair", "receive", []string{"pair"}, []string{"receive"}, []string{"receive.answer", "failure"}},
		{"send.pair", "send", []string{"pair"}, []string{"send"}, nil},
		{"send.sure", "send", []string{"sure"}, []string{"send"}, []string{"send.answer"}},
	} {
		i := slices.IndexFunc(out.Operations, func(o operation) bool { return o.ID == want.ID })
		if i < 0 {
			t.Errorf("there is no operation %s", want.ID)
			continue
		}
		got := out.Operations[i]
		if got.Action != want.Action || !slices.Equal(got.Channels, want.Channels) || !slices.Equal(got.Messages, want.Messages) || !slices.Equal(got.Reply, want.Reply) {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
}
