package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/clustertest"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// binary builds the command once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fiberbridge-cmd-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "fiberbridge")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// shell runs the built command as an administrator does.
type shell struct {
	t    *testing.T
	env  []string
	said *bytes.Buffer // all that it printed
}

func newShell(t *testing.T, env ...string) *shell {
	return &shell{t: t, env: env, said: new(bytes.Buffer)}
}

func (s *shell) command(ctx context.Context, args ...string) *exec.Cmd {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, s.env...)
	return cmd
}

// run runs a command to its end.
func (s *shell) run(stdin string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	if _, err := binary(); err != nil { // before the time runs
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), clustertest.Timeout)
	defer cancel()
	cmd := s.command(ctx, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	s.said.Write(out.Bytes())
	s.said.Write(errOut.Bytes())
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// want runs a command that succeeds, and returns what it printed.
func (s *shell) want(args ...string) string {
	s.t.Helper()
	stdout, stderr, code := s.run("", args...)
	if code != 0 {
		s.t.Fatalf("fiberbridge %s: exit code %d, %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// who returns the lines of who --json.
func (s *shell) who(args ...string) (all []listedSocket) {
	s.t.Helper()
	for line := range strings.Lines(s.want(append([]string{"who", "--json", "--timeout", "50s"}, args...)...)) {
		var l listedSocket
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			s.t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, l)
	}
	return all
}

// follow starts tail, and returns a function that waits for a line while it calls do.
func (s *shell) follow(c *clustertest.Cluster, args ...string) (until func(what string, do func(), match func(happening) bool)) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := s.command(ctx, append([]string{"tail", "--json", "--every", "50ms"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = clustertest.Timeout
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := make(chan string, 10_000)
	go func() { // ends with the command; waited for below
		defer close(lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			lines <- in.Text()
		}
	}()
	s.t.Cleanup(func() {
		cancel()
		for line := range lines {
			s.said.WriteString(line)
		}
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) { // which it returns after exit code 0
			s.t.Errorf("tail did not end in peace after an interrupt: %v, %s", err, errOut.String())
		}
	})
	return func(what string, do func(), match func(happening) bool) {
		s.t.Helper()
		c.WaitFor(s.t, what, func() string {
			do()
			for {
				select {
				case line := <-lines:
					s.said.WriteString(line)
					var h happening
					if err := json.Unmarshal([]byte(line), &h); err != nil {
						s.t.Fatalf("line %q: %v", line, err)
					}
					if match(h) {
						return ""
					}
				default:
					return "no such line"
				}
			}
		})
	}
}

// S7: an administrator looks into a cluster of Go's and Node's servers and acts on it from the
// command line. No server counts the command, and it prints no session ID.
func TestS7_CommandLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		env     []string
		adapter redisadapter.Config
		node    *nodetest.ClusterOptions
	}{
		{"classic", nil, redisadapter.Config{}, &nodetest.ClusterOptions{}},
		{"streams, signed", []string{"FIBERBRIDGE_ADAPTER=streams", "FIBERBRIDGE_SECRETS=hex:" + strings.Repeat("73", 32)},
			redisadapter.Config{Mode: redisadapter.Streams, Secrets: [][]byte{[]byte(strings.Repeat("s", 32))}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := clustertest.Start(t, clustertest.Options{Adapter: tt.adapter, Node: tt.node})
			s := newShell(t, append(tt.env, "FIBERBRIDGE_STORAGE="+c.URL)...)
			testCommandLine(t, c, s)
		})
	}
}

func testCommandLine(t *testing.T, c *clustertest.Cluster, s *shell) {
	cookie := c.Login(t, 0, "ann")
	ann, tab := c.Connect(t, 0, "", cookie, "all"), c.Connect(t, 1, "", cookie, "all")
	bobs := c.Login(t, 1, "bob")
	bob := c.Connect(t, 1, "", bobs, "all", "b")
	all := []*nodetest.Client{ann, tab, bob}
	if c.Node != nil {
		all = append(all, c.Connect(t, 2, "", "", "all", "b"))
	}
	t.Cleanup(func() {
		for _, cookie := range []string{cookie, bobs} {
			if _, id, _ := strings.Cut(cookie, "="); strings.Contains(s.said.String(), id) {
				t.Error("the command printed a session ID")
			}
		}
	})

	// who
	list := s.who()
	if len(list) != len(all) {
		t.Fatalf("who lists %d sockets, want %d: %+v", len(list), len(all), list)
	}
	annsSession := ""
	for _, l := range list {
		if l.User == "ann" {
			annsSession = l.Session
		}
		if l.Address == "" || l.Since.IsZero() || !slices.Contains(l.Rooms, "all") || l.Namespace != "/" {
			t.Errorf("who lists %+v, which lacks something", l)
		}
	}
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"--user", "ann"}, 2},
		{[]string{"--session", annsSession}, 2},
		{[]string{"--room", "b"}, len(all) - 2},
		{[]string{"--user", "ann", "--room", "b"}, len(all)},
		{[]string{"--socket", bob.State().ID}, 1},
		{[]string{"--namespace", "/chat"}, 0},
		{[]string{"--limit", "1"}, 1},
		{[]string{"--room", "elsewhere"}, 0},
	} {
		if got := s.who(tt.args...); len(got) != tt.want {
			t.Errorf("who %q lists %d sockets, want %d", tt.args, len(got), tt.want)
		}
	}
	if text := s.want("who"); !strings.Contains(text, "ann") || !strings.Contains(text, annsSession) || strings.Count(text, "\n") != len(all)+1 {
		t.Errorf("who prints\n%s", text)
	}
	c.WaitFor(t, "both users to be online", func() string {
		users := strings.Fields(s.want("who", "--users"))
		if slices.Sort(users); !slices.Equal(users, []string{"ann", "bob"}) {
			return fmt.Sprint(users)
		}
		return ""
	})

	// emit
	s.want("emit", "--room", "b", "note", `{"a":1}`, `"x"`)
	for _, k := range all[2:] {
		if got := clustertest.Next(t, k, "note"); got != `[{"a":1},"x"]` {
			t.Errorf("a client got %s", got)
		}
	}
	s.want("emit", "--session", annsSession, "--user", "eve", "--except", "nowhere", "hello")
	clustertest.Next(t, ann, "hello")
	clustertest.Next(t, tab, "hello")
	for _, k := range all {
		k.Answer("ask", "yes", 2)
	}
	if got := s.want("emit", "--all", "--ack", "--timeout", "50s", "ask"); strings.Count(got, `["yes"`) != len(all) || strings.Count(got, "\n") != len(all) {
		t.Errorf("emit --ack printed\n%s", got)
	}
	if _, stderr, code := s.run("[1]\n\n[2,{}]\n", "emit", "--socket", bob.State().ID, "--stdin", "line"); code != 0 {
		t.Errorf("emit --stdin: exit code %d, %s", code, stderr)
	}
	for _, want := range []string{`[1]`, `[2,{}]`} {
		if got := clustertest.Next(t, bob, "line"); got != want {
			t.Errorf("bob got %s, want %s", got, want)
		}
	}

	// tail
	until := s.follow(c, "--args")
	until("a broadcast of a Go server", func() { _ = c.Servers[0].IO.To("b").Emit("tick", 7) }, func(h happening) bool {
		return h.Kind == "broadcast" && h.Event == "tick" && slices.Equal(h.Rooms, []string{"b"}) && len(h.Args) == 1 && string(h.Args[0]) == "7"
	})
	until("a join", func() { _ = c.Servers[1].IO.To("b").Join("b") }, func(h happening) bool { return h.Kind == "join" && slices.Equal(h.Targets, []string{"b"}) })
	until("a request", func() { _, _ = c.Servers[0].IO.FetchSockets(t.Context()) }, func(h happening) bool { return h.Kind == "request" })
	if c.Node != nil {
		until("a broadcast of Node's server", func() { c.Node.Run(t, "/", `nsp.emit("tock")`, nil) }, func(h happening) bool { return h.Event == "tock" })
	}
	if got, want := c.Counts(t), c.AllCounts(); got != want {
		t.Errorf("while tail runs, the servers count %s, want %s", got, want)
	}

	// kick
	if text := s.want("kick", "--user", "bob", "--dry-run"); text != "would disconnect 1 socket\n" {
		t.Errorf("kick --dry-run printed %q", text)
	}
	s.want("kick", "--room", "b", "--timeout", "50s")
	for _, k := range all[2:] {
		if got := clustertest.Next(t, k, nodetest.Disconnected); got != `["io server disconnect"]` {
			t.Errorf("a client was disconnected with %s", got)
		}
	}
	until("bob to go offline", func() {}, func(h happening) bool { return h.Kind == "offline" && h.User == "bob" })
	if _, stderr, code := s.run("", "kick", "--room", "b", "--timeout", "50s"); code != exitNothing {
		t.Errorf("kick without a match: exit code %d, %s", code, stderr)
	}

	// end
	if got := s.want("end", "--user", "ann", "--json"); got != `{"sessions":1,"user":"ann"}`+"\n" {
		t.Errorf("end printed %s", got)
	}
	clustertest.Next(t, ann, nodetest.Disconnected)
	clustertest.Next(t, tab, nodetest.Disconnected)
	until("the end of ann's session", func() {}, func(h happening) bool { return h.Kind == "session-end" && h.Key != "" && h.Key != annsSession })
	if _, stderr, code := s.run("", "end", "--user", "ann"); code != exitNothing || !strings.Contains(stderr, "no session was ended") {
		t.Errorf("end without a session: exit code %d, %s", code, stderr)
	}
	if got := s.who(); len(got) != 0 {
		t.Errorf("who lists %d sockets at the end", len(got))
	}
	if got, want := c.Counts(t), c.AllCounts(); got != want {
		t.Errorf("the servers count %s, want %s", got, want)
	}
}

