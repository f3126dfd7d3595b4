package contract_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// fuzzed is an event of the fuzz target.
type fuzzed struct {
	name string
	in   reflect.Type
	got  func() any // what the handler got since the last call, or nil
	// oracle returns what encoding/json makes of the arguments. It is nil for types with a
	// union, which encoding/json cannot decode.
	oracle func(args []string) (any, error)
}

// onFuzz registers a handler that keeps what it gets, and answers with it.
func onFuzz[T any](on socketbridge.Registrar, e contract.Event[T, T], union bool) *fuzzed {
	var last any
	e.Handle(on, func(_ *socketbridge.Packet, in T) (T, error) { last = in; return in, nil })
	f := &fuzzed{name: string(e), in: reflect.TypeFor[T](), got: func() any {
		defer func() { last = nil }()
		return last
	}}
	if union {
		return f
	}
	f.oracle = func(args []string) (any, error) {
		v := reflect.New(f.in).Elem()
		if f.in.Kind() != reflect.Struct || !embeds(f.in, reflect.TypeFor[contract.Tuple]()) {
			err := json.Unmarshal([]byte(args[0]), v.Addr().Interface())
			return v.Interface(), err
		}
		to := 0
		for i := range f.in.NumField() {
			if f.in.Field(i).Anonymous || to == len(args) {
				continue
			}
			if err := json.Unmarshal([]byte(args[to]), v.Field(i).Addr().Interface()); err != nil {
				return nil, err
			}
			to++
		}
		return v.Interface(), nil
	}
	return f
}

// fuzzSite is a server with all events of the fuzz target, and a client with its parser.
type fuzzSite struct {
	io     *socketbridge.Server
	packed bool
	events []*fuzzed
	conn   answering
	in     transport.Receiver
}

func newFuzzSite(f *testing.F, parser socketbridge.Parser) *fuzzSite {
	io := newServer(f, socketbridge.Config{Logger: silent, Parser: parser})
	s := &fuzzSite{io: io, packed: parser == socketbridge.MsgpackParser, events: []*fuzzed{
		onFuzz(io, Put, false), onFuzz(io, Go, false), onFuzz(io, Draw, true), onFuzz(io, Double, false),
		onFuzz(io, Perhaps, false), onFuzz(io, List, false), onFuzz(io, Send, true),
	}}
	s.connect(f)
	f.Cleanup(func() { s.in.Closed(transport.TransportClose, nil) })
	return s
}

func (s *fuzzSite) connect(t testing.TB) {
	s.conn = answering{sent: make(chan string, 1)}
	var err error
	if s.in, err = s.io.Accept(s.conn); err != nil {
		t.Fatal(err)
	}
	if err := s.send(siopacket.Header{Type: siopacket.Connect}, "", nil); err != nil {
		t.Fatal(err)
	}
	<-s.conn.sent
}

// send sends a packet whose attachments need not be those of its payload.
func (s *fuzzSite) send(h siopacket.Header, payload string, attachments [][]byte) error {
	return s.sendLess(h, payload, attachments, 0)
}

// sendLess is send without the last attachments, whose number is missing.
func (s *fuzzSite) sendLess(h siopacket.Header, payload string, attachments [][]byte, missing int) error {
	if s.packed {
		data, err := msgpack.AppendPacket(nil, h, []byte(payload), attachments)
		if err != nil {
			return err
		}
		return s.in.Receive(transport.Message{Binary: true, Data: data})
	}
	text := strconv.Itoa(int(h.Type))
	if len(attachments) > 0 {
		text = fmt.Sprintf("%d%d-", siopacket.BinaryEvent, len(attachments))
	}
	if h.HasID {
		text += strconv.FormatUint(h.ID, 10)
	}
	if err := s.in.Receive(transport.Message{Data: []byte(text + payload)}); err != nil {
		return err
	}
	for _, a := range attachments[:len(attachments)-missing] {
		if err := s.in.Receive(transport.Message{Binary: true, Data: a}); err != nil {
			return err
		}
	}
	return nil
}

