package socketbridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

func TestPlainCodec_Decode(t *testing.T) {
	t.Parallel()
	const raw = `["message",{"_placeholder":true,"num":0}]`
	for _, tt := range []struct {
		name, namespace string
		acks, binary    bool
		frame           string
		want            string // the packet's name, type, ID and data
		attachment      bool
	}{
		{name: "event", frame: `["chat","hi",{"a":[1]}]`, want: `chat 2 ["chat","hi",{"a":[1]}]`},
		{name: "event with space around", frame: " \n[ \"chat\" , 1 ] ", want: "chat 2 [ \"chat\" , 1 ]"},
		{name: "event of another namespace", namespace: "/a,b", frame: `["chat"]`, want: "message 2 " + raw, attachment: true},
		{name: "event in a namespace", namespace: "/admin", frame: `["chat"]`, want: `chat 2 ["chat"]`},
		{name: "text", frame: "hello", want: "message 2 " + raw, attachment: true},
		{name: "empty", frame: "", want: "message 2 " + raw, attachment: true},
		{name: "binary that looks like an event", binary: true, frame: `["chat"]`, want: "message 2 " + raw, attachment: true},
		{name: "no name", frame: `[]`, want: "message 2 " + raw, attachment: true},
		{name: "an empty name", frame: `["",1]`, want: ` 2 ["",1]`},
		{name: "numbers", frame: `[ 1,2]`, want: "message 2 " + raw, attachment: true},
		{name: "a number first", frame: `[1,"chat"]`, want: "message 2 " + raw, attachment: true},
		{name: "cut off", frame: `["chat"`, want: "message 2 " + raw, attachment: true},
		{name: "data after the event", frame: `["chat"]["x"]`, want: "message 2 " + raw, attachment: true},
		{name: "a reserved name", frame: `["connect"]`, want: "message 2 " + raw, attachment: true},
		{name: "too deep", frame: `["x",` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `]`, want: "message 2 " + raw, attachment: true},
		{name: "an object", frame: `{"event":"chat"}`, want: "message 2 " + raw, attachment: true},
		{name: "a Socket.IO packet", frame: `2["chat"]`, want: "message 2 " + raw, attachment: true},
		{name: "a namespace prefix", frame: `[/x,["chat"]`, want: "message 2 " + raw, attachment: true},

		{name: "event that wants an answer", acks: true, frame: `[7, "chat",1]`, want: `chat 2 #7 [ "chat",1]`},
		{name: "answer", acks: true, frame: `[-7,"yes",2]`, want: ` 3 #7 ["yes",2]`},
		{name: "empty answer", acks: true, frame: `[-7]`, want: ` 3 #7 []`},
		{name: "event without an ID", acks: true, frame: `["chat"]`, want: `chat 2 ["chat"]`},
		{name: "number alone", acks: true, frame: `[7]`, want: "message 2 " + raw, attachment: true},
		{name: "number zero", acks: true, frame: `[0,"chat"]`, want: "message 2 " + raw, attachment: true},
		{name: "number too long", acks: true, frame: `[1234567890123456,"chat"]`, want: "message 2 " + raw, attachment: true},
		{name: "fraction", acks: true, frame: `[1.5,"chat"]`, want: "message 2 " + raw, attachment: true},
		{name: "number and an array", acks: true, frame: `[1,[2]]`, want: "message 2 " + raw, attachment: true},
		{name: "number and an empty name", acks: true, frame: `[1,""]`, want: ` 2 #1 [""]`},
		{name: "number and no name", acks: true, frame: `[1,2]`, want: "message 2 " + raw, attachment: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.namespace == "" {
				tt.namespace = "/"
			}
			frame := []byte(tt.frame)
			p := plainCodec{namespace: tt.namespace, acks: tt.acks}.decode(&siopacket.Decoder{}, transport.Message{Binary: tt.binary, Data: frame})
			clear(frame) // the packet must hold copies
			got := string(p.Name) + " " + string('0'+byte(p.Type)) + " "
			if p.HasID {
				got += "#" + json.Number(itoa(p.ID)).String() + " "
			}
			if got += string(p.Data); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if p.Namespace != tt.namespace {
				t.Errorf("got namespace %q, want %q", p.Namespace, tt.namespace)
			}
			if !tt.attachment {
				if len(p.Attachments) != 0 {
					t.Errorf("got attachments %q, want none", p.Attachments)
				}
			} else if len(p.Attachments) != 1 || string(p.Attachments[0]) != tt.frame {
				t.Errorf("got attachments %q, want the raw frame %q", p.Attachments, tt.frame)
			}
		})
	}
}

func itoa(n uint64) string { b, _ := json.Marshal(n); return string(b) }

