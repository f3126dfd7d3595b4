package gen

import "strings"

// AsyncAPI returns a document of AsyncAPI 3.0 as JSON, which is YAML too. It describes the
// server's app: an event that clients send is an operation with the action receive, and one
// that the server sends has the action send. Each name of an event is a channel. An answer is
// the reply of the operation, on the same channel.
//
// The payload of an event with one argument is that argument. Of an event whose Go type is a
// contract.Tuple it is the array of its arguments.
func AsyncAPI(c *Contract) []byte {
	g := newSchemas("#/components/schemas/", true)
	info := object{{"title", c.Title}, {"version", c.Version}}
	if c.Doc != "" {
		info.set("description", c.Doc)
	}
	channels, operations := map[string]object{}, object{}
	for _, e := range c.Events {
		g.operation(channels, &operations, e, "receive", received, sent)
	}
	for _, e := range c.Asks {
		g.operation(channels, &operations, e, "send", sent, received)
	}
	all := object{}
	for _, name := range sorted(channels) {
		all.set(name, object{{"address", name}, {"messages", channels[name]}})
	}
	schemas := object{}
	g.definitions(&schemas)
	return document(object{
		{"asyncapi", "3.0.0"},
		{"info", info},
		{"defaultContentType", "application/json"},
		{"channels", all},
		{"operations", operations},
		{"components", object{
			{"schemas", schemas},
			{"messages", object{{"Failure", object{
				{"name", "failure"},
				{"title", "Failure"},
				{"payload", g.ref("Failure")},
			}}}},
		}},
		{"x-generated-by", "fiberbridge gen asyncapi"},
	})
}

// operation adds an event: its operation, and its messages to its channel, with the forms of its
// arguments and of its answer.
func (g *schemas) operation(channels map[string]object, operations *object, e Event, action string, arguments, reply form) {
	channel := object{{"$ref", "#/channels/" + pointerPart(e.Name)}}
	message := func(name string) object {
		return object{{"$ref", channel[0].value.(string) + "/messages/" + pointerPart(name)}}
	}
	messages := channels[e.Name]
	messages.set(action, g.message(e.Name, e.Name, e.In, arguments))
	op := object{{"action", action}, {"title", e.Name}}
	if e.Doc != "" {
		first, _, more := strings.Cut(e.Doc, "\n")
		op.set("summary", first)
		if more {
			op.set("description", e.Doc)
		}
	}
	op.set("channel", channel)
	op.set("messages", []object{message(action)})
	if e.Answered {
		answer := action + ".answer"
		messages.set(answer, g.message(e.Name, "Answer to "+e.Name, e.Out, reply))
		replies := []object{message(answer)}
		if reply == sent {
			messages.set("failure", object{{"$ref", "#/components/messages/Failure"}})
			replies = append(replies, message("failure"))
		}
		op.set("reply", object{{"channel", channel}, {"messages", replies}})
	}
	channels[e.Name] = messages
	operations.set(action+"."+e.Name, op)
}

// message returns a message with arguments.
func (g *schemas) message(name, title string, a Args, as form) object {
	m := object{{"name", name}, {"title", title}}
	switch {
	case a.Tuple:
		m.set("description", "The payload is the array of all arguments.")
		m.set("payload", g.arguments(a, as))
	case len(a.List) == 0:
		m.set("description", "There are no arguments.")
	default:
		m.set("payload", g.field(a.List[0], as))
	}
	return m
}
