// Package examples_test runs the programs of this folder as a reader does.
package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// example is a program of this folder.
type example struct {
	name    string
	program string // set when it is built
	// at returns the environment that makes it listen at a port of 127.0.0.1. Port 0 is any.
	at func(port int) []string
	// also is the environment that it needs in any case.
	also []string
	// chooses is the variable that an error names if the port is taken.
	chooses string
	// ports is how many consecutive ports it needs; 0 stands for one, which may be any.
	ports int
	// page is a text of the page behind the link.
	page string
}

func addr(port int) []string { return []string{fmt.Sprintf("ADDR=127.0.0.1:%d", port)} }

func examples(t *testing.T) []example {
	return []example{
		{name: "quickstart", at: addr, chooses: "ADDR=", page: "One session over HTTP and sockets"},
		{name: "websocket", at: addr, chooses: "ADDR=", page: "Message wall"},
		{name: "crosssite", at: addr, also: []string{"PAGES=127.0.0.1:0"}, chooses: "ADDR=", page: "Sockets on another origin"},
		{name: "dashboard", at: addr, also: []string{"DATABASE=:memory:"}, chooses: "ADDR=", page: "Log in"},
		{name: "express-neighbour", at: addr, also: []string{"NODE_PATH=" + filepath.Join(nodetest.Dir(t), "node_modules")},
			chooses: "ADDR=", page: "One login for Express and Fiber"},
		{name: "chat", at: func(port int) []string { return []string{fmt.Sprintf("PORT=%d", port)} },
			chooses: "PORT=", ports: 4, page: "Join the chat"},
		{name: "benchserver", at: func(port int) []string { return []string{fmt.Sprintf("PORT=%d", port)} },
			chooses: "PORT=", page: "/login"},
	}
}

// TestExamples_HaveAReadme: each example has a README.md that begins with one command, and
// the table of this test knows it.
func TestExamples_HaveAReadme(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, e := range examples(t) {
		known[e.name] = true
	}
	dirs, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if !dir.IsDir() || dir.Name() == "testdata" {
			continue
		}
		if !known[dir.Name()] {
			t.Errorf("examples/%s is not in the table of this test", dir.Name())
		}
		text, err := os.ReadFile(filepath.Join(dir.Name(), "README.md"))
		if err != nil {
			t.Error(err)
			continue
		}
		_, block, _ := strings.Cut(string(text), "```sh\n")
		block, _, _ = strings.Cut(block, "```")
		if !strings.Contains(block, "go run ./examples/"+dir.Name()) && !strings.Contains(block, "go run .") {
			t.Errorf("the first block of examples/%s/README.md does not run it:\n%s", dir.Name(), block)
		}
	}
}

var url = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+`)

// TestExamples_InPlainWords builds and runs each example. A line on the standard output has
// the URL to open, and the page is there. If the port is taken, the error names the address,
// why, and the variable that chooses another.
func TestExamples_InPlainWords(t *testing.T) {
	t.Parallel()
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("CI") == "" {
				t.Skip("SKIPPED: needs redis-server (Debian: apt-get install redis-server)")
			}
			e.program = build(t, e.name)
			t.Run("where to click", func(t *testing.T) { saysWhereToClick(t, e) })
			t.Run("port taken", func(t *testing.T) { saysThatThePortIsTaken(t, e) })
		})
	}
}

func saysWhereToClick(t *testing.T, e example) {
	port := 0
	if e.ports > 0 {
		port = freePorts(t, e.ports)
	} else if e.name == "benchserver" {
		port = freePorts(t, 1) // its PORT=0 is the default too
	}
	p := run(t, e, port)
	line := p.waitForURL()
	res, err := http.Get(url.FindString(line))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || !strings.Contains(string(body), e.page) {
		t.Errorf("%q leads to %s without %q:\n%s", line, res.Status, e.page, body)
	}
	p.stop()
}

func saysThatThePortIsTaken(t *testing.T, e example) {
	port := freePorts(t, max(1, e.ports))
	other, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	p := run(t, e, port)
	if err := p.wait(); err == nil {
		t.Error("it ended without an error")
	}
	said := p.err.String()
	for _, want := range []string{other.Addr().String(), "address already in use", "stop ", "or choose ", e.chooses} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if strings.Contains(said, "goroutine ") {
		t.Errorf("it panicked:\n%s", said)
	}
	if line := p.firstURL(); line != "" {
		t.Errorf("it says where to click before it listens: %q", line)
	}
}

// program is an example that runs.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of the standard output; closed at its end
	err   lockedBuffer
	ended chan error
}

// run starts an example, in its own folder, as `go run .` does.
func run(t *testing.T, e example, port int) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(e.program), lines: make(chan string, 100), ended: make(chan error, 1)}
	p.cmd.Dir = e.name
	p.cmd.Env = append(append(os.Environ(), e.also...), e.at(port)...)
	p.cmd.Stderr = &p.err
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the program; wait receives
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
		close(p.lines)
		p.ended <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s on stderr:\n%s", e.name, p.err.String())
		}
		_ = p.cmd.Process.Kill() // fails if it has ended
	})
	return p
}

// waitForURL returns the first line with a URL.
func (p *program) waitForURL() string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatal("it ended without saying where to click")
			}
			if url.MatchString(line) {
				return line
			}
		case <-ctx.Done():
			p.t.Fatal("it does not say where to click")
		}
	}
}

// firstURL returns the first line with a URL of a program that has ended, or "".
func (p *program) firstURL() string {
	for line := range p.lines {
		if url.MatchString(line) {
			return line
		}
	}
	return ""
}

// wait waits until the program ends by itself.
func (p *program) wait() error {
	p.t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(time.Minute):
		p.t.Fatal("it goes on")
		return nil
	}
}

// stop ends the program as Ctrl-C does.
func (p *program) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	err := p.wait()
	if err != nil && filepath.Base(p.cmd.Path) != "benchserver" { // which has no shutdown
		p.t.Errorf("it ends with %v", err)
	}
}

// build builds an example and returns its program.
func build(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", file, ".")
	cmd.Dir = name // examples can be modules of their own
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

// freePorts returns the first of n consecutive ports on which no program listens. They are
// below the range from which the kernel takes ports for connections.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
next:
	for ports.next < 32000 {
		first := ports.next
		ports.next += n
		for port := first; port < first+n; port++ {
			ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				continue next
			}
			_ = ln.Close()
		}
		return first
	}
	t.Fatal("no free ports")
	return 0
}

// ports hands each port out once.
var ports = struct {
	sync.Mutex
	next int
}{next: 20000 + os.Getpid()%10000}

// lockedBuffer is a buffer that can be read while the program writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
