package reliability_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// TestClusterNodeProcess is the process of a node that startNodeProcess starts. At SIGTERM it
// answers health checks with 503, goes on for CLUSTER_DRAIN and shuts down.
func TestClusterNodeProcess(t *testing.T) {
	addr := os.Getenv("CLUSTER_NODE")
	if addr == "" {
		return
	}
	drain, err := time.ParseDuration(os.Getenv("CLUSTER_DRAIN"))
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	n, err := newClusterNode(clusterConfig{storage: os.Getenv("CLUSTER_STORAGE"), recovery: time.Minute}, addr)
	if err != nil {
		t.Fatal(err)
	}
	orphaned := make(chan struct{})
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin) // ends when the test that started this process has ended
		close(orphaned)
	}()
	select {
	case <-stop:
	case <-orphaned:
		return
	}
	n.stopping.Store(true)
	time.Sleep(drain) // the proxy finds out by its health checks
	if err := n.close(15 * time.Second); err != nil {
		t.Fatal(err)
	}
}

// nodeProcess is a node in a process of its own.
type nodeProcess struct {
	t     *testing.T
	addr  string
	env   []string
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
	err   error // of Wait, once done is closed
}

// startNodeProcess starts a node and waits until it answers.
func startNodeProcess(t *testing.T, storage string, drain time.Duration) *nodeProcess {
	t.Helper()
	p := &nodeProcess{t: t, addr: fmt.Sprintf("127.0.0.1:%d", redistest.FreePort(t))}
	p.env = []string{"CLUSTER_NODE=" + p.addr, "CLUSTER_STORAGE=" + storage, "CLUSTER_DRAIN=" + drain.String()}
	t.Cleanup(func() { p.kill() })
	p.start()
	p.waitUntilUp()
	return p
}

func (p *nodeProcess) start() {
	p.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestClusterNodeProcess$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), p.env...)
	out := &processOutput{t: p.t, name: p.addr}
	cmd.Stdout, cmd.Stderr = out, out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	done := make(chan struct{})
	p.cmd, p.stdin, p.done = cmd, stdin, done
	go func() { // ends with the process
		defer close(done)
		p.err = cmd.Wait()
	}()
}

func (p *nodeProcess) waitUntilUp() {
	p.t.Helper()
	waitUntil(p.t, "node "+p.addr, func() bool { return answers("http://" + p.addr + "/healthz") })
}

// kill ends the process as a crash does.
func (p *nodeProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop shuts the node down and checks that it ended without an error.
func (p *nodeProcess) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
	return p.err
}

// sample asks the node for a sample.
func (p *nodeProcess) sample() (s clusterSample, err error) {
	return s, getJSON("http://"+p.addr+"/sample", &s)
}

func getJSON(url string, v any) error {
	res, err := probe.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	return json.NewDecoder(res.Body).Decode(v)
}

var probe = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func answers(url string) bool {
	res, err := probe.Get(url)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// processOutput logs what a process prints, but for the lines of a test that passes.
type processOutput struct {
	t    *testing.T
	name string
}

func (o *processOutput) Write(b []byte) (int, error) {
	if s := strings.TrimSpace(string(b)); s != "PASS" {
		o.t.Logf("%s: %s", o.name, s)
	}
	return len(b), nil
}

// startHAProxy starts HAProxy with the file of examples/chat in front of three nodes, and
// returns its URL. Edits are pairs of old and new text.
func startHAProxy(t *testing.T, nodes []*nodeProcess, edits ...string) string {
	t.Helper()
	program, err := exec.LookPath("haproxy")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal("haproxy is missing, and CI is set: .ci/deps installs it")
			}
			t.Skip("SKIPPED: needs haproxy (Debian: apt-get install haproxy)")
		}
	}
	conf, err := os.ReadFile("../../examples/chat/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", redistest.FreePort(t))
	edits = append(edits, "127.0.0.1:3000", addr)
	for i, n := range nodes {
		edits = append(edits, fmt.Sprintf("127.0.0.1:300%d", i+1), n.addr)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(edits...).Replace(string(conf))), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-db", "-f", file)
	out := &processOutput{t: t, name: "haproxy"}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitUntil(t, "haproxy", func() bool { return answers("http://" + addr + "/healthz") })
	return "http://" + addr
}
