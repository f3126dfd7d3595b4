package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is a process under test, or Redis.
type server struct {
	addr string
	cmd  *exec.Cmd
}

// buildServer builds examples/benchserver.
func buildServer(root, dir string) (string, error) {
	binary, err := filepath.Abs(filepath.Join(dir, "benchserver"))
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", binary, "./examples/benchserver")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
}

// startServer starts a server on the given cores and waits until it listens.
func startServer(binary, cores string, env ...string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return start(port, "taskset", []string{"-c", cores, binary}, append(env, fmt.Sprint("PORT=", port)))
}

func startRedis() (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return start(port, "taskset", []string{"-c", "1", "redis-server", "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"}, nil)
}

func start(port int, name string, args, env []string) (*server, error) {
	s := &server{addr: fmt.Sprint("127.0.0.1:", port), cmd: exec.Command(name, args...)}
	s.cmd.Env = append(os.Environ(), env...)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for range 200 {
		if nc, err := net.Dial("tcp", s.addr); err == nil {
			return s, nc.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("%s does not listen at %s", args, s.addr)
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return ln.Addr().(*net.TCPAddr).Port, ln.Close()
}

// cpu returns the CPU time that the process has used.
func (s *server) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}

// memory returns the resident memory in bytes.
func (s *server) memory() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), "VmRSS:")
	if !ok {
		return 0, errors.New("no VmRSS in /proc")
	}
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	return kb << 10, err
}
