package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// RunLog runs the suite for an adapter that is an adapter.Log, beside Run. Cluster is as
// for Run.
func RunLog(t *testing.T, cluster func(t *testing.T) func() adapter.Adapter) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, func() adapter.Adapter)
	}{
		{"one order", testLogOrder},
		{"to oneself", testLogSelf},
		{"since", testSince},
		{"remains", testRemains},
		{"after the end", testLogEnd},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, cluster(t))
		})
	}
}

func (n *node) log() adapter.Log { return n.Adapter.(adapter.Log) }

func (n *node) append(m *adapter.Message) {
	n.t.Helper()
	if err := n.log().Append(n.t.Context(), m); err != nil {
		n.t.Errorf("Append: %v", err)
	}
}

// All nodes are delivered what several append at a time in one order, each once, and
// places say which.
func testLogOrder(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	const each = 50
	var appending sync.WaitGroup
	for i, n := range nodes {
		for g := range 2 {
			appending.Go(func() { // waited for below
				for k := range each {
					n.append(news("", fmt.Sprintf(`["e",%d]`, 1000*(2*i+g)+k)))
				}
			})
		}
	}
	var want []string
	for i, n := range nodes {
		last := map[int]int{}
		var place uint64
		for k := range 6 * each {
			m := n.kept()
			at, ok := n.log().Place(m.Offset)
			if m.Place <= place || !ok || at != m.Place {
				t.Fatalf("place %d (offset %q: %d, %v) after %d", m.Place, m.Offset, at, ok, place)
			}
			place = m.Place
			text := string(m.Payload.JSON) + m.Offset
			if i == 0 {
				want = append(want, text)
			} else if text != want[k] {
				t.Fatalf("node %d got %s as number %d, node 0 got %s", i, text, k, want[k])
			}
			var number int
			if _, err := fmt.Sscanf(string(m.Payload.JSON), `["e",%d]`, &number); err != nil {
				t.Fatal(err)
			}
			if next, seen := last[number/1000]; seen && number != next+1 || !seen && number%1000 != 0 {
				t.Fatalf("%d after %d", number, next)
			}
			last[number/1000] = number
		}
		n.awaitPosition(place)
	}
	appending.Wait()
}

// kept returns the next message of the log that came.
func (n *node) kept() *adapter.Message {
	n.t.Helper()
	for {
		if m := n.next(); m.Place > 0 && string(m.Payload.JSON) != `["started"]` && string(m.Payload.JSON) != `["for a"]` {
			return m
		}
	}
}

// awaitPosition waits until the node has been delivered what has a place.
func (n *node) awaitPosition(place uint64) {
	n.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n.log().Position() < place {
		select {
		case <-tick.C:
		case <-deadline:
			n.t.Fatalf("the node is at %d, not at %d", n.log().Position(), place)
		}
	}
}

// Append returns when the node itself has been delivered; Publish does not deliver to it.
func testLogSelf(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	n := nodes[0]
	for i := range 50 {
		n.publish(news("", `["published"]`))
		n.append(news("a", fmt.Sprintf(`["e",%d]`, i)))
		select {
		case m := <-n.got:
			if got := string(m.Payload.JSON); got != fmt.Sprintf(`["e",%d]`, i) || m.Place == 0 || len(m.Rooms) != 1 {
				t.Fatalf("got %s", show(m))
			}
		default:
			t.Fatal("Append has returned before the node was delivered")
		}
	}
	volatile := news("", `["volatile"]`)
	volatile.Volatile = true
	nodes[1].publish(volatile)
	if m := n.next(); m.Place != 0 || m.Offset != "" {
		t.Errorf("a volatile message has the offset %q", m.Offset)
	}
}

