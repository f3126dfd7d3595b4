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

// RunLog runs the suite for the methods of adapter.Log, in addition to Run. cluster has the
// same meaning as for Run.
func RunLog(t *testing.T, cluster func(t *testing.T) func() adapter.Adapter) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, func() adapter.Adapter)
	}{
		{"one order", testLogOrder},
		{"delivery to the own node", testLogSelf},
		{"messages since a position", testSince},
		{"recovery state", testRecoveryState},
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

// Messages that several nodes append concurrently are delivered to all nodes in the same
// order, each once, with increasing positions.
func testLogOrder(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 3)
	const each = 50
	var appending sync.WaitGroup
	for i, n := range nodes {
		for g := range 2 {
			appending.Go(func() { // the Wait below waits for it
				for k := range each {
					n.append(broadcastTo("", fmt.Sprintf(`["e",%d]`, 1000*(2*i+g)+k)))
				}
			})
		}
	}
	var want []string
	for i, n := range nodes {
		last := map[int]int{}
		var position uint64
		for k := range 6 * each {
			m := n.nextLogged()
			at, ok := n.log().ParseOffset(m.Offset)
			if m.Position <= position || !ok || at != m.Position {
				t.Fatalf("message has position %d after %d; its offset %q is parsed as %d, %v", m.Position, position, m.Offset, at, ok)
			}
			position = m.Position
			text := string(m.Payload.JSON) + m.Offset
			if i == 0 {
				want = append(want, text)
			} else if text != want[k] {
				t.Fatalf("message %d is %s on node %d, %s on node 0", k, text, i, want[k])
			}
			var number int
			if _, err := fmt.Sscanf(string(m.Payload.JSON), `["e",%d]`, &number); err != nil {
				t.Fatal(err)
			}
			if next, seen := last[number/1000]; seen && number != next+1 || !seen && number%1000 != 0 {
				t.Fatalf("got event %d after event %d of the same sender", number, next)
			}
			last[number/1000] = number
		}
		n.waitForPosition(position)
	}
	appending.Wait()
}

// nextLogged returns the next delivered message that is in the log.
func (n *node) nextLogged() *adapter.Message {
	n.t.Helper()
	for {
		if m := n.next(); m.Position > 0 && string(m.Payload.JSON) != `["started"]` && string(m.Payload.JSON) != `["for a"]` {
			return m
		}
	}
}

// waitForPosition waits until everything up to position has been delivered to the node.
func (n *node) waitForPosition(position uint64) {
	n.t.Helper()
	deadline := time.After(testTimeout)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n.log().Position("/") < position {
		select {
		case <-tick.C:
		case <-deadline:
			n.t.Fatalf("Position is %d, want %d", n.log().Position("/"), position)
		}
	}
}

