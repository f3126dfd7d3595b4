package nodetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Node is a Node process with the official clients, the reference server, Express and
// Chromium.
type Node struct{ *Driver }

// Start starts a Node process that ends with the test, or returns the one that the tests of the
// package share (see Share). If Node or its packages are missing, the test fails if CI is set, and
// is skipped otherwise.
func Start(t testing.TB) *Node {
	t.Helper()
	return start(t, shared)
}

// StartAlone is Start for a test that needs a process of its own, such as one with a server that
// goes on when it is closed.
func StartAlone(t testing.TB) *Node {
	t.Helper()
	return start(t, nil)
}

// start is Start with the process of s, unless it is nil.
func start(t testing.TB, s *Sharing) *Node {
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
	var n *Node
	if s != nil {
		n = &Node{&Driver{process: s.start(t, cmd)}}
		t.Cleanup(func() { n.release(t) })
	} else {
		n = &Node{StartDriver(t, "node", cmd)}
	}
	n.version = "4.8"
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
