package nodetest

import (
	"bufio"
	"context"
	"encoding/json"
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
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	version string        // the default of Options.Version
	done    chan struct{} // closed when the process has ended and its output has been read

	mu      sync.Mutex
	lastID  int
	lastObj int                   // last number of a client, page, context or server
	waiting map[int]chan<- answer // by command ID; nil once the process has ended
	queues  map[int]*eventQueue   // by client or page number
	writing sync.Mutex            // held while writing a line to stdin
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
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("nodetest: %v", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("nodetest: %v", err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatalf("nodetest: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("nodetest: %v", err)
	}
	d := &Driver{
		cmd:     cmd,
		stdin:   stdin,
		done:    make(chan struct{}),
		waiting: map[int]chan<- answer{},
		queues:  map[int]*eventQueue{},
	}
	logged := make(chan struct{})
	go func() { // the goroutine below waits for it
		defer close(logged)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			t.Logf("%s: %s", name, lines.Text())
		}
		_, _ = io.Copy(io.Discard, stderr) // after a line that is too long for the Scanner
	}()
	go func() { // stop waits for it through d.done
		defer close(d.done)
		d.read(t, stdout)
		<-logged
		if err := cmd.Wait(); err != nil {
			t.Errorf("nodetest: %s: %v", name, err)
		}
	}()
	t.Cleanup(d.stop)
	return d
}

// stop ends the process and waits for it.
func (d *Driver) stop() {
	_ = d.stdin.Close()
	select {
	case <-d.done:
	case <-time.After(closeTimeout):
		_ = d.cmd.Process.Kill() // fails if it has ended meanwhile
		<-d.done
	}
}

// read dispatches the lines of the process until it ends.
func (d *Driver) read(t testing.TB, stdout io.Reader) {
	lines := json.NewDecoder(stdout)
	for {
		var a answer
		if err := lines.Decode(&a); err != nil {
			if err != io.EOF {
				t.Errorf("nodetest: reading the output: %v", err)
			}
			break
		}
		d.mu.Lock()
		reply, queue := d.waiting[a.ID], d.queues[a.Client]
		delete(d.waiting, a.ID)
		d.mu.Unlock()
		if reply != nil {
			reply <- a
		} else if queue != nil {
			queue.put(a.Event, a.Args)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, reply := range d.waiting {
		close(reply)
	}
	d.waiting = nil
	for _, queue := range d.queues {
		queue.close()
	}
}

// do sends a command, waits for its answer, and stores it in result unless result is nil.
func (d *Driver) do(ctx context.Context, op string, command map[string]any, result any) error {
	reply := make(chan answer, 1)
	d.mu.Lock()
	if d.waiting == nil {
		d.mu.Unlock()
		return ErrEnded
	}
	d.lastID++
	id := d.lastID
	d.waiting[id] = reply
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.waiting, id)
		d.mu.Unlock()
	}()

	line := map[string]any{"id": id, "op": op}
	for k, v := range command {
		line[k] = v
	}
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("nodetest: %s: %w", op, err)
	}
	d.writing.Lock()
	_, err = d.stdin.Write(append(text, '\n'))
	d.writing.Unlock()
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
	d.mustWithin(t, Timeout, op, command, result)
}

// mustStart is like must for an operation that imports packages for the first time, which takes
// long on a busy machine.
func (d *Driver) mustStart(t testing.TB, op string, command map[string]any, result any) {
	t.Helper()
	d.mustWithin(t, time.Minute, op, command, result)
}

func (d *Driver) mustWithin(t testing.TB, timeout time.Duration, op string, command map[string]any, result any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := d.do(ctx, op, command, result); err != nil {
		t.Fatal(err)
	}
}

// number returns a number and an event queue for a new client, page, context or server.
func (d *Driver) number() (int, *eventQueue) {
	queue := newEventQueue()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lastObj++
	d.queues[d.lastObj] = queue
	if d.waiting == nil {
		queue.close()
	}
	return d.lastObj, queue
}