// A wrong command line or environment is refused before anything is done, with what to change.
func TestS7_CommandLineRefusals(t *testing.T) {
	t.Parallel()
	const good = "FIBERBRIDGE_STORAGE=redis://127.0.0.1:1/0"
	for _, tt := range []struct {
		args []string
		env  []string
		code int
		want string
	}{
		{nil, nil, exitUsage, "Usage: fiberbridge COMMAND"},
		{[]string{"help"}, nil, 0, "FIBERBRIDGE_SECRETS"},
		{[]string{"help", "tail"}, nil, 0, "--every DURATION"},
		{[]string{"help", "tail"}, nil, 0, "not the name that who shows"},
		{[]string{"kick", "--help"}, nil, 0, "--user ID"},
		{[]string{"dance"}, nil, exitUsage, "no command dance"},
		{[]string{"who"}, nil, exitUsage, "set FIBERBRIDGE_STORAGE"},
		{[]string{"who"}, []string{"STORAGE=memory://"}, exitUsage, "storage"},
		{[]string{"who", "--storage", "redis://u:hunter2@h/0"}, nil, exitUsage, "list of processes"},
		{[]string{"who", "--adapter", "carrier-pigeon"}, []string{good}, exitUsage, "it must be classic"},
		{[]string{"who", "--nonsense"}, []string{good}, exitUsage, "nonsense"},
		{[]string{"who", "--timeout", "0s"}, []string{good}, exitUsage, "--timeout"},
		{[]string{"who"}, []string{good, "FIBERBRIDGE_SECRETS=short"}, exitUsage, "32 or more"},
		{[]string{"who"}, []string{good, "FIBERBRIDGE_SECRETS=base64:?"}, exitUsage, "number 1"},
		{[]string{"who"}, []string{good}, exitFailed, "check that FIBERBRIDGE_STORAGE"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			stdout, stderr, code := newShell(t, tt.env...).run("", tt.args...)
			if code != tt.code || !strings.Contains(stdout+stderr, tt.want) {
				t.Errorf("exit code %d, want %d; printed %s%s, want %q in it", code, tt.code, stdout, stderr, tt.want)
			}
			if strings.Contains(stdout+stderr, "hunter2") {
				t.Error("a password was printed")
			}
			if code != 0 && stdout != "" {
				t.Errorf("an error is on the standard output: %s", stdout)
			}
		})
	}
}