func testSince(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	since := func(n *node, after uint64) (all []*adapter.Message, end uint64, err error) {
		end, err = n.log().Since(t.Context(), "/", after, func(m *adapter.Message) bool {
			all = append(all, m)
			return true
		})
		return all, end, err
	}
	binary := &adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Rooms: []string{"a"}, Except: []string{"x"},
		Payload: event(`["bin",{"_placeholder":true,"num":0}]`, []byte{1, 2})}
	nodes[0].append(binary)
	first := nodes[0].kept()
	if got := nodes[1].kept(); show(got) != show(first) || show(got) != show(binary) {
		t.Errorf("got %s and %s", show(first), show(got))
	}
	const count = 250 // more than one exchange with a server brings
	for i := range count {
		nodes[i%2].append(news("", fmt.Sprintf(`["e",%d]`, i)))
		if i%50 == 0 {
			nodes[0].append(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/chat", Payload: event(`["elsewhere"]`)})
			nodes[0].publish(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Volatile: true, Payload: event(`["volatile"]`)})
		}
	}
	for _, n := range nodes {
		all, end, err := since(n, first.Place)
		if err != nil || len(all) != count {
			t.Fatalf("%d messages, %v", len(all), err)
		}
		for i, m := range all {
			if string(m.Payload.JSON) != fmt.Sprintf(`["e",%d]`, i) || m.Place == 0 || m.Offset == "" {
				t.Fatalf("number %d is %s at %q", i, show(m), m.Offset)
			}
		}
		if more, again, err := since(n, end); err != nil || len(more) != 0 || again != end {
			t.Errorf("after the end: %d messages, end %d after %d, %v", len(more), again, end, err)
		}
		n.awaitPosition(all[count-1].Place)
		if got, _, err := since(n, all[count-2].Place); err != nil || len(got) != 1 {
			t.Errorf("after the last but one: %d, %v", len(got), err)
		}
	}
	asked := 0
	if end, err := nodes[0].log().Since(t.Context(), "/", first.Place, func(*adapter.Message) bool { asked++; return false }); asked != 1 || end != 0 || err != nil {
		t.Errorf("a reader that has enough: %d messages, %d, %v", asked, end, err)
	}
	for _, place := range []uint64{first.Place + 1<<50, 1<<64 - 1} {
		if _, _, err := since(nodes[0], place); !errors.Is(err, adapter.ErrNotKept) {
			t.Errorf("after %d: %v", place, err)
		}
	}
	for _, offset := range []string{"", "x", "-", "-1", "1-", "1-x", "m-", "m-x", "99999999999999999999-1", "1-99999999999999999999"} {
		if place, ok := nodes[0].log().Place(offset); ok {
			t.Errorf("offset %q is place %d", offset, place)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nodes[0].log().Since(ended, "/", first.Place, func(*adapter.Message) bool { return true }); !errors.Is(err, adapter.ErrUnavailable) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func testRemains(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	ctx := t.Context()
	want := &adapter.RecoveryState{Namespace: "/", PID: "pid", ID: "sid", Rooms: []string{"sid", "é"}, Owner: "me",
		Data: []byte(`{"n":1,"s":"x"}`), State: []byte(`{"since":1234567890123456789}`)}
	take := func(n *node, namespace, pid, owner string) string {
		t.Helper()
		r, err := n.log().Take(ctx, namespace, pid, owner)
		if err != nil {
			t.Fatal(err)
		}
		if r == nil {
			return ""
		}
		return fmt.Sprintf("%s %s %s %q %s %s %s", r.Namespace, r.PID, r.ID, r.Rooms, r.Owner, r.Data, r.State)
	}
	for _, owner := range []string{"me", ""} {
		want.Owner = owner
		if err := nodes[0].log().Keep(ctx, want, time.Minute); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if got := take(n, "/", "pid", "another") + take(n, "/chat", "pid", owner) + take(n, "/", "other", owner); got != "" {
				t.Errorf("somebody else took %s", got)
			}
		}
		// However many try, one gets it.
		got := make(chan string, 8)
		var taking sync.WaitGroup
		for i := range 8 {
			taking.Go(func() { got <- take(nodes[i%2], "/", "pid", owner) }) // waited for below
		}
		taking.Wait()
		close(got)
		all := ""
		for one := range got {
			all += one
		}
		if w := fmt.Sprintf(`/ pid sid ["sid" "é"] %s {"n":1,"s":"x"} {"since":1234567890123456789}`, owner); all != w {
			t.Errorf("got  %s\nwant %s", all, w)
		}
	}
	if err := nodes[0].log().Keep(ctx, want, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	// Only the time can tell; it is over long before patience is.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 5 {
		<-tick.C
	}
	if got := take(nodes[0], "/", "pid", ""); got != "" {
		t.Errorf("kept too long: %s", got)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := nodes[0].log().Keep(ended, want, time.Minute); err == nil {
		t.Error("Keep with a context that has ended")
	}
	if _, err := nodes[0].log().Take(ended, "/", "pid", ""); err == nil {
		t.Error("Take with a context that has ended")
	}
}

func testLogEnd(t *testing.T, join func() adapter.Adapter) {
	unborn := join().(adapter.Log)
	if err := unborn.Append(t.Context(), news("", `["e"]`)); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Append before Run: %v", err)
	}
	if place := unborn.Position(); place != 0 {
		t.Errorf("at %d before Run", place)
	}
	n := start(t, join, 1)[0]
	n.end()
	if err := n.log().Append(t.Context(), news("", `["e"]`)); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Append: %v", err)
	}
}
