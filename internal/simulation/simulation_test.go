package simulation

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofiber/fiber/v2"
)

// startBackground starts goroutines that the process starts on first use and never ends, so
// that they do not belong to a bubble.
var startBackground = sync.OnceFunc(func() {
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) error { return nil })
	if _, err := app.Test(httptest.NewRequest("GET", "/", nil)); err != nil {
		panic(err)
	}
})

// hangsAfter is how long a run may take. Most take a tenth of a second.
const hangsAfter = time.Minute

// run executes one run in a bubble. A run that hangs ends the process, with its seed.
func run(t *testing.T, cfg Config) (r Result) {
	t.Helper()
	startBackground()
	watchdog := time.AfterFunc(hangsAfter, func() { // outside of the bubble, whose time does not go on
		fmt.Fprintf(os.Stderr, "seed %d, operation %d: the run hangs\n", cfg.Seed, len(cfg.Ops))
		panic("the run hangs")
	})
	defer watchdog.Stop()
	synctest.Test(t, func(*testing.T) { r = Run(cfg) })
	return r
}

// setting returns the number in an environment variable.
func setting(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// opsPerSeed is the length of a run. Long runs find more in the second half, where sessions have a
// history; many seeds find more than one long run.
const opsPerSeed = 1000

// TestM3_Simulation runs SIM_OPS operations, from the seed SIM_SEED on, and stops at the first
// violation. SIM_SEED with SIM_OPS=1000 replays one run; SIM_MINIMISE then shortens it.
func TestM3_Simulation(t *testing.T) {
	total, seed := setting("SIM_OPS", 4000), uint64(setting("SIM_SEED", 1))
	begin, ops, seen := time.Now(), 0, 0
	var virtual time.Duration
	var done [kinds]int
	for ; ops < total && !t.Failed(); seed++ {
		cfg := Config{Seed: seed, Ops: Generate(seed, opsPerSeed)}
		r := run(t, cfg)
		ops, seen, virtual = ops+r.Ops, seen+r.Seen, virtual+r.Virtual
		for k, n := range r.Kinds {
			done[k] += n
		}
		if r.Failure != "" {
			t.Errorf("seed %d, operation %d: %s\nreplay: SIM_SEED=%d SIM_OPS=%d go test ./internal/simulation -run TestM3_Simulation$",
				seed, r.Step, r.Failure, seed, opsPerSeed)
			explain(t, cfg, r)
		}
	}
	took := time.Since(begin)
	t.Logf("%d operations in %v (%.0f a second), %v of virtual time, %d observations checked; acknowledged:\n%s",
		ops, took.Round(time.Millisecond), float64(ops)/took.Seconds(), virtual.Round(time.Second), seen, table(done))
	for k, n := range done {
		if n == 0 && kind(k) < wsLeave && ops >= 4000 && !t.Failed() {
			t.Errorf("no %v was acknowledged: the simulation does not test it", kind(k))
		}
	}
}

func table(done [kinds]int) string {
	var b strings.Builder
	for k, n := range done {
		if n > 0 {
			fmt.Fprintf(&b, "\t%6d %v\n", n, kind(k))
		}
	}
	return b.String()
}

// explain says how often a failure repeats and, with SIM_MINIMISE, lists fewer operations that
// have it.
func explain(t *testing.T, cfg Config, r Result) {
	t.Helper()
	again := 0
	const replays = 5
	for range replays {
		if run(t, cfg).Failure != "" {
			again++
		}
	}
	t.Logf("%d of %d replays failed", again, replays)
	if setting("SIM_MINIMISE", 0) == 0 || again == 0 {
		return
	}
	shorter := Minimise(cfg.Ops[:r.Step+1], 200, func(ops []op) bool {
		for range 2 {
			if run(t, Config{Seed: cfg.Seed, Ops: ops}).Failure != "" {
				return true
			}
		}
		return false
	})
	for i, o := range shorter {
		t.Logf("%4d: +%-14v %v, browser %d, node %d, arg %#x", i+1, o.Gap, o.Kind, o.Browser, o.Node, o.Arg)
	}
	t.Log(run(t, Config{Seed: cfg.Seed, Ops: shorter}).Failure)
}
