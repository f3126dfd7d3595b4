package reliability_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// programEnv is the environment variable that makes the test binary run a program.
const programEnv = "RELIABILITY_PROGRAM"

// programs are what this test binary runs in processes of their own: what needs its own limit
// of descriptors, or whose memory is measured.
var programs = map[string]func() commands{
	"ticker":  tickerProgram,
	"stalled": stalledProgram,
	"hostile": hostileProgram,
}

// commands are what a program does on request, by name.
type commands map[string]func(args json.RawMessage) (any, error)

// init runs a program instead of the tests. It is not in TestMain, which is the package's.
func init() {
	if name := os.Getenv(programEnv); name != "" {
		programs[name]().serve(os.Stdin, os.Stdout)
		os.Exit(0)
	}
}

// ownSession gives a process a session of its own. Linux divides CPU time between sessions
// first, so attackers cannot take that of the server.
var ownSession = &syscall.SysProcAttr{Setsid: true}

type command struct {
	Name string
	Args json.RawMessage
}

type outcome struct {
	Value any
	Error string
}

// serve runs one command after the other until the input ends, which it does with the test.
func (cs commands) serve(in io.Reader, out io.Writer) {
	requests, answers := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	for {
		var c command
		if requests.Decode(&c) != nil {
			return
		}
		var o outcome
		value, err := cs[c.Name](c.Args)
		if o.Value = value; err != nil {
			o.Error = err.Error()
		}
		if answers.Encode(o) != nil {
			return
		}
	}
}

// program is a running program.
type program struct {
	t       *testing.T
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
}

// startProgram starts a program that ends with the test.
func startProgram(t *testing.T, name string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), programEnv+"="+name)
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = ownSession
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.answers = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("program %s: %v", name, err)
		}
	})
	return p
}

// do runs a command and stores its result in value unless that is nil.
func (p *program) do(name string, args, value any) {
	p.t.Helper()
	raw, err := json.Marshal(args)
	if err == nil {
		err = json.NewEncoder(p.in).Encode(command{name, raw})
	}
	o := outcome{Value: value}
	if err == nil {
		err = p.answers.Decode(&o)
	}
	if err == nil && o.Error != "" {
		err = fmt.Errorf("%s", o.Error)
	}
	if err != nil {
		p.t.Fatalf("command %s: %v", name, err)
	}
}

// residentMiB returns the memory of a process in RAM, now (VmRSS) or at its highest (VmHWM).
func residentMiB(t *testing.T, pid int, field string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("the memory of a process is read from /proc: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib >> 10
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, pid)
	return 0
}

// load returns the load averages of the machine, which figures of time depend on.
func load(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// threadCPU returns the CPU time of the calling thread.
func threadCPU() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
