// Godriver runs clients of github.com/zishang520/socket.io for the tests. It speaks the
// protocol in internal/nodetest/driver.mjs.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/zishang520/socket.io/clients/engine/v3"
	"github.com/zishang520/socket.io/clients/socket/v3"
	sio "github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

// module is the client under test.
const module = "github.com/zishang520/socket.io/clients/socket/v3"

func main() {
	d := &driver{out: json.NewEncoder(os.Stdout), clients: map[int]*client{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go func() {
			result, err := d.run(c)
			line := map[string]any{"id": c.ID, "result": pack(result)}
			if err != nil {
				line = map[string]any{"id": c.ID, "error": err.Error()}
			}
			d.write(line)
		}()
	}
}

// driver has the clients by their number.
type driver struct {
	mu      sync.Mutex
	out     *json.Encoder
	clients map[int]*client
}

type client struct {
	*socket.Socket
	mu      sync.Mutex
	answers map[string][]any
}

type command struct {
	ID      int    `json:"id"`
	Op      string `json:"op"`
	Client  int    `json:"client"`
	URL     string `json:"url"`
	Event   string `json:"event"`
	Args    []any  `json:"args"`
	Timeout int    `json:"timeout"` // ms
	Name    string `json:"name"`
	Value   string `json:"value"`
	Options struct {
		Transports   []string          `json:"transports"`
		Reconnection bool              `json:"reconnection"`
		Delay        float64           `json:"reconnectionDelay"` // ms
		DelayMax     float64           `json:"reconnectionDelayMax"`
		Headers      map[string]string `json:"extraHeaders"`
		Auth         map[string]any    `json:"auth"`
	} `json:"options"`
}

func (d *driver) write(line any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.out.Encode(line); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func (d *driver) run(c command) (any, error) {
	switch c.Op {
	case "versions":
		return versions()
	case "connect":
		return nil, d.connect(c)
	}
	d.mu.Lock()
	cl := d.clients[c.Client]
	d.mu.Unlock()
	if cl == nil {
		return nil, fmt.Errorf("no client %d", c.Client)
	}
	args, _ := unpack(c.Args).([]any)
	switch c.Op {
	case "emit":
		return nil, cl.Emit(c.Event, args...)
	case "call":
		return cl.call(c.Event, args, time.Duration(c.Timeout)*time.Millisecond)
	case "answer":
		cl.mu.Lock()
		defer cl.mu.Unlock()
		cl.answers[c.Event] = args
		return nil, nil
	case "header":
		// The requests of the current connection read the old map.
		header := cl.Io().Opts().ExtraHeaders().Clone()
		header.Set(c.Name, c.Value)
		cl.Io().Opts().SetExtraHeaders(header)
		return nil, nil
	case "state":
		return cl.state(), nil
	case "disconnect":
		cl.Disconnect()
		return nil, nil
	}
	return nil, fmt.Errorf("unknown command %s", c.Op)
}

func versions() (any, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, errors.New("no build information")
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return map[string]string{module: m.Version}, nil
		}
	}
	return nil, errors.New("no " + module + " in the build information")
}

func (d *driver) connect(c command) error {
	o := c.Options
	header := http.Header{}
	for name, value := range o.Headers {
		header.Set(name, value)
	}
	opts := socket.DefaultOptions()
	opts.SetForceNew(true)
	opts.SetAutoConnect(false)
	opts.SetReconnection(o.Reconnection)
	opts.SetReconnectionDelay(o.Delay)
	opts.SetReconnectionDelayMax(o.DelayMax)
	opts.SetExtraHeaders(header)
	if o.Auth != nil {
		opts.SetAuth(o.Auth)
	}
	byName := map[string]engine.TransportCtor{"polling": socket.Polling, "websocket": socket.WebSocket}
	if o.Transports == nil {
		o.Transports = []string{"polling", "websocket"}
	}
	transports := types.NewSet[engine.TransportCtor]()
	for _, name := range o.Transports {
		transports.Add(byName[name])
	}
	opts.SetTransports(transports)

	s, err := socket.Io(c.URL, opts)
	if err != nil {
		return err
	}
	cl := &client{Socket: s, answers: map[string][]any{}}
	d.mu.Lock()
	d.clients[c.Client] = cl
	d.mu.Unlock()
	return d.watch(c.Client, cl)
}

// watch reports the events of a client, and connects it.
func (d *driver) watch(number int, cl *client) error {
	report := func(event string, args ...any) {
		if args == nil {
			args = []any{}
		}
		d.write(map[string]any{"client": number, "event": event, "args": pack(args)})
	}
	err := errors.Join(
		cl.On("connect", func(...any) {
			report("connect", map[string]any{"id": cl.Id(), "transport": cl.transport(), "recovered": cl.Recovered()})
		}),
		cl.On("connect_error", func(args ...any) {
			report("connect_error", map[string]any{"message": strings.TrimSpace(fmt.Sprintln(args...))})
		}),
		cl.On("disconnect", func(args ...any) { report("disconnect", args[0]) }),
	)
	cl.OnAny(func(args ...any) {
		event := fmt.Sprint(args[0])
		args = args[1:]
		var ack sio.Ack
		if n := len(args); n > 0 {
			if a, ok := args[n-1].(sio.Ack); ok {
				ack, args = a, args[:n-1]
			}
		}
		report(event, args...)
		cl.mu.Lock()
		answer, ok := cl.answers[event]
		cl.mu.Unlock()
		if ack != nil && ok {
			ack(answer, nil)
		}
	})
	cl.Connect()
	return err
}

func (cl *client) call(event string, args []any, timeout time.Duration) (any, error) {
	type answer struct {
		args []any
		err  error
	}
	answers := make(chan answer, 1)
	var ack sio.Ack = func(args []any, err error) { answers <- answer{args, err} }
	if err := cl.Emit(event, append(args, ack)...); err != nil {
		return nil, err
	}
	select {
	case a := <-answers:
		return a.args, a.err
	case <-time.After(timeout):
		return nil, errors.New("operation has timed out")
	}
}

func (cl *client) transport() string {
	if e := cl.Io().Engine(); e != nil && e.Transport() != nil {
		return e.Transport().Name()
	}
	return ""
}

func (cl *client) state() map[string]any {
	state := map[string]any{"id": cl.Id(), "connected": cl.Connected(), "recovered": cl.Recovered(), "transport": ""}
	if cl.Connected() {
		state["transport"] = cl.transport()
	}
	return state
}

// pack and unpack replace binary data by {"$binary":"<base64>"} and back.
func pack(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = pack(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = pack(v[k])
		}
		return out
	case interface{ Bytes() []byte }:
		return map[string]string{"$binary": base64.StdEncoding.EncodeToString(v.Bytes())}
	case io.Reader:
		data, err := io.ReadAll(v)
		if err != nil {
			return err.Error()
		}
		return map[string]string{"$binary": base64.StdEncoding.EncodeToString(data)}
	case []byte:
		return map[string]string{"$binary": base64.StdEncoding.EncodeToString(v)}
	}
	return v
}

func unpack(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = unpack(v[i])
		}
		return out
	case map[string]any:
		if text, ok := v["$binary"].(string); ok {
			data, err := base64.StdEncoding.DecodeString(text)
			if err == nil {
				return data
			}
		}
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = unpack(v[k])
		}
		return out
	}
	return v
}
