package costs_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestCosts is not parallel, because it counts the allocations of the whole process. The
// clients, which are in this process too, allocate nothing while it counts.
func TestCosts(t *testing.T) {
	if race {
		t.Skip("the race detector adds allocations: make costs")
	}
	const members = 1000
	for _, tt := range []struct {
		name string
		// prepare returns the operation, and by how much its allocations are divided.
		prepare func(t *testing.T) (op func(), per float64)
		most    float64 // allocations; a hundredth more is allowed, for what runs in the background
		bytes   float64 // a tenth more is allowed
	}{
		{"an event without a session, and its answer", func(t *testing.T) (func(), float64) {
			c := newApp(t, socketbridge.Config{Mode: socketbridge.SessionManual}).connect(t, "")
			return func() { c.ask(`4270["echo",1]`, `4370[1]`) }, 1
		}, 6, 540},
		{"an event that reads the session", func(t *testing.T) (func(), float64) {
			a := newApp(t, socketbridge.Config{})
			c := a.connect(t, a.login(t))
			return func() { c.ask(`4270["read",1]`, `4370[0]`) }, 1
		}, 6, 680},
		{"an event that changes the session", func(t *testing.T) (func(), float64) {
			a := newApp(t, socketbridge.Config{})
			c := a.connect(t, a.login(t))
			n := 0
			return func() { n++; c.ask(`4270["incr",1]`, fmt.Sprintf(`4370[%d]`, n)) }, 1
		}, 29, 3000},
		{"Socket.Emit", func(t *testing.T) (func(), float64) {
			a := newApp(t, socketbridge.Config{})
			c := a.connect(t, "")
			return func() { must(t, a.last().Emit("news", "text", 42)); c.want(`42["news","text",42]`) }, 1
		}, 5, 190},
		{"a broadcast to 1,000 sockets, for each", func(t *testing.T) (func(), float64) {
			a := newApp(t, socketbridge.Config{})
			clients := make([]*client, members)
			for i := range clients {
				clients[i] = a.connect(t, "")
			}
			to := a.io.To("room")
			return func() {
				must(t, to.Emit("news", "text", 42))
				for _, c := range clients {
					c.want(`42["news","text",42]`)
				}
			}, members
		}, 0.02, 5},
		{"a request that changes the session", func(t *testing.T) (func(), float64) {
			a := newApp(t, socketbridge.Config{})
			return a.request(t, a.login(t)), 1
		}, 43, 4470},
	} {
		t.Run(tt.name, func(t *testing.T) {
			op, per := tt.prepare(t)
			each := 100
			if per > 1 {
				each = 20
			}
			allocs, bytes := cost(op, each)
			allocs, bytes = allocs/per, bytes/per
			t.Logf("%.2f allocations, %.0f bytes", allocs, bytes)
			if allocs > 1.01*tt.most || bytes > 1.1*tt.bytes {
				t.Errorf("%.2f allocations and %.0f bytes, want at most %v and %.0f: see go test -bench -memprofile beside the code", allocs, bytes, tt.most, 1.1*tt.bytes)
			}
		})
	}
}

// cost returns the allocations and the bytes of one operation: the least of several rounds,
// because a runtime goroutine can allocate during one.
func cost(op func(), each int) (allocs, bytes float64) {
	const rounds = 5
	for range each { // fills pools, and grows maps and stacks
		op()
	}
	for round := range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range each {
			op()
		}
		runtime.ReadMemStats(&after)
		a, b := float64(after.Mallocs-before.Mallocs)/float64(each), float64(after.TotalAlloc-before.TotalAlloc)/float64(each)
		if round == 0 || a < allocs {
			allocs = a
		}
		if round == 0 || b < bytes {
			bytes = b
		}
	}
	return allocs, bytes
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
