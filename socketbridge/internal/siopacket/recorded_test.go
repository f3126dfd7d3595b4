package siopacket_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

const wireFile = "testdata/wire/packets.json"

// recorded is a packet with the messages that socket.io-parser encoded it to.
type recorded struct {
	Name      string
	Type      siopacket.Type
	Namespace string `json:"nsp"`
	ID        *uint64
	Data      json.RawMessage
	Messages  []json.RawMessage
}

func (r recorded) header() siopacket.Header {
	h := siopacket.Header{Type: r.Type, Namespace: r.Namespace}
	if r.ID != nil {
		h.ID, h.HasID = *r.ID, true
	}
	return h
}

// messages returns the text and the attachments of the recorded packet.
func (r recorded) messages(t *testing.T) (text string, attachments [][]byte) {
	t.Helper()
	if err := json.Unmarshal(r.Messages[0], &text); err != nil {
		t.Fatal(err)
	}
	for _, raw := range r.Messages[1:] {
		var b nodetest.Binary
		if err := json.Unmarshal(raw, &b); err != nil {
			t.Fatal(err)
		}
		attachments = append(attachments, b)
	}
	return text, attachments
}

// value decodes JSON to Go values, with []byte for binary data.
func value(t *testing.T, raw json.RawMessage) any {
	t.Helper()
	if raw == nil {
		return nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return revive(v)
}

func revive(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = revive(v[i])
		}
	case map[string]any:
		if text, ok := v["$binary"].(string); ok {
			var b struct {
				Data []byte `json:"$binary"`
			}
			raw, _ := json.Marshal(map[string]string{"$binary": text})
			_ = json.Unmarshal(raw, &b)
			return append([]byte{}, b.Data...)
		}
		for k := range v {
			v[k] = revive(v[k])
		}
	}
	return v
}

func readWire(t *testing.T) []recorded {
	t.Helper()
	file, err := os.ReadFile(wireFile)
	if err != nil {
		t.Fatal(err)
	}
	var out []recorded
	if err := json.Unmarshal(file, &out); err != nil {
		t.Fatal(err)
	}
	if len(out) < 30 {
		t.Fatalf("only %d packets in %s", len(out), wireFile)
	}
	return out
}

// The decoder recovers the values that the reference encoded.
func TestWireDecode(t *testing.T) {
	t.Parallel()
	for _, r := range readWire(t) {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			var d siopacket.Decoder
			text, attachments := r.messages(t)
			p, ok, err := d.Text([]byte(text))
			for _, a := range attachments {
				if ok || err != nil {
					t.Fatalf("before an attachment: %v, %v", ok, err)
				}
				p, ok, err = d.Binary(a)
			}
			if !ok || err != nil {
				t.Fatalf("%v, %v", ok, err)
			}
			if p.Header != r.header() {
				t.Errorf("header %+v, want %+v", p.Header, r.header())
			}
			if got, want := content(t, p), value(t, r.Data); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %#v\nwant %#v", got, want)
			}
		})
	}
}

// content returns a packet's payload as Go values, using every decoding function of
// the package.
func content(t *testing.T, p siopacket.Packet) any {
	t.Helper()
	unmarshal := func(raw []byte) (v any) {
		if err := siopacket.Unmarshal(raw, p.Attachments, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	switch {
	case p.Data == nil:
		return nil
	case p.Type != siopacket.Event && p.Type != siopacket.Ack:
		return unmarshal(p.Data)
	}
	all := []any{}
	if p.Type == siopacket.Event {
		all = append(all, string(p.Name))
	}
	for _, arg := range p.AppendArgs(nil) {
		all = append(all, unmarshal(arg))
	}
	return all
}

// The encoder writes the same bytes as the reference for the same values.
func TestWireEncode(t *testing.T) {
	t.Parallel()
	for _, r := range readWire(t) {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			var args []any
			switch v := value(t, r.Data).(type) {
			case nil:
			case []any:
				args = v
			default:
				args = []any{v}
			}
			want, wantAttachments := r.messages(t)
			got, attachments, err := siopacket.Append(nil, r.header(), args...)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if len(attachments) != len(wantAttachments) {
				t.Fatalf("%d attachments, want %d", len(attachments), len(wantAttachments))
			}
			for i := range attachments {
				if !bytes.Equal(attachments[i], wantAttachments[i]) {
					t.Errorf("attachment %d is %x, want %x", i, attachments[i], wantAttachments[i])
				}
			}
		})
	}
}

// The recording matches what the pinned version of the reference writes.
func TestWireIsCurrent(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile(wireFile)
	if err != nil {
		t.Fatal(err)
	}
	var was, is any
	if err := json.Unmarshal(file, &was); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(nodetest.Start(t).RecordWire(t), &is); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(was, is) {
		t.Error("the recording is stale: run `node record-wire.mjs` in internal/nodetest and review the diff")
	}
}
