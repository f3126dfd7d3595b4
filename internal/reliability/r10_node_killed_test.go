package reliability_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// R10: one of three nodes is killed. All its clients are back on other nodes within 10 s, with
// the backoff of the official client, in their session and rooms. The other nodes' clients stay
// connected. Users that were online on the dead node only are reported as offline within 15 s.
//
// In a short run there are few clients, and the wait for users that do not come back is left
// out: socketbridge's tests of presence have it on a fake clock.
func TestR10_NodeKilled(t *testing.T) {
	t.Parallel()
	clients, quitters := scaled(30, 3000), scaled(0, 50)
	server := redistest.Start(t)
	nodes := make([]*nodeProcess, 3)
	urls := make([]string, 3)
	for i := range nodes {
		nodes[i] = startNodeProcess(t, server.URL(), 0)
		urls[i] = "http://" + nodes[i].addr
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); running.Wait() })

	// The client's own list of nodes stands for a load balancer, so that only the clients'
	// backoff and the nodes are measured.
	var members []*member
	var home []int
	var up sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range clients {
		home = append(home, i%3)
		at := atomic.Int64{}
		at.Store(int64(i % 3))
		m := &member{v: newVisitor(fmt.Sprintf("%c%05d", 'a'+i%20, i), urls[i%3]), elsewhere: func() string { return urls[at.Add(1)%3] }}
		members = append(members, m)
		up.Add(1)
		slots <- struct{}{}
		running.Go(func() {
			if _, err := m.v.do(ctx, "POST", "/login/"+m.v.me); err != nil {
				t.Errorf("login: %v", err)
			}
			m.run(ctx, func() { <-slots; up.Done() })
		})
	}
	up.Wait()
	var left []*tab
	for i := range quitters {
		v := newVisitor(fmt.Sprintf("z%05d", i), urls[0])
		if _, err := v.do(ctx, "POST", "/login/"+v.me); err != nil {
			t.Fatalf("login: %v", err)
		}
		q, err := v.open(ctx, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, q)
	}
	t.Cleanup(func() {
		for _, q := range left {
			q.close(false)
		}
	})
	if full {
		time.Sleep(2 * time.Second) // presence has been written
	}

	killed := time.Now()
	nodes[0].kill()
	var slowest time.Duration
	waitUntil(t, "the dead node's clients", func() bool {
		for i, m := range members {
			if home[i] != 0 {
				continue
			}
			m.mu.Lock()
			back := m.cur != nil && len(m.outages) > 0
			m.mu.Unlock()
			if !back {
				return false
			}
		}
		return true
	})
	slowest = time.Since(killed)

	var outages []time.Duration
	var others int
	for i, m := range members {
		m.mu.Lock()
		if home[i] == 0 {
			outages = append(outages, m.outages...)
		} else {
			others += m.disconnects
		}
		m.mu.Unlock()
	}
	if full && slowest > 10*time.Second {
		t.Errorf("the last client of the dead node was back after %v, want 10 s", slowest)
	}
	if others > 0 {
		t.Errorf("clients of the other nodes were disconnected %d times", others)
	}

	// The sessions are intact, and each room reaches all its members.
	rooms := map[string]string{}
	for _, m := range members {
		cur := m.tab()
		if cur == nil {
			t.Errorf("%s is not connected", m.v.me)
			continue
		}
		got, err := cur.call(ctx, "who")
		if err != nil || string(got[0]) != strconv.Quote(m.v.me) {
			t.Errorf("%s is told %s (%v)", m.v.me, got, err)
		}
		if room := m.v.me[:1]; rooms[room] == "" {
			rooms[room] = "to " + room
			if _, err := cur.call(ctx, "say", rooms[room]); err != nil {
				t.Errorf("%s: %v", m.v.me, err)
			}
		}
	}
	missing := 0
	waitUntil(t, "a broadcast to each room", func() bool {
		missing = 0
		for _, m := range members {
			m.mu.Lock()
			if m.said[rooms[m.v.me[:1]]] == 0 {
				missing++
			}
			m.mu.Unlock()
		}
		return missing == 0
	})
	for _, m := range members {
		m.mu.Lock()
		for _, f := range m.foreign {
			t.Errorf("%s got %s", m.v.me, f)
		}
		m.mu.Unlock()
	}

	var gone time.Duration
	if quitters > 0 {
		waitUntil(t, "the dead node's users to be offline", func() bool {
			reported := map[string]bool{}
			for _, url := range urls[1:] {
				var ago map[string]int64
				if err := getJSON(url+"/offline", &ago); err != nil {
					t.Fatal(err)
				}
				for user, ms := range ago {
					reported[user] = true
					gone = max(gone, time.Since(killed)-time.Duration(ms)*time.Millisecond)
					if user[0] != 'z' {
						t.Errorf("%s is connected and was reported as offline", user)
					}
				}
			}
			return len(reported) >= quitters
		})
		if gone > 15*time.Second {
			t.Errorf("the last user of the dead node was reported as offline after %v, want 15 s", gone)
		}
	}
	report(t, "R10", "node killed with %d of %d clients: all back after %v (away for %s), %d disconnects on other nodes, all %d rooms whole; the last of %d users who stayed away was offline after %v",
		len(outages), clients, slowest.Round(time.Millisecond), describe(outages), others, len(rooms), quitters, gone.Round(time.Millisecond))
}
