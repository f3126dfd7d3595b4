package inspector_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/inspector"
)

// TestN8_Cost measures the CPU (user and system) that a server needs for the same events over
// WebSockets without an inspector, with one, and while a page of a user is open: it gets the
// summaries, and asks every 3 s what inspector.mjs asks. The servers are processes of their own,
// which get a slice of the events in turns, so that other programs of the machine disturb all
// alike; the result is the median of the slices. There is no browser, because that would need the
// servers' cores. INSPECTOR_COST is the number of events for each server, and
// INSPECTOR_COST_PROFILES, if it is set, a folder for their CPU profiles.
//
//	INSPECTOR_COST=200000 go test ./socketbridge/inspector -run TestN8_Cost -v
func TestN8_Cost(t *testing.T) {
	if mode := os.Getenv("INSPECTOR_COST_SERVER"); mode != "" {
		serveCost(t, mode)
		return
	}
	events, err := strconv.Atoi(os.Getenv("INSPECTOR_COST"))
	if err != nil {
		t.Skip("INSPECTOR_COST is not set to a number of events")
	}
	modes := []string{"none", "mounted", "watched"}
	servers := map[string]*costServer{}
	for _, mode := range modes {
		servers[mode] = startCost(t, mode)
	}
	const rounds = 100
	each := map[string][]float64{} // microseconds of an event, by slice
	for range rounds + 1 {
		for _, mode := range modes {
			each[mode] = append(each[mode], servers[mode].run(events/rounds))
		}
	}
	added := func(mode string) (all []float64) {
		for k := range rounds {
			all = append(all, (each[mode][k+1]/each["none"][k+1]-1)*100) // without the first, which warms up
		}
		return all
	}
	for _, mode := range modes {
		t.Logf("%s: %.1f µs of CPU an event (median of %d slices), %+.1f %% (median of the slices' differences; quartiles %+.1f and %+.1f)",
			mode, quartile(each[mode][1:], 2), rounds, quartile(added(mode), 2), quartile(added(mode), 1), quartile(added(mode), 3))
	}
}

func quartile(all []float64, n int) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)-1)*n/4]
}

// costServer is a server in a process of its own, with clients.
type costServer struct {
	t     *testing.T
	ask   io.Writer     // a line asks for its CPU time
	told  *bufio.Reader // in nanoseconds, a line each
	conns []*websocket.Conn
}

// cpu returns the CPU time that the server has used.
func (s *costServer) cpu() time.Duration {
	_, err := io.WriteString(s.ask, "\n")
	line, errRead := s.told.ReadString('\n')
	n, errNumber := strconv.Atoi(strings.TrimSpace(line))
	if err := errors.Join(err, errRead, errNumber); err != nil {
		s.t.Fatal(err)
	}
	return time.Duration(n)
}

func startCost(t *testing.T, mode string) *costServer {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	server := exec.Command(os.Args[0], "-test.run", "^TestN8_Cost$")
	server.Env = append(os.Environ(), "INSPECTOR_COST_SERVER="+mode, "ADDR="+addr)
	stdin, err := server.StdinPipe()
	stdout, errOut := server.StdoutPipe()
	if err := errors.Join(err, errOut, server.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the server ends when its standard input does
		_ = stdin.Close()
		_ = server.Wait()
	})
	jar, _ := cookiejar.New(nil)
	client := http.Client{Jar: jar}
	await(t, func() bool {
		res, err := client.Post("http://"+addr+"/login", "", nil)
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	}, func() string { return "no server" })
	if mode == "watched" {
		t.Cleanup(openUser(t.Context(), t, addr))
	}
	req, _ := http.NewRequest("GET", "http://"+addr, nil)
	for _, c := range jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	s := &costServer{t: t, ask: stdin, told: bufio.NewReader(stdout)}
	for range 20 {
		c, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: req.Header})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		if err := c.Write(t.Context(), websocket.MessageText, []byte("40")); err != nil {
			t.Fatal(err)
		}
		s.conns = append(s.conns, c)
		s.until(c, "40")
	}
	return s
}