// ask sends an event, and returns the first message of its answer as text.
func (s *fuzzSite) ask(t testing.TB, e *fuzzed, args []string, attachments [][]byte) string {
	payload := "[" + strings.Join(append([]string{strconv.Quote(e.name)}, args...), ",") + "]"
	if err := s.send(siopacket.Header{Type: siopacket.Event, HasID: true}, payload, attachments); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	got := <-s.conn.sent
	if !s.packed {
		_, answer, _ := strings.Cut(got, "[")
		return "[" + answer
	}
	p, err := msgpack.DecodePacket(new(siopacket.Decoder), []byte(got), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return string(p.Data)
}

// FuzzM1_Payloads: payloads that are derived from the Go types reach the handler with the value
// that encoding/json makes of them, and those with one mistake do not, with both parsers.
func FuzzM1_Payloads(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, uint16(0), uint8(seed), seed%2 == 0)
		f.Add(seed, uint16(seed+1), uint8(seed), seed%4 < 2)
	}
	text, packed := newFuzzSite(f, socketbridge.JSONParser), newFuzzSite(f, socketbridge.MsgpackParser)
	f.Fuzz(func(t *testing.T, seed uint64, place uint16, event uint8, pack bool) {
		s := text
		if pack {
			s = packed
		}
		e := s.events[int(event)%len(s.events)]
		g := newPayloads(seed, -1, false)
		args := g.arguments(e.in)
		wrong := place > 0 && g.places > 0
		if wrong {
			g = newPayloads(seed, int(place)%g.places, false)
			args = g.arguments(e.in)
		}
		answer := s.ask(t, e, args, g.attachments)
		refused := strings.HasPrefix(answer, `[{"error":{"code":"invalid_argument"`)
		switch got := e.got(); {
		case wrong && (got != nil || !refused):
			t.Fatalf("%s %s has a mistake, but got %s; the handler got %v", e.name, args, answer, got)
		case !wrong && (got == nil || strings.HasPrefix(answer, `[{"error"`)):
			t.Fatalf("%s %s fits, but got %s", e.name, args, answer)
		case !wrong && e.oracle != nil:
			plain := newPayloads(seed, -1, true).arguments(e.in)
			want, err := e.oracle(plain)
			if err != nil {
				t.Fatalf("encoding/json cannot decode %s: %v", plain, err)
			}
			if diff := difference(got, want, pack); diff != "" {
				t.Fatalf("%s %s: %s", e.name, args, diff)
			}
		}
	})
}

// difference says how two values differ as JSON, in numbers only if they are exact: MessagePack
// has no text of numbers.
func difference(got, want any, numbers bool) string {
	a, b := string(must(json.Marshal(got))), string(must(json.Marshal(want)))
	if numbers {
		var x, y any
		if json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y) {
			return ""
		}
	}
	if a == b {
		return ""
	}
	return "got " + a + "\nwant " + b
}

// FuzzM1_Attachments: a packet whose placeholders and attachments do not match reaches no
// handler, whatever its arguments are.
func FuzzM1_Attachments(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed, uint8(seed), uint8(seed/7))
	}
	s := newFuzzSite(f, socketbridge.JSONParser)
	f.Fuzz(func(t *testing.T, seed uint64, event, how uint8) {
		e := s.events[int(event)%len(s.events)]
		g := newPayloads(seed, -1, false)
		args := g.arguments(e.in)
		if len(g.attachments) == 0 || len(g.attachments) == 10 {
			t.Skip("no attachments to break, or no room for one more")
		}
		payload := "[" + strings.Join(append([]string{strconv.Quote(e.name)}, args...), ",") + "]"
		attachments := g.attachments
		missing := 0
		switch how % 5 {
		case 0:
			payload = strings.Replace(payload, `"num":0`, fmt.Sprintf(`"num":%d`, len(attachments)), 1)
		case 1:
			payload = strings.Replace(payload, `"num":0`, `"num":-1`, 1)
		case 2:
			attachments = append(attachments, []byte("one more"))
		case 3:
			attachments = attachments[:len(attachments)-1]
		case 4:
			missing = 1
		}
		h := siopacket.Header{Type: siopacket.Event, HasID: true}
		err := s.sendLess(h, payload, attachments, missing)
		if missing > 0 && err == nil {
			err = s.send(h, `["ping"]`, nil) // instead of the last attachment
		}
		if err == nil && how%5 == 3 && len(attachments) == 0 {
			<-s.conn.sent // an event without attachments, with an object that looks like a placeholder
			e.got()
			return
		}
		if got := e.got(); err == nil || got != nil {
			t.Fatalf("%s with %d attachments: got %v; the handler got %v", payload, len(attachments), err, got)
		}
		s.in.Closed(transport.ParseError, err)
		s.connect(t)
	})
}
