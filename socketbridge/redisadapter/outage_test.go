package redisadapter_test

import (
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/redisadapter"
)

// kinds are the modes that differ in how they listen.
var kinds = map[string]redisadapter.Mode{
	"classic": redisadapter.Classic,
	"sharded": redisadapter.Sharded,
	"streams": redisadapter.Streams,
}

// Redis goes away and comes back while three nodes broadcast: all go on by themselves,
// nothing comes twice, and a stream brings to all, in one order, whatever Redis took.
func TestRedisComesBack(t *testing.T) {
	t.Parallel()
	for fault, test := range map[string]func(*traffic, *redistest.Server, *redistest.Proxy){
		"stands still": func(tr *traffic, server *redistest.Server, _ *redistest.Proxy) {
			server.Pause()
			tr.refused(tr.talkers[0])
			server.Resume()
		},
		"killed": func(tr *traffic, server *redistest.Server, _ *redistest.Proxy) {
			server.Kill()
			tr.refused(tr.talkers[0])
			server.Restart()
		},
		"cut": func(tr *traffic, _ *redistest.Server, network *redistest.Proxy) {
			for range 10 {
				network.Disconnect()
				tr.progress("while connections are cut")
			}
		},
		"one is cut off": func(tr *traffic, _ *redistest.Server, network *redistest.Proxy) {
			network.Refuse(true)
			tr.refused(tr.talkers[1])
			for range 3 {
				tr.progress("the others", tr.talkers[0], tr.talkers[2])
			}
			network.Refuse(false)
		},
		"one hears nothing": func(tr *traffic, _ *redistest.Server, network *redistest.Proxy) {
			network.Pause()
			tr.refused(tr.talkers[1])
			tr.progress("the others", tr.talkers[0], tr.talkers[2])
			network.Resume()
		},
	} {
		for name, mode := range kinds {
			t.Run(fault+"/"+name, func(t *testing.T) {
				t.Parallel()
				server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
				network := redistest.NewProxy(t, server.Addr())
				tr := newTraffic(t, redisadapter.Config{Mode: mode}, server.URL(), network.URL(), server.URL())
				tr.begin()
				tr.progress("before")
				test(tr, server, network)
				t.Logf("all heard each other %v after it", tr.progress("after"))
				tr.end()
				tr.check(make([]int, 3))
			})
		}
	}
}

// What a stream does not keep until a node is back is lost to it, and it says so; what
// comes after that is not.
func TestStreams_TrimmedWhileAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	network := redistest.NewProxy(t, server.Addr())
	tr := newTraffic(t, redisadapter.Config{Mode: redisadapter.Streams, MaxLen: 200}, server.URL(), network.URL())
	a, b := tr.talkers[0], tr.talkers[1]
	const lost = "messages are lost"
	for range 400 {
		a.talk(t)
	}
	if b.logged.Has(lost) {
		t.Error("a node that was there says that it lost something")
	}
	network.Refuse(true)
	wait(t, "the node notices", func() string {
		if b.logged.Has("cannot be read") {
			return ""
		}
		return "not yet"
	})
	for range 1000 {
		a.talk(t)
	}
	network.Refuse(false)
	wait(t, "it says that it lost something", func() string {
		if b.logged.Has(lost) {
			return ""
		}
		return "not yet"
	})
	tr.begin()
	tr.progress("after it")
	tr.end()
	marks := tr.mark()
	if n := len(b.numbers(0)); n >= marks[0]-200 || n < 400 {
		t.Errorf("it heard %d of %d", n, marks[0])
	}
	tr.check(marks)
	if a.logged.Has(lost) {
		t.Error("the other one, which lost nothing, says that it did")
	}
}

// A node that reads more slowly than others write is told of what it lost as well.
func TestStreams_TrimmedWhileBehind(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	tr := newTraffic(t, redisadapter.Config{Mode: redisadapter.Streams, MaxLen: 200}, server.URL(), server.URL())
	a, b := tr.talkers[0], tr.talkers[1]
	b.mu.Lock() // in the middle of a delivery
	for range 1000 {
		a.talk(t)
	}
	b.mu.Unlock()
	wait(t, "it says that it lost something", func() string {
		if b.logged.Has("messages are lost") {
			return ""
		}
		return fmt.Sprint(len(b.numbers(0)), " heard")
	})
}
