package nodetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Timeout bounds the methods that take no context.
const Timeout = 60 * time.Second

// closeTimeout is the time that the process has to end after its standard input is closed.
const closeTimeout = time.Minute

// Driver is a program that runs clients for a test: Node, Python or another that speaks the
// protocol in driver.mjs. It is safe for concurrent use, except for methods that end the
// test, which must be called on the test's goroutine, like those of testing.T.
type Driver struct {
	*process
	version string // the default of Options.Version
	made    made
}

// made are the numbers of what a test has made: see Driver.release.
type made struct {
	mu      sync.Mutex
	numbers []int
}

// process is the running program.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	say   reporter
	done  chan struct{} // closed when the process has ended and its output has been read

	mu      sync.Mutex
	lastID  int
	lastObj int                   // last number of a client, page, context or server
	waiting map[int]chan<- answer // by command ID; nil once the process has ended
	queues  map[int]*eventQueue   // by client or page number
	writing sync.Mutex            // held while writing a line to stdin
}

// reporter is told what the process prints, and how it fails: a testing.TB or a Sharing.
type reporter interface {
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
}

type answer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`

	Client int    `json:"client"`
	Event  string `json:"event"`
	Args   Args   `json:"args"`
}

// StartDriver runs a program that speaks the protocol in driver.mjs. It ends with the test,
// when its standard input is closed. Its error output goes to the test's log after name.
func StartDriver(t testing.TB, name string, cmd *exec.Cmd) *Driver {
	t.Helper()
	p, err := startProcess(t, name, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return &Driver{process: p}
}

// startProcess starts the program. The caller calls stop.
func startProcess(say reporter, name string, cmd *exec.Cmd) (*process, error) {
	stdin, errIn := cmd.StdinPipe()
	stdout, errOut := cmd.StdoutPipe()
	stderr, errErr := cmd.StderrPipe()
	if err := errors.Join(errIn, errOut, errErr); err != nil {
		return nil, fmt.Errorf("nodetest: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("nodetest: %w", err)
	}
	p := &process{
		cmd:     cmd,
		stdin:   stdin,
		say:     say,
		done:    make(chan struct{}),
		waiting: map[int]chan<- answer{},
		queues:  map[int]*eventQueue{},
	}
	logged := make(chan struct{})
	go func() { // the goroutine below waits for it
		defer close(logged)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			say.Logf("%s: %s", name, lines.Text())
		}
		_, _ = io.Copy(io.Discard, stderr) // after a line that is too long for the Scanner
	}()
	go func() { // stop waits for it through p.done
		defer close(p.done)
		p.read(stdout)
		<-logged
		if err := cmd.Wait(); err != nil {
			say.Errorf("nodetest: %s: %v", name, err)
		}
	}()
	return p, nil
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(closeTimeout):
		_ = p.cmd.Process.Kill() // fails if it has ended meanwhile
		<-p.done
	}
}

// read dispatches the lines of the process until it ends.
func (p *process) read(stdout io.Reader) {
	lines := json.NewDecoder(stdout)
	for {
		var a answer
		if err := lines.Decode(&a); err != nil {
			if err != io.EOF {
				p.say.Errorf("nodetest: reading the output: %v", err)
			}
			break
		}
		p.mu.Lock()
		reply, queue := p.waiting[a.ID], p.queues[a.Client]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		if reply != nil {
			reply <- a
		} else if queue != nil {
			queue.put(a.Event, a.Args)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, reply := range p.waiting {
		close(reply)
	}
	p.waiting = nil
	for _, queue := range p.queues {
		queue.close()
	}
}

// do sends a command, waits for its answer, and stores it in result unless result is nil.
func (p *process) do(ctx context.Context, op string, command map[string]any, result any) error {
	reply := make(chan answer, 1)
	p.mu.Lock()
	if p.waiting == nil {
		p.mu.Unlock()
		return ErrEnded
	}
	p.lastID++
	id := p.lastID
	p.waiting[id] = reply
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, id)
		p.mu.Unlock()
	}()

	line := map[string]any{"id": id, "op": op}
	for k, v := range command {
		line[k] = v
	}
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("nodetest: %s: %w", op, err)
	}
	p.writing.Lock()
	_, err = p.stdin.Write(append(text, '\n'))
	p.writing.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrEnded, op, err)
	}

	select {
	case a, ok := <-reply:
		switch {
		case !ok:
			return ErrEnded
		case a.Error != "":
			return fmt.Errorf("nodetest: %s: %s", op, a.Error)
		case result == nil:
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-ctx.Done():
		return fmt.Errorf("nodetest: %s: %w", op, ctx.Err())
	}
}

// must is like do with Timeout, but ends the test on an error.
func (d *Driver) must(t testing.TB, op string, command map[string]any, result any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	if err := d.do(ctx, op, command, result); err != nil {
		t.Fatal(err)
	}
}

// number returns a number and an event queue for a new client, page, context or server.
func (d *Driver) number() (int, *eventQueue) {
	number, queue := d.process.number()
	d.made.mu.Lock()
	defer d.made.mu.Unlock()
	d.made.numbers = append(d.made.numbers, number)
	return number, queue
}

func (p *process) number() (int, *eventQueue) {
	queue := newEventQueue()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastObj++
	p.queues[p.lastObj] = queue
	if p.waiting == nil {
		queue.close()
	}
	return p.lastObj, queue
}