// until reads messages until one begins with prefix.
func (s *costServer) until(c *websocket.Conn, prefix string) {
	for {
		_, text, err := c.Read(s.t.Context())
		switch {
		case err != nil:
			s.t.Error(err)
			return
		case string(text) == "2":
			_ = c.Write(s.t.Context(), websocket.MessageText, []byte("3"))
		case strings.HasPrefix(string(text), prefix):
			return
		}
	}
}

// run sends events, one at a time on each connection, and returns the microseconds of CPU that the
// server needed for each.
func (s *costServer) run(events int) float64 {
	before := s.cpu()
	var all sync.WaitGroup
	for _, c := range s.conns {
		all.Go(func() {
			for range events / len(s.conns) {
				if err := c.Write(s.t.Context(), websocket.MessageText, []byte(`421["e","some text"]`)); err != nil {
					s.t.Error(err)
					return
				}
				s.until(c, "43")
			}
		})
	}
	all.Wait()
	return float64((s.cpu() - before).Nanoseconds()) / float64(events) / 1000
}

// openUser does what a page of a user does, until it is closed.
func openUser(ctx context.Context, t *testing.T, addr string) (done func()) {
	t.Helper()
	req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/inspector/pass", nil)
	req.Header.Set("X-Inspector", "1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	pass, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res.Status, err)
	}
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	write := func(text string) { _ = c.Write(ctx, websocket.MessageText, []byte(text)) }
	write("40" + inspector.Namespace + "," + string(pass))
	summaries := 0
	first := make(chan struct{})
	running.Go(func() {
		for {
			_, text, err := c.Read(ctx)
			switch {
			case err != nil:
				return
			case string(text) == "2":
				write("3")
			case strings.HasPrefix(string(text), "40"):
				write("42" + inspector.Namespace + `,["visible",true]`)
			case strings.Contains(string(text), `["summary"`):
				if summaries++; summaries == 1 {
					close(first)
				}
			}
		}
	})
	<-first
	running.Go(func() {
		for every := time.NewTicker(3 * time.Second); ; {
			for k, q := range []string{`{"op":"users"}`, `{"op":"user","user":"eve"}`, `{"op":"timeline","filter":{"user":"eve"}}`, `{"op":"sent"}`} {
				write(fmt.Sprintf("42%s,%d[\"ask\",%s]", inspector.Namespace, k, q))
			}
			select {
			case <-every.C:
			case <-ctx.Done():
				every.Stop()
				return
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
		_ = c.CloseNow()
	}
}

// serveCost is the server of TestN8_Cost, until its standard input ends.
func serveCost(t *testing.T, mode string) {
	engine := engineio.ConfigDefault
	engine.Limits.MaxConnsPerIP, engine.Limits.ConnRatePerIP = -1, -1
	silent := slog.New(slog.DiscardHandler)
	sessions := fibersession.New(fibersession.Config{UserKey: "user", Logger: silent})
	bridge := socketbridge.New(socketbridge.Config{Sessions: sessions, Engine: engine, Logger: silent, Limits: socketbridge.Limits{EventsPerSecond: -1, BytesPerSecond: -1}})
	bridge.On("e", func(p *socketbridge.Packet) error { return p.Ack(p.Args()[0]) })
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	bridge.LimitBodies(app)
	app.Use(sessions.Handler())
	app.Use(bridge.Handler())
	if mode != "none" {
		app.Use("/inspector", inspector.New(inspector.Config{Bridge: bridge, Authorize: func(*fiber.Ctx) (string, error) { return "root", nil }}))
	}
	app.Post("/login", func(c *fiber.Ctx) error { return fibersession.FromContext(c).Login("eve") })
	if dir := os.Getenv("INSPECTOR_COST_PROFILES"); dir != "" {
		out, err := os.Create(filepath.Join(dir, mode+".cpu"))
		if err == nil {
			err = pprof.StartCPUProfile(out)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer pprof.StopCPUProfile()
	}
	go func() { // ends with the process
		if err := app.Listen(os.Getenv("ADDR")); err != nil {
			panic(err)
		}
	}()
	for asked := bufio.NewScanner(os.Stdin); asked.Scan(); {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			t.Fatal(err)
		}
		fmt.Println(used.Utime.Nano() + used.Stime.Nano())
	}
}
