package nodetest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Timeout bounds the methods that take no context.
const Timeout = 20 * time.Second

// closeTimeout is the time that the process has to end after its standard input is closed.
const closeTimeout = 10 * time.Second

// Node is a Node process. It is safe for concurrent use, except for methods that end the
// test, which must be called on the test's goroutine, like those of testing.T.
type Node struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{} // closed when the process has ended and its output has been read

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

// Start starts a Node process that ends with the test. If Node or its packages are missing,
// the test fails if CI is set, and is skipped otherwise.
func Start(t testing.TB) *Node {
	t.Helper()
	dir := Dir(t)
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "node", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "socket.io-client")); err != nil {
		missing(t, "the npm packages (run `make deps`)", err)
	}

	cmd := exec.Command(node, "driver.mjs")
	cmd.Dir = dir
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
	n := &Node{
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
			t.Logf("node: %s", lines.Text())
		}
		_, _ = io.Copy(io.Discard, stderr) // after a line that is too long for the Scanner
	}()
	go func() { // stop waits for it through n.done
		defer close(n.done)
		n.read(t, stdout)
		<-logged
		if err := cmd.Wait(); err != nil {
			t.Errorf("nodetest: node: %v", err)
		}
	}()
	t.Cleanup(n.stop)
	return n
}

// Dir returns the folder of the driver and its node_modules.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("nodetest: %v", err)
	}
	// A test runs in its package's folder, which is below the root of the repository.
	// That is also true of examples that are separate modules.
	for root := dir; ; root = filepath.Dir(root) {
		driver := filepath.Join(root, "internal", "nodetest")
		if _, err := os.Stat(filepath.Join(driver, "driver.mjs")); err == nil {
			return driver
		}
		if root == filepath.Dir(root) {
			t.Fatalf("nodetest: no folder internal/nodetest in any parent of %s", dir)
		}
	}
}

// missing ends the test because a tool is missing: as failed if CI is set, otherwise as
// skipped.
func missing(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("nodetest: %s is missing although CI is set: %v", what, err)
	}
	t.Skipf("nodetest: %s is missing: %v", what, err)
}

// stop ends the process and waits for it.
func (n *Node) stop() {
	n.stdin.Close()
	select {
	case <-n.done:
	case <-time.After(closeTimeout):
		n.cmd.Process.Kill()
		<-n.done
	}
}

// read dispatches the lines of the process until it ends.
func (n *Node) read(t testing.TB, stdout io.Reader) {
	lines := json.NewDecoder(stdout)
	for {
		var a answer
		if err := lines.Decode(&a); err != nil {
			if err != io.EOF {
				t.Errorf("nodetest: reading from node: %v", err)
			}
			break
		}
		n.mu.Lock()
		reply, queue := n.waiting[a.ID], n.queues[a.Client]
		delete(n.waiting, a.ID)
		n.mu.Unlock()
		if reply != nil {
			reply <- a
		} else if queue != nil {
			queue.put(a.Event, a.Args)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, reply := range n.waiting {
		close(reply)
	}
	n.waiting = nil
	for _, queue := range n.queues {
		queue.close()
	}
}

// do sends a command, waits for its answer, and stores it in result unless result is nil.
func (n *Node) do(ctx context.Context, op string, command map[string]any, result any) error {
	reply := make(chan answer, 1)
	n.mu.Lock()
	if n.waiting == nil {
		n.mu.Unlock()
		return ErrEnded
	}
	n.lastID++
	id := n.lastID
	n.waiting[id] = reply
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.waiting, id)
		n.mu.Unlock()
	}()

	line := map[string]any{"id": id, "op": op}
	for k, v := range command {
		line[k] = v
	}
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("nodetest: %s: %w", op, err)
	}
	n.writing.Lock()
	_, err = n.stdin.Write(append(text, '\n'))
	n.writing.Unlock()
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
func (n *Node) must(t testing.TB, op string, command map[string]any, result any) {
	t.Helper()
	n.mustWithin(t, Timeout, op, command, result)
}

// mustStart is like must for an operation that imports packages for the first time, which takes
// long on a busy machine.
func (n *Node) mustStart(t testing.TB, op string, command map[string]any, result any) {
	t.Helper()
	n.mustWithin(t, time.Minute, op, command, result)
}

func (n *Node) mustWithin(t testing.TB, timeout time.Duration, op string, command map[string]any, result any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := n.do(ctx, op, command, result); err != nil {
		t.Fatal(err)
	}
}

// number returns a number and an event queue for a new client, page, context or server.
func (n *Node) number() (int, *eventQueue) {
	queue := newEventQueue()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastObj++
	n.queues[n.lastObj] = queue
	if n.waiting == nil {
		queue.close()
	}
	return n.lastObj, queue
}
