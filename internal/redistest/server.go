package redistest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Server is a redis-server process that runs for one test, on a free port of the
// loopback interface, with its files in a temporary folder. It is safe for
// concurrent use.
type Server struct {
	t       testing.TB
	program string
	args    []string
	port    int

	mu     sync.Mutex // guards the fields below
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd.Wait has returned
}

const (
	// startTimeout bounds the time until a started server answers PING.
	startTimeout = 10 * time.Second
	// waitTimeout bounds WaitFor: replicas synchronize and cluster nodes find each
	// other within it.
	waitTimeout = time.Minute
)

// Start starts a redis-server that persists nothing, and kills it when the test
// ends. Args are further arguments of redis-server ("--appendonly", "yes"). If
// redis-server is not installed, Start fails the test when the environment
// variable CI is set and skips it otherwise.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return start(t, append([]string{"--save", "", "--dir", t.TempDir(), "--bind", "127.0.0.1"}, args...))
}

// StartSentinel starts a Redis Sentinel as Start starts a server. The Sentinel
// rewrites its configuration file conf. URL is meaningless for it: a Sentinel
// stores no keys.
func StartSentinel(t testing.TB, conf string) *Server {
	t.Helper()
	return start(t, []string{conf, "--sentinel", "--bind", "127.0.0.1"})
}

func start(t testing.TB, args []string) *Server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed, and CI is set: install it (Debian: apt-get install redis-server)")
		}
		t.Skip("SKIPPED: needs redis-server (Debian: apt-get install redis-server)")
	}
	s := &Server{t: t, program: program, args: args, port: FreePort(t)}
	if err := s.start(); err != nil {
		t.Fatalf("starting redis-server: %v", err)
	}
	t.Cleanup(s.Kill)
	return s
}

// Addr returns the server's "host:port". Restart does not change it.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// URL returns the URL of database 0 for storage.Open.
func (s *Server) URL() string { return "redis://" + s.Addr() + "/0" }

// Kill ends the server as a crash would (SIGKILL) and waits until the process has
// exited. It does nothing if the server is not running.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
		s.cmd = nil
	}
}

// Pause suspends the server (SIGSTOP): its connections stay open, but it answers
// nothing.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume continues a paused server. It then executes the requests that arrived
// meanwhile.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("redis-server: %v", err)
	}
}

// Restart kills the server if it runs, starts it again on the same port, and
// returns when it answers. Which keys survive depends on its arguments.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.start(); err != nil {
		s.t.Errorf("restarting redis-server: %v", err)
	}
}

func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.Command(s.program, append(slices.Clone(s.args), "--port", strconv.Itoa(s.port))...)
	exited, out := make(chan struct{}), &bytes.Buffer{} // out is read only after exited is closed
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { // ends with the process; Kill waits for it
		_ = cmd.Wait()
		close(exited)
	}()
	if err := waitForPing(s.Addr(), exited); err != nil {
		_ = cmd.Process.Kill()
		<-exited
		return fmt.Errorf("%w\n%s", err, out)
	}
	s.cmd, s.exited = cmd, exited
	return nil
}

// waitForPing waits until the server at addr answers PING, its process exits, or
// startTimeout has passed.
func waitForPing(addr string, exited <-chan struct{}) error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := ping(addr)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-exited:
			return fmt.Errorf("redis-server exited: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func ping(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	reply := make([]byte, 64)
	n, err := conn.Read(reply)
	if err != nil {
		return err
	}
	// NOAUTH means that the server is up and has a password. LOADING means not ready.
	if got := string(reply[:n]); !strings.HasPrefix(got, "+PONG") && !strings.HasPrefix(got, "-NOAUTH") {
		return fmt.Errorf("unexpected reply to PING: %q", got)
	}
	return nil
}

// Do runs a command on the server with redis-cli and returns its reply. An error
// reply fails the test.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("redis-cli %v: %v %s", args, err, out)
	}
	return out
}

func (s *Server) try(args ...string) (string, error) {
	out, err := exec.Command("redis-cli", append([]string{"-e", "-p", strconv.Itoa(s.port)}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// WaitFor repeats a command until done accepts its reply, and fails the test after
// a minute. Error replies and broken connections count as not done. Event
// describes the wait in the failure message.
func (s *Server) WaitFor(event string, done func(reply string) bool, args ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(waitTimeout); ; time.Sleep(20 * time.Millisecond) {
		out, err := s.try(args...)
		if err == nil && done(out) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("timed out waiting until %s: %v %s", event, err, out)
		}
	}
}

// WaitForMaster waits until the server is a master.
func (s *Server) WaitForMaster() {
	s.t.Helper()
	s.WaitFor("the server is a master", func(reply string) bool { return strings.HasPrefix(reply, "master") }, "role")
}

// WaitForReplica waits until the server is a replica in sync with its master.
func (s *Server) WaitForReplica() {
	s.t.Helper()
	s.WaitFor("the replica is in sync", func(reply string) bool { return strings.Contains(reply, "master_link_status:up") }, "info", "replication")
}
