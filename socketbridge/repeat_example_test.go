package socketbridge_test

import (
	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// The page repeats an order until it is answered. It is placed once.
//
//	const socket = io({ retries: 5, ackTimeout: 10000 });
//	const page = crypto.randomUUID();
//	let counter = 0;
//	socket.emit("order", "tea", `${page}-${counter++}`, (err, orders) => show(orders));
func ExampleIdempotent() {
	io := socketbridge.New(socketbridge.Config{Sessions: fibersession.New()})
	io.On("order", socketbridge.Idempotent(), func(p *socketbridge.Packet) error {
		var what string
		if err := p.Bind(&what); err != nil {
			return err
		}
		n, err := p.Session().Incr(p.Context(), "orders of "+what, 1)
		if err != nil {
			return err
		}
		return p.Ack(n)
	})
}
