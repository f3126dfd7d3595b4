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

// Timeout is how long the methods wait that take no context.
const Timeout = 20 * time.Second

// closeTimeout is how long the process may take to end by itself.
const closeTimeout = 10 * time.Second

// Node is one Node process. It is safe for concurrent use, but for methods that
// end the test: those belong to the test's own goroutine, as with testing.T.
type Node struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{} // closed when the process has ended and its output was read

	mu      sync.Mutex
	lastID  int
	lastObj int                   // numbers of clients, pages, contexts, servers
	waiting map[int]chan<- answer // by command ID; nil when the process has ended
	inboxes map[int]*inbox        // by client or page number
	writing sync.Mutex            // held for one line into stdin
}

type answer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`

	Client int    `json:"client"`
	Event  string `json:"event"`
	Args   Args   `json:"args"`
}

// Start starts a Node process that ends with the test. When Node or its packages
// are missing, it fails the test if CI is set, and skips it otherwise.
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
		inboxes: map[int]*inbox{},
	}
	logged := make(chan struct{})
	go func() { // waited for by the goroutine below
		defer close(logged)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			t.Logf("node: %s", lines.Text())
		}
		_, _ = io.Copy(io.Discard, stderr) // behind a line too long to log
	}()
	go func() { // waited for by stop, through n.done
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

// Dir is the folder of the driver and its node_modules.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("nodetest: %v", err)
	}
	// A test runs in its package's folder, somewhere below the module's; an example
	// that is a module of its own lies below it too.
	for root := dir; ; root = filepath.Dir(root) {
		driver := filepath.Join(root, "internal", "nodetest")
		if _, err := os.Stat(filepath.Join(driver, "driver.mjs")); err == nil {
			return driver
		}
		if root == filepath.Dir(root) {
			t.Fatalf("nodetest: no internal/nodetest above %s", dir)
		}
	}
}

// missing ends the test: with a failure where everything is expected to be
// there, and with a skip that names what is missing elsewhere.
func missing(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("nodetest: %s is missing, and CI is set: %v", what, err)
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

// read hands on the lines of the process until it ends.
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
		reply, box := n.waiting[a.ID], n.inboxes[a.Client]
		delete(n.waiting, a.ID)
		n.mu.Unlock()
		if reply != nil {
			reply <- a
		} else if box != nil {
			box.put(a.Event, a.Args)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, reply := range n.waiting {
		close(reply)
	}
	n.waiting = nil
	for _, box := range n.inboxes {
		box.close()
	}
}

// do sends a command and waits for its answer, which it stores in result unless
// that is nil.
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

// must is do within Timeout, for commands that are expected to succeed.
func (n *Node) must(t testing.TB, op string, command map[string]any, result any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	if err := n.do(ctx, op, command, result); err != nil {
		t.Fatal(err)
	}
}

// number gives a new client, page, context or server its number, and an inbox.
func (n *Node) number() (int, *inbox) {
	box := newInbox()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastObj++
	n.inboxes[n.lastObj] = box
	if n.waiting == nil {
		box.close()
	}
	return n.lastObj, box
}