func TestPlainCodec_Encode(t *testing.T) {
	t.Parallel()
	type args = []any
	for _, tt := range []struct {
		name   string
		typ    siopacket.Type
		acks   bool
		id     uint64
		args   args
		want   string // "" is no message
		binary bool
	}{
		{name: "event", typ: siopacket.Event, args: args{"chat", "5-/x,[", 1}, want: `["chat","5-/x,[",1]`},
		{name: "bytes", typ: siopacket.Event, args: args{"pic", []byte("ab"), map[string]any{"x": []byte("cd")}}, want: `["pic","YWI=",{"x":"Y2Q="}]`},
		{name: "raw message", typ: siopacket.Event, args: args{"message", []byte("[1]")}, want: "[1]", binary: true},
		{name: "message with text", typ: siopacket.Event, args: args{"message", "hi"}, want: `["message","hi"]`},
		{name: "message with more", typ: siopacket.Event, args: args{"message", []byte("a"), 1}, want: `["message","YQ==",1]`},
		{name: "event that wants an answer", typ: siopacket.Event, acks: true, id: 7, args: args{"chat", 1}, want: `[7,"chat",1]`},
		{name: "raw message that wants an answer", typ: siopacket.Event, acks: true, id: 7, args: args{"message", []byte("a")}, want: `[7,"message","YQ=="]`},
		{name: "answer", typ: siopacket.Ack, acks: true, id: 12, args: args{1, "x"}, want: `[-12,1,"x"]`},
		{name: "answer with bytes", typ: siopacket.Ack, acks: true, id: 12, args: args{[]byte("a")}, want: `[-12,"YQ=="]`},
		{name: "empty answer", typ: siopacket.Ack, acks: true, id: 12, want: `[-12]`},
		{name: "refusal", typ: siopacket.ConnectError, args: args{map[string]string{"message": "no"}}, want: `["connect_error",{"message":"no"}]`},
		{name: "connect", typ: siopacket.Connect, args: args{map[string]string{"sid": "x"}}},
		{name: "disconnect", typ: siopacket.Disconnect},
	} {
		for _, namespace := range []string{"/", "/admin-1,"[:8]} {
			t.Run(tt.name+" in "+namespace, func(t *testing.T) {
				t.Parallel()
				msgs, err := encode(tt.typ, namespace, tt.id, tt.id != 0, tt.args...)
				if err != nil {
					t.Fatal(err)
				}
				before := bytes.Clone(msgs[0].Data)
				typ, m, err := plainCodec{namespace: namespace, acks: tt.acks}.encode(msgs)
				if err != nil || typ != tt.typ || string(m.Data) != tt.want || m.Binary != tt.binary {
					t.Errorf("got type %d, %q (binary %t) and error %v, want type %d, %q (binary %t)", typ, m.Data, m.Binary, err, tt.typ, tt.want, tt.binary)
				}
				if !bytes.Equal(before, msgs[0].Data) {
					t.Error("encode changed the messages, which are shared by all receivers")
				}
			})
		}
	}
	msgs, err := encode(siopacket.Event, "/", 1, true, "chat")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := (plainCodec{namespace: "/"}).encode(msgs); !errors.Is(err, ErrNoAcks) {
		t.Errorf("an event that wants an answer, without acks: got error %v, want ErrNoAcks", err)
	}
}

// FuzzPlainDecode checks that every frame decodes to one packet of its namespace, either
// an event or an answer, and never to a packet type that a plain client may not send.
func FuzzPlainDecode(f *testing.F) {
	for _, s := range []string{`["chat",1]`, `hello`, `[7,"chat"]`, `[-7]`, `[`, `["`, `2["x"]`, `[/a,["x"]`, `0`, `["connect"]`, `[-`, `[1,`} {
		f.Add([]byte(s), true, false)
		f.Add([]byte(s), false, true)
	}
	f.Fuzz(func(t *testing.T, frame []byte, acks, binary bool) {
		for _, namespace := range []string{"/", "/admin"} {
			d := siopacket.Decoder{}
			p := plainCodec{namespace: namespace, acks: acks}.decode(&d, transport.Message{Binary: binary, Data: frame})
			if p.Namespace != namespace || d.Pending() {
				t.Fatalf("%q became a packet of namespace %q, want %q", frame, p.Namespace, namespace)
			}
			switch {
			case p.Type == siopacket.Event && len(p.Name) > 0 && !siopacket.Reserved(string(p.Name)):
			case p.Type == siopacket.Ack && acks && !binary && p.HasID:
			default:
				t.Fatalf("%q became a packet of type %d named %q", frame, p.Type, p.Name)
			}
			if p.HasID && !acks {
				t.Fatalf("%q has an ID, want none without acks", frame)
			}
			if !json.Valid(p.Data) {
				t.Fatalf("%q has data %q, want valid JSON", frame, p.Data)
			}
		}
	})
}
