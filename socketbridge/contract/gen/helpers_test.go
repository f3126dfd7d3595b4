package gen_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(nodetest.Share(m), // clocks of the libraries, which run as long as the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2.New.StartTimeStampUpdater.func1.1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/storage/memory/v2/internal.StartTimeStampUpdater.func1.1"))
}

// validation is a payload for a schema in a document, to which the names in path lead.
type validation struct {
	Path    []string `json:"path"`
	Payload string   `json:"payload"`
}

// definition is a payload for a definition of JSON Schema.
func definition(name, payload string) validation { return validation{[]string{"$defs", name}, payload} }

// needNode ends the test if a package of npm is missing: as failed if CI is set.
func needNode(t *testing.T, dir, name string) {
	t.Helper()
	_, err := os.Stat(filepath.Join(dir, "node_modules", name))
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatalf("%s is missing although CI is set: run make deps (%v)", name, err)
	case err != nil:
		t.Skipf("%s is missing: run make deps (%v)", name, err)
	}
}

// validate returns for each payload what ajv found, or "". JSON Schema has to pass ajv's strict
// mode without a warning; with draft7, the document is one of AsyncAPI.
func validate(t *testing.T, document []byte, draft7 bool, all []validation) []string {
	t.Helper()
	dir := nodetest.Dir(t)
	needNode(t, dir, "ajv")
	in, err := json.Marshal(map[string]any{"schema": json.RawMessage(document), "draft7": draft7, "cases": all})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", "validate.mjs")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	text, err := cmd.Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var out struct {
		Results  []*string `json:"results"`
		Warnings []string  `json:"warnings"`
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	for _, w := range out.Warnings {
		t.Errorf("ajv warns: %s", w)
	}
	if len(out.Results) != len(all) {
		t.Fatalf("%d results of %d payloads", len(out.Results), len(all))
	}
	found := make([]string, len(all))
	for i, r := range out.Results {
		if r != nil {
			found[i] = *r
		}
	}
	return found
}

// typeCheck returns what tsc finds wrong in files.
func typeCheck(t *testing.T, files map[string]string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	var names []string
	for name, text := range files {
		names = append(names, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(nodetest.Dir(t), "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return nodetest.TypeCheck(t, dir, append([]string{"--strict", "--noEmit", "--skipLibCheck", "--allowJs", "--checkJs",
		"--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom"}, names...)...)
}

// loadRules returns the contract of package rules.
func loadRules(t *testing.T) *gen.Contract { return loadPackage(t, "./testdata/rules") }

func loadPackage(t *testing.T, path string) *gen.Contract {
	t.Helper()
	c, err := gen.Load("", path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recorder is a transport.Conn that keeps what is sent.
type recorder struct {
	transport.Conn
	sent chan []transport.Message
}

func (recorder) ID() string                        { return "recorder" }
func (recorder) Transport() string                 { return "websocket" }
func (recorder) Handshake() *transport.Handshake   { return &transport.Handshake{} }
func (recorder) Lifted() any                       { return nil }
func (recorder) Drained() (<-chan struct{}, error) { return nil, nil }
func (recorder) Close(transport.Reason)            {}
func (r recorder) Send(_ transport.Flags, msgs ...transport.Message) error {
	all := make([]transport.Message, len(msgs))
	for i, m := range msgs {
		all[i] = transport.Message{Binary: m.Binary, Data: bytes.Clone(m.Data)}
	}
	r.sent <- all
	return nil
}

// runtime is a server with the events of a package, and a client.
type runtime struct {
	conn     recorder
	receiver transport.Receiver
}

func newServer(t *testing.T) *socketbridge.Server {
	t.Helper()
	io := socketbridge.New(socketbridge.Config{
		Logger: slog.New(slog.DiscardHandler), Limits: socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1},
	})
	t.Cleanup(func() {
		if err := io.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return io
}

func newRuntime(t *testing.T, register func(socketbridge.Registrar)) *runtime {
	t.Helper()
	r := &runtime{conn: recorder{sent: make(chan []transport.Message, 1)}}
	io := newServer(t)
	register(io)
	var err error
	if r.receiver, err = io.Accept(r.conn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.receiver.Closed(transport.TransportClose, nil) })
	r.send(t, "0")
	return r
}

func (r *runtime) send(t *testing.T, text string) []transport.Message {
	t.Helper()
	if err := r.receiver.Receive(transport.Message{Data: []byte(text)}); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return <-r.conn.sent
}

// call returns the answer to an event as JSON, and whether its arguments were accepted.
func (r *runtime) call(t *testing.T, event, args string) (answer string, accepted bool) {
	t.Helper()
	name, _ := json.Marshal(event)
	text := "20[" + string(name)
	if inside := strings.TrimSpace(strings.Trim(args, "[]")); inside != "" || strings.Count(args, "[") > 1 {
		text += "," + args[1:len(args)-1]
	}
	packet := r.send(t, text+"]")
	head := string(packet[0].Data)
	answer = head[strings.Index(head, "["):]
	if len(packet) > 1 {
		answer = withAttachments(t, answer, packet[1:])
	}
	switch {
	case strings.HasPrefix(answer, `[{"error":{"code":"invalid_argument"`):
		return answer, false
	case strings.HasPrefix(answer, `[{"error"`):
		t.Fatalf("%s %s is answered with %s", event, args, answer)
	}
	return answer, true
}

// withAttachments replaces placeholders by base64, which is binary data as JSON.
func withAttachments(t *testing.T, text string, attachments []transport.Message) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(replace(v, func(m map[string]any) (any, bool) {
		if m["_placeholder"] != true {
			return nil, false
		}
		return attachments[int(m["num"].(float64))].Data, true
	}))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// replace replaces objects in v for which fn reports true.
func replace(v any, fn func(map[string]any) (any, bool)) any {
	switch v := v.(type) {
	case map[string]any:
		if to, ok := fn(v); ok {
			return to
		}
		for name := range v {
			v[name] = replace(v[name], fn)
		}
	case []any:
		for i := range v {
			v[i] = replace(v[i], fn)
		}
	}
	return v
}