// The arguments of the commands are checked before the servers are asked.
func TestS7_CommandLineArguments(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t, clustertest.Options{})
	s := newShell(t, "STORAGE="+c.URL)
	for _, tt := range []struct{ args, want string }{
		{"who x", "who takes no arguments"},
		{"who --users --user ann", "leave out the flags"},
		{"who --limit -1", "--limit"},
		{"who --namespace a,b", "--namespace"},
		{"kick", "which sockets"},
		{"kick ann", "--user ann"},
		{"kick --all --user ann", "leave out one"},
		{"end", "Give --user"},
		{"end ann", "--user ann"},
		{"emit", "which event"},
		{"emit note", "which sockets"},
		{"emit --all note text", "argument 1 is not JSON"},
		{"emit --all connect", "reserved"},
		{"emit --room fiberbridge:x note", "invalid room name"},
		{"emit --all --stdin note 1", "leave out 1"},
		{"tail x", "tail takes no arguments"},
		{"tail --count -1", "--count"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			s := newShell(t, s.env...)
			_, stderr, code := s.run("", strings.Fields(tt.args)...)
			if code != exitUsage || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, want %d; printed %s, want %q in it", code, exitUsage, stderr, tt.want)
			}
		})
	}
	if _, stderr, code := s.run("[1]\nx\n", "emit", "--all", "--stdin", "note"); code != exitFailed || !strings.Contains(stderr, "line 2 is not a JSON array") {
		t.Errorf("a bad line: exit code %d, %s", code, stderr)
	}
	if stdout, stderr, code := s.run("", "tail", "--for", "50ms"); code != 0 || stdout != "" {
		t.Errorf("tail --for: exit code %d, %s%s", code, stdout, stderr)
	}
}

// Text that clients chose cannot control the administrator's terminal.
func TestS7_CommandLineCleansText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Ünï 😀 room":     "Ünï 😀 room",
		"\x1b[2Jgone":    `\x1b[2Jgone`,
		"a\nb":           `a\nb`,
		"\u202eevil":     `\u202eevil`,
		"bad \xff bytes": `bad \xff bytes`,
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) is %q, want %q", in, got, want)
		}
	}
}
