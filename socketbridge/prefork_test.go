package socketbridge_test

import (
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gofiber/fiber/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/internal/testlog"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
	"github.com/fiberbridge/fiberbridge/storage"
)

// The environment of TestPreforkApp: where it listens, and the address of its Redis, if it has
// one.
const preforkAddr, preforkRedis = "FIBERBRIDGE_TEST_PREFORK", "FIBERBRIDGE_TEST_PREFORK_REDIS"

// TestPreforkApp is the app of TestS5_Prefork. It runs in a process of its own, which Fiber
// starts again for each worker.
func TestPreforkApp(t *testing.T) {
	addr, redis := os.Getenv(preforkAddr), os.Getenv(preforkRedis)
	if addr == "" {
		t.Skip("it is the app of TestS5_Prefork")
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, nil))
	sessions := fibersession.Config{Logger: logger}
	bridge := socketbridge.Config{Logger: logger}
	if redis != "" {
		store, err := storage.Open("redis://" + redis + "/0")
		if err != nil {
			t.Fatal(err)
		}
		sessions.Storage = store
		bridge.Adapter = redisadapter.New(goredis.NewClient(&goredis.Options{Addr: redis, MaxRetries: -1}), redisadapter.Config{Logger: logger})
		bridge.Engine = engineio.Config{Transports: []string{engineio.WebSocket}}
	}
	bridge.Sessions = fibersession.New(sessions)
	io := socketbridge.New(bridge)
	io.On("incr", func(p *socketbridge.Packet) error {
		n, err := p.Session().Incr(p.Context(), "count", 1)
		if err != nil {
			return err
		}
		return p.Ack([]int{os.Getpid(), n})
	})
	io.On("all", func(p *socketbridge.Packet) error {
		if err := io.Emit("seen", os.Getpid()); err != nil {
			return err
		}
		return p.Ack(true)
	})
	app := fiber.New(fiber.Config{Prefork: true, DisableStartupMessage: true})
	app.Use(bridge.Sessions.Handler(), io.Handler())
	app.Get("/begin", func(c *fiber.Ctx) error {
		fibersession.FromContext(c).Set("begun", true)
		return c.SendString(strconv.Itoa(os.Getpid()))
	})
	t.Fatal(app.Listen(addr)) // its process group is killed
}

// preforked starts TestPreforkApp and returns its URL and what its workers log.
func preforked(t *testing.T, redis string) (url string, log *testlog.Log) {
	t.Helper()
	ln := listen(t)
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	log = &testlog.Log{}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPreforkApp$", "-test.v")
	cmd.Env = append(os.Environ(), preforkAddr+"="+addr, preforkRedis+"="+redis, "GOMAXPROCS=2")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return "http://" + addr, log
}

// TestS5_Prefork: in each worker of a preforked app, the log says at start what does not work
// and which lines to change. With these lines, nothing is logged, and sessions and broadcasts
// reach all workers.
func TestS5_Prefork(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	t.Run("with the defaults", func(t *testing.T) {
		t.Parallel()
		_, log := preforked(t, "")
		for _, want := range []string{"set Adapter to one", "set Engine.Transports to", "Set Storage to one"} {
			waitFor(t, "both workers to log "+want, func() bool { return strings.Count(log.String(), want) == 2 })
		}
		equal(t, "warnings of both workers", strconv.Itoa(strings.Count(log.String(), "level=WARN")), "4")
	})
	t.Run("with the lines changed", func(t *testing.T) {
		t.Parallel()
		url, log := preforked(t, redistest.Start(t).Addr())
		a := &agent{t: t, site: &site{t: t, url: url}, http: (&site{t: t}).agent().http}
		workers := map[string]bool{}
		waitFor(t, "both workers to answer", func() bool {
			a.http.CloseIdleConnections() // a new connection may go to the other worker
			if pid, status, _ := a.try("GET", "/begin"); status == 200 {
				workers[pid] = true
			}
			return len(workers) == 2
		})
		websocket := nodetest.Options{Transports: []string{"websocket"}}
		clients := map[int][]*nodetest.Client{} // by worker
		last := 0
		for len(clients) < 2 {
			c := a.connect(n, "/", websocket)
			var got []int
			c.MustCall("incr").Bind(t, &got)
			if got[1] != last+1 {
				t.Fatalf("the count is %d after %d: the workers do not share the session", got[1], last)
			}
			last = got[1]
			clients[got[0]] = append(clients[got[0]], c)
		}
		for _, of := range clients {
			call(t, of[0], "all")
		}
		for worker, of := range clients {
			for _, c := range of {
				seen := map[int]bool{}
				for range clients {
					var pid int
					c.MustNext("seen").Bind(t, &pid)
					seen[pid] = true
				}
				if len(seen) != 2 {
					t.Errorf("a client of worker %d got the broadcasts of %v, want both workers'", worker, seen)
				}
			}
		}
		for _, word := range []string{"Prefork runs", "level=ERROR"} {
			if strings.Contains(log.String(), word) {
				t.Errorf("the log has %s:\n%s", word, log.String())
			}
		}
		for _, of := range clients {
			for _, c := range of {
				c.Close()
			}
		}
	})
}
