package inspector_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/inspector"
)

// TestN8_Cost measures the CPU that a server needs for the same events without an inspector,
// with one, and while a page of a user is open: it gets the summaries, and asks every 3 s what
// inspector.mjs asks. The server is a process of its own. There is no browser, because that
// would need the server's cores.
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
	least := map[string]float64{} // other programs of the machine only add to it
	const rounds = 5
	for round := range rounds {
		for _, mode := range []string{"none", "mounted", "watched"} {
			cpu := cost(t, mode, events)
			if old, ok := least[mode]; !ok || cpu < old {
				least[mode] = cpu
			}
			t.Logf("round %d, %s: %.1f s of CPU, %.1f µs an event", round, mode, cpu, cpu/float64(events)*1e6)
		}
	}
	for _, mode := range []string{"mounted", "watched"} {
		t.Logf("%s: %+.1f %% of CPU", mode, (least[mode]/least["none"]-1)*100)
	}
}

// cost returns the CPU seconds that a server needs for a number of events.
func cost(t *testing.T, mode string, events int) float64 {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	server := exec.Command(os.Args[0], "-test.run", "^TestN8_Cost$")
	server.Env = append(os.Environ(), "INSPECTOR_COST_SERVER="+mode, "ADDR="+addr)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = server.Process.Kill(), server.Wait() }()
	jar, _ := cookiejar.New(nil)
	client := http.Client{Jar: jar}
	await(t, func() bool {
		res, err := client.Post("http://"+addr+"/login", "", nil)
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	}, func() string { return "no server" })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if mode == "watched" {
		defer openUser(ctx, t, addr)()
	}
	const sockets = 20
	var all sync.WaitGroup
	req, _ := http.NewRequest("GET", "http://"+addr, nil)
	for _, c := range jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	before := cpuOf(t, server.Process.Pid)
	for range sockets {
		all.Go(func() {
			c, _, err := websocket.Dial(ctx, "ws://"+addr+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: req.Header})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.CloseNow()
			write := func(text string) { _ = c.Write(ctx, websocket.MessageText, []byte(text)) }
			write("40")
			for sent, got := 0, 0; got < events/sockets; {
				_, text, err := c.Read(ctx)
				switch {
				case err != nil:
					t.Error(err)
					return
				case string(text) == "2":
					write("3")
				case strings.HasPrefix(string(text), "40"), strings.HasPrefix(string(text), "43"):
					if string(text[:2]) == "43" {
						got++
					}
					if sent < events/sockets {
						write(fmt.Sprintf(`42%d["e","some text"]`, sent))
						sent++
					}
				}
			}
		})
	}
	all.Wait()
	return cpuOf(t, server.Process.Pid) - before
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

// cpuOf returns the seconds of CPU that a process has used.
func cpuOf(t *testing.T, pid int) float64 {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return float64(user+system) / 100 // ticks of 10 ms
}

// serveCost is the server of TestN8_Cost, until it is killed.
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
	t.Error(app.Listen(os.Getenv("ADDR")))
}
