package dropin_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// served describes an app of the program.
type served struct {
	Name, Script string
	Alone        bool
	HTTP, HTTPS  string
	Refused      string
}

// list returns the patterns that the program has.
func list(t *testing.T, program string) []served {
	t.Helper()
	return decode(t, strings.NewReader(run(t, program, "-list")), -1)
}

// start runs the program with some patterns until the test ends, and returns their addresses.
func start(t *testing.T, program string, names []string, args ...string) []served {
	t.Helper()
	cmd := exec.Command(program, append([]string{"-run", strings.Join(names, ",")}, args...)...)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	log := &logBuffer{}
	cmd.Stderr = log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
		if t.Failed() && log.Len() > 0 {
			t.Logf("%s wrote:\n%s", strings.Join(cmd.Args[3:], " "), log)
		}
	})
	apps := decode(t, stdout, len(names))
	if len(apps) != len(names) {
		t.Fatalf("the program serves %d of %d patterns:\n%s", len(apps), len(names), log)
	}
	return apps
}

// decode reads at most n descriptions.
func decode(t *testing.T, r io.Reader, n int) []served {
	t.Helper()
	var all []served
	for d := json.NewDecoder(r); n < 0 || len(all) < n; {
		var s served
		switch err := d.Decode(&s); err {
		case nil:
			all = append(all, s)
		case io.EOF:
			return all
		default:
			t.Fatal(err)
		}
	}
	return all
}

// logBuffer keeps what a program writes. It is safe for concurrent use.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Len()
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
