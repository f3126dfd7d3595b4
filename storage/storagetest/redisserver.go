package storagetest

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

// RedisServer is a real redis-server for the time of one test, on a free port of
// the loopback interface, with its files in a temporary folder. It is safe for
// concurrent use.
type RedisServer struct {
	t       testing.TB
	program string
	args    []string
	port    int

	mu   sync.Mutex // guards what follows
	cmd  *exec.Cmd
	dead chan struct{} // closed when cmd has been waited for
}

// startTimeout bounds how long a server may take until it answers.
const startTimeout = 10 * time.Second

// Redis starts a redis-server that persists nothing, and stops it when the test
// ends. Args are further arguments of redis-server ("--appendonly", "yes"). When
// the program is not installed the test is skipped, or failed if the environment
// variable CI is set.
func Redis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	return serve(t, append([]string{"--save", "", "--dir", t.TempDir(), "--bind", "127.0.0.1"}, args...))
}

// RedisSentinel starts a Redis Sentinel with a configuration file, which it
// rewrites, in the same way. Its URL is of no use: Sentinels keep no keys.
func RedisSentinel(t testing.TB, conf string) *RedisServer {
	t.Helper()
	return serve(t, []string{conf, "--sentinel", "--bind", "127.0.0.1"})
}

func serve(t testing.TB, args []string) *RedisServer {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed, and CI is set: install it (Debian: apt-get install redis-server)")
		}
		t.Skip("SKIPPED: needs redis-server (Debian: apt-get install redis-server)")
	}
	s := &RedisServer{t: t, program: program, args: args, port: FreePort(t)}
	if err := s.start(); err != nil {
		t.Fatalf("redis-server does not start: %v", err)
	}
	t.Cleanup(s.Kill)
	return s
}

// Addr is the server's "host:port". It stays the same over Restart.
func (s *RedisServer) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// URL is what storage.Open takes, for database 0.
func (s *RedisServer) URL() string { return "redis://" + s.Addr() + "/0" }

// Kill ends the server at once, as a crash does (SIGKILL), and waits for its end.
// It does nothing when the server is not running.
func (s *RedisServer) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.dead
		s.cmd = nil
	}
}

// Pause stops the server where it is (SIGSTOP): connections stay, nothing is answered.
func (s *RedisServer) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on. What it was sent meanwhile it now does.
func (s *RedisServer) Resume() { s.signal(syscall.SIGCONT) }

func (s *RedisServer) signal(sig os.Signal) {
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

// Restart starts the server again on the same port, after a Kill or not, and
// returns when it answers. What it still knows depends on its arguments.
func (s *RedisServer) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.start(); err != nil {
		s.t.Errorf("redis-server does not start again: %v", err)
	}
}

func (s *RedisServer) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cmd := exec.Command(s.program, append(slices.Clone(s.args), "--port", strconv.Itoa(s.port))...)
	dead, out := make(chan struct{}), &bytes.Buffer{} // out is read after dead only
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { // Kill waits for dead
		_ = cmd.Wait()
		close(dead)
	}()
	if err := answers(s.Addr(), dead); err != nil {
		_ = cmd.Process.Kill()
		<-dead
		return fmt.Errorf("%w\n%s", err, out)
	}
	s.cmd, s.dead = cmd, dead
	return nil
}

// answers waits until a Redis server at addr says PONG.
func answers(addr string, dead <-chan struct{}) error {
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
		case <-dead:
			return fmt.Errorf("it ended: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func ping(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	if err != nil {
		return err
	}
	// A server with a password says NOAUTH: it is up as well. LOADING is not.
	if got := string(answer[:n]); !strings.HasPrefix(got, "+PONG") && !strings.HasPrefix(got, "-NOAUTH") {
		return fmt.Errorf("it answers %q", got)
	}
	return nil
}
