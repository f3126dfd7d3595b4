package socketbridge_test

import (
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestS2_EventNames emits events that are named by a number and by the empty string, as the
// official client can, and sends such events back: to the client and as a broadcast.
func TestS2_EventNames(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	s := newSite(t, options{}).serve()
	for _, event := range []string{"", "1", "-2.5", "1e+21"} {
		s.io.On(event, func(p *socketbridge.Packet) error {
			if err := p.Socket().Emit(event, "emitted"); err != nil {
				return err
			}
			if err := s.io.Emit(event, "broadcast"); err != nil {
				return err
			}
			return p.Ack(p.Event(), len(p.Args()))
		})
	}
	for name, o := range clientOptions() {
		t.Run(name, func(t *testing.T) {
			c := n.Connect(t, s.url, o)
			defer c.Close()
			for _, tt := range []struct {
				emit any
				want string
			}{{"", ""}, {1, "1"}, {"1", "1"}, {-2.5, "-2.5"}, {1e21, "1e+21"}} {
				equal(t, "answer", c.MustCall(tt.emit, "x").String(), `["`+tt.want+`",1]`)
				equal(t, "emitted", c.MustNext(tt.want).String(), `["emitted"]`)
				equal(t, "broadcast", c.MustNext(tt.want).String(), `["broadcast"]`)
			}
		})
	}
}

func TestS2_EventNamesOnOtherNodes(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 2, socketbridge.Config{})
	served := make(events, 8)
	for _, name := range []string{"", "1"} {
		nodes[1].OnServerSideEmit(name, func(e *socketbridge.ServerEvent) { served.add("%q %s", e.Event(), e.Args()) })
	}
	peers := joinEachNode(t, nodes)
	for _, name := range []string{"", "1"} {
		if err := nodes[0].Emit(name, 2); err != nil {
			t.Fatal(err)
		}
		peers[1].expect(`2["` + name + `",2]`)
		if err := nodes[0].ServerSideEmit(name, 3); err != nil {
			t.Fatal(err)
		}
		served.expect(t, `"`+name+`" [3]`)
	}
}
