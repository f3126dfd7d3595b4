package socketbridge_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// hintScript is a page with the official client and the script of docs/deploys.md. It prints what
// the client does, and how long it waits before it reconnects.
const hintScript = `
const timers = globalThis.setTimeout;
let closed = false;
globalThis.setTimeout = (fn, ms, ...args) => {
  if (closed) console.log("waits", ms);
  closed = false;
  return timers(fn, ms, ...args);
};
const { io } = await import("socket.io-client");
const socket = io(process.argv[1], { transports: ["websocket"] });
socket.on("cut", () => socket.io.engine.transport.ws.close()); // as a node that drains does
socket.on("connect", () => console.log("connected"));
socket.on("disconnect", (reason) => { closed = true; console.log("disconnected", reason); });
`

// M2: the script of docs/deploys.md makes the official client wait as long as the app says, and
// as long as it always does after that.
func TestM2_HintForTheOfficialClient(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/deploys.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(page), "### Tell clients when to come back")
	_, recipe, _ = strings.Cut(recipe, "```js\n")
	recipe, _, found := strings.Cut(recipe, "```")
	if !found {
		t.Fatal("docs/deploys.md has no script")
	}
	nodetest.Start(t) // skips the test if Node or its packages are missing
	s := newSite(t, options{bridge: socketbridge.Config{Mode: socketbridge.SessionNone}}).serve()
	sockets := make(chan *socketbridge.Socket, 3)
	s.io.OnConnection(func(s *socketbridge.Socket) { sockets <- s })
	client := exec.CommandContext(t.Context(), "node", "--input-type=module", "-e", hintScript+recipe, s.url)
	client.Dir, err = filepath.Abs(nodetest.Dir(t))
	if err != nil {
		t.Fatal(err)
	}
	client.Stderr = os.Stderr
	stdout, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Process.Kill()
		_ = client.Wait()
	})
	lines := bufio.NewScanner(stdout)
	next := func() string {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("the client has ended: %v", lines.Err())
		}
		return lines.Text()
	}
	for _, tt := range []struct {
		hint        int // ms; 0 for none
		least, most int
	}{{200, 100, 300}, {0, 500, 1500}} {
		if got := next(); got != "connected" {
			t.Fatalf("the client says %q", got)
		}
		if tt.hint > 0 {
			if err := s.io.Local().Emit("moving", tt.hint); err != nil {
				t.Fatal(err)
			}
		}
		if err := (<-sockets).Emit("cut"); err != nil {
			t.Fatal(err)
		}
		if got := next(); !strings.HasPrefix(got, "disconnected transport") {
			t.Errorf("the client says %q", got)
		}
		var ms int
		got := next()
		if n, _ := fmt.Sscanf(got, "waits %d", &ms); n != 1 || ms < tt.least || ms > tt.most {
			t.Errorf("after the hint %d the client %s ms, want %d to %d", tt.hint, got, tt.least, tt.most)
		}
	}
}
