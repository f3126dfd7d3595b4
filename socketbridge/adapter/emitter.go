package adapter

import "context"

// Emitter is an optional interface of an Adapter that a process can use without being a node
// of the cluster, such as a job that sends events: see package socketbridge/emitter.
type Emitter interface {
	Adapter

	// RunEmitter takes the place of Run: it makes Publish, Ask and Nodes work until ctx
	// ends, without joining the cluster. Other nodes do not count this process, and neither
	// wait for replies of it nor deliver to it. Ask collects the replies of all nodes, and
	// Nodes returns their number. It returns like Run.
	//
	// If watch is not nil, RunEmitter calls it with the messages that the nodes send each
	// other in the namespaces that were opened before, as far as a process can receive them
	// without being counted. The adapter's documentation says which these are. watch must
	// not block.
	RunEmitter(ctx context.Context, watch func(*Message)) error
}

// EmitOnly makes an Emitter the adapter of a socketbridge.Server that is not a node: the
// server sends to the sockets of the other servers, and none of them reaches it. Package
// socketbridge/emitter uses it.
type EmitOnly struct{ Emitter }

// Run implements Adapter. It does not use n.
func (e EmitOnly) Run(ctx context.Context, _ Node) error { return e.RunEmitter(ctx, nil) }

// Notices implements Reporter. It returns nil if the Emitter is no Reporter.
func (e EmitOnly) Notices() map[string]uint64 {
	if r, ok := e.Emitter.(Reporter); ok {
		return r.Notices()
	}
	return nil
}
