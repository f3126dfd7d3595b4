package socketbridge_test

import (
	"context"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// N9: WithContext gives the message to other nodes the values of a context, but not its end, and
// a Broadcast without one has none.
func TestN9_BroadcastWithContext(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, 2, socketbridge.Config{})
	peers := joinEachNode(t, nodes)
	type key struct{}
	got := make(events, 10)
	t.Cleanup(nodes[0].Observe(socketbridge.Trace{Operation: func(ctx context.Context, op *socketbridge.Operation) (context.Context, func(error)) {
		if op.Kind == socketbridge.OpPublish {
			got.add("value %v, error %v", ctx.Value(key{}), ctx.Err())
		}
		return ctx, nil
	}}))
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "of the request"))
	cancel() // the client has left
	b := nodes[0].To("all")
	for _, b := range []socketbridge.Broadcast{b.WithContext(ctx), b} {
		if err := b.Emit("news"); err != nil {
			t.Fatal(err)
		}
		peers[1].expect(`2["news"]`)
	}
	if err := b.WithContext(ctx).Join("elsewhere"); err != nil {
		t.Fatal(err)
	}
	got.expect(t, "value of the request, error <nil>", "value <nil>, error <nil>", "value of the request, error <nil>")
}
