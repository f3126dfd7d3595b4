package nodetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// Share lets the tests of a package share one Node process, and with it one Chromium, because
// their start costs more than most tests. Use it in TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(nodetest.Share(m).Run()) }
//
// Start then returns the process that is running. At the end of a test, its clients, pages,
// contexts and servers are closed. The process starts with the first test that needs it, and ends
// with Run. The tests stay independent: a test does not see the clients and cookies of another.
// A test that ends or blocks its process, or leaves something behind in it, uses StartAlone.
func Share(m *testing.M) *Sharing { return &Sharing{m: m} }

// Sharing runs the tests of a package: see Share.
type Sharing struct {
	m *testing.M

	mu      sync.Mutex
	process *process
	failed  bool
}

// shared is the Sharing whose Run is running, or nil. Run sets it before the tests begin.
var shared *Sharing

// Run runs the tests, and ends the process if they have started one. It returns the exit code.
func (s *Sharing) Run() (code int) {
	shared = s
	code = s.m.Run()
	shared = nil
	if s.process != nil {
		s.process.stop()
	}
	if code == 0 && s.failed {
		code = 1
	}
	return code
}

// start returns the shared process, which it starts if there is none.
func (s *Sharing) start(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		p, err := startProcess(s, "node", cmd)
		if err != nil {
			t.Fatal(err)
		}
		s.process = p
	}
	return s.process
}

// Logf prints a line of the process, which does not say which test it is about.
func (s *Sharing) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Errorf prints a failure of the process, and fails the run.
func (s *Sharing) Errorf(format string, args ...any) {
	s.Logf(format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = true
}

// release closes what the test has made.
func (d *Driver) release(t testing.TB) {
	d.made.mu.Lock()
	numbers := append([]int{}, d.made.numbers...) // not null
	d.made.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	if err := d.do(ctx, "release", map[string]any{"numbers": numbers}, nil); err != nil {
		t.Error(err)
	}
	d.forget(numbers)
}

// forget closes and drops the event queues of numbers.
func (p *process) forget(numbers []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, number := range numbers {
		if queue := p.queues[number]; queue != nil {
			queue.close()
			delete(p.queues, number)
		}
	}
}