// Append returns after the delivery to its own node. Publish does not deliver to its own node.
func testLogSelf(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	n := nodes[0]
	for i := range 50 {
		n.publish(broadcastTo("", `["published"]`))
		n.append(broadcastTo("a", fmt.Sprintf(`["e",%d]`, i)))
		select {
		case m := <-n.delivered:
			if got := string(m.Payload.JSON); got != fmt.Sprintf(`["e",%d]`, i) || m.Position == 0 || len(m.Rooms) != 1 {
				t.Fatalf("got %s", format(m))
			}
		default:
			t.Fatal("Append returned before the message was delivered to the node")
		}
	}
	volatile := broadcastTo("", `["volatile"]`)
	volatile.Volatile = true
	nodes[1].publish(volatile)
	if m := n.next(); m.Position != 0 || m.Offset != "" {
		t.Errorf("volatile message has offset %q, want none", m.Offset)
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
	first := nodes[0].nextLogged()
	if got := nodes[1].nextLogged(); format(got) != format(first) || format(got) != format(binary) {
		t.Errorf("got %s on node 0, %s on node 1", format(first), format(got))
	}
	const count = 250 // enough for several round trips to a server
	for i := range count {
		nodes[i%2].append(broadcastTo("", fmt.Sprintf(`["e",%d]`, i)))
		if i%50 == 0 {
			nodes[0].append(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/chat", Payload: event(`["elsewhere"]`)})
			nodes[0].publish(&adapter.Message{Kind: adapter.Broadcast, Namespace: "/", Volatile: true, Payload: event(`["volatile"]`)})
		}
	}
	for _, n := range nodes {
		all, end, err := since(n, first.Position)
		if err != nil || len(all) != count {
			t.Fatalf("Since yielded %d messages, want %d; error %v", len(all), count, err)
		}
		for i, m := range all {
			if string(m.Payload.JSON) != fmt.Sprintf(`["e",%d]`, i) || m.Position == 0 || m.Offset == "" {
				t.Fatalf("message %d is %s with offset %q", i, format(m), m.Offset)
			}
		}
		if more, again, err := since(n, end); err != nil || len(more) != 0 || again != end {
			t.Errorf("Since at the end %[3]d yielded %[1]d messages and returned end %[2]d, error %[4]v", len(more), again, end, err)
		}
		n.waitForPosition(all[count-1].Position)
		if got, _, err := since(n, all[count-2].Position); err != nil || len(got) != 1 {
			t.Errorf("Since before the last message yielded %d messages, error %v", len(got), err)
		}
	}
	asked := 0
	if end, err := nodes[0].log().Since(t.Context(), "/", first.Position, func(*adapter.Message) bool { asked++; return false }); asked != 1 || end != 0 || err != nil {
		t.Errorf("Since with a yield that returns false: %d calls, end %d, error %v", asked, end, err)
	}
	for _, position := range []uint64{first.Position + 1<<50, 1<<64 - 1} {
		if _, _, err := since(nodes[0], position); !errors.Is(err, adapter.ErrNotKept) {
			t.Errorf("Since position %d returned %v, want ErrNotKept", position, err)
		}
	}
	for _, offset := range []string{"", "x", "-", "-1", "1-", "1-x", "m-", "m-x", "99999999999999999999-1", "1-99999999999999999999"} {
		if position, ok := nodes[0].log().ParseOffset(offset); ok {
			t.Errorf("ParseOffset accepted offset %q as %d", offset, position)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nodes[0].log().Since(ended, "/", first.Position, func(*adapter.Message) bool { return true }); !errors.Is(err, adapter.ErrUnavailable) {
		t.Errorf("Since with a canceled context returned %v, want ErrUnavailable", err)
	}
}

func testRecoveryState(t *testing.T, join func() adapter.Adapter) {
	nodes := start(t, join, 2)
	ctx := t.Context()
	want := &adapter.RecoveryState{Namespace: "/", PID: "pid", ID: "sid", Rooms: []string{"sid", "é"}, Owner: "me",
		Data: []byte(`{"n":1,"s":"x"}`), State: []byte(`{"since":1234567890123456789}`)}
	take := func(n *node, namespace, pid, owner string) string {
		t.Helper()
		r, err := n.log().TakeState(ctx, namespace, pid, owner)
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
		if err := nodes[0].log().SaveState(ctx, want, time.Minute); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if got := take(n, "/", "pid", "another") + take(n, "/chat", "pid", owner) + take(n, "/", "other", owner); got != "" {
				t.Errorf("TakeState with another owner, namespace or private ID returned %s", got)
			}
		}
		// Only one of several concurrent calls gets the state.
		got := make(chan string, 8)
		var taking sync.WaitGroup
		for i := range 8 {
			taking.Go(func() { got <- take(nodes[i%2], "/", "pid", owner) }) // the Wait below waits for it
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
	if err := nodes[0].log().SaveState(ctx, want, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	// Real time must pass. 25 ms is long after the ttl of 1 ms.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 5 {
		<-tick.C
	}
	if got := take(nodes[0], "/", "pid", ""); got != "" {
		t.Errorf("TakeState after the ttl returned %s", got)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := nodes[0].log().SaveState(ended, want, time.Minute); err == nil {
		t.Error("SaveState with a canceled context returned no error")
	}
	if _, err := nodes[0].log().TakeState(ended, "/", "pid", ""); err == nil {
		t.Error("TakeState with a canceled context returned no error")
	}
}

func testLogEnd(t *testing.T, join func() adapter.Adapter) {
	notRunning := join().(adapter.Log)
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := notRunning.Append(short, broadcastTo("", `["e"]`)); !errors.Is(err, adapter.ErrUnavailable) || errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Append before Run returned %v, want ErrUnavailable", err)
	}
	if position := notRunning.Position("/"); position != 0 {
		t.Errorf("Position before Run is %d, want 0", position)
	}
	n := start(t, join, 1)[0]
	n.shutDown()
	if err := n.log().Append(t.Context(), broadcastTo("", `["e"]`)); !errors.Is(err, adapter.ErrClosed) {
		t.Errorf("Append after the end returned %v, want ErrClosed", err)
	}
}
