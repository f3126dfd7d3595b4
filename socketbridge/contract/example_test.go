package contract_test

import (
	"context"
	"fmt"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
)

// Greet is sent by clients, and answered with a text.
const Greet = contract.Event[Greeting, string]("greet")

// Greeted is sent to clients.
const Greeted = contract.Notice[Greeting]("greeted")

// Greeting is what a client sends.
type Greeting struct {
	Name string `json:"name" validate:"required,max=50"`
}

func ExampleEvent_Handle() {
	io := socketbridge.New()
	defer func() { _ = io.Shutdown(context.Background()) }()
	logged := func(p *socketbridge.Packet) error {
		fmt.Println(p.Event())
		return p.Next()
	}
	Greet.Handle(contract.Use(io, logged), func(_ *socketbridge.Packet, in Greeting) (string, error) {
		return "hello " + in.Name, Greeted.Emit(io, in)
	})
}

func ExampleAsk_Emit() {
	// Confirm asks a client, which answers with true or false.
	const Confirm = contract.Ask[string, bool]("confirm")
	_ = func(p *socketbridge.Packet) error {
		yes, err := Confirm.Emit(p.Context(), p.Socket(), "Delete it?")
		if err != nil || !yes {
			return err
		}
		return p.Ack("deleted")
	}
}
