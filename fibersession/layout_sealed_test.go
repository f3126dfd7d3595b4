package fibersession

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
)

func sampleEnvelope() envelope {
	at := time.Unix(1_700_000_000, 123456789)
	return envelope{
		meta: meta{
			revision: 7, epoch: 2, created: at, expiry: at.Add(time.Hour), absolute: at.Add(24 * time.Hour),
			idle: time.Hour, lineage: lineage{1, 2, 3},
		},
		kind: kindLive, codec: codec.MarkTyped, owner: fingerprintOf("id"), payload: []byte("values"),
	}
}

func TestEnvelope_RoundTrip(t *testing.T) {
	t.Parallel()
	moved := sampleEnvelope()
	to := fingerprintOf("new")
	moved.kind, moved.payload = kindMoved, to[:]
	unlimited := sampleEnvelope()
	unlimited.absolute, unlimited.payload = time.Time{}, []byte{}
	fields := sampleEnvelope()
	fields.client, fields.newerFields = clientInfo{address: "192.0.2.1", userAgent: "a browser"}, "\xff\x00\x03new"
	notes := sampleEnvelope()
	notes.notes, _ = noteList("").add(fingerprintOf("old"), time.Unix(1_700_000_000, 0), time.Time{})
	newer := sampleEnvelope()
	newer.newerFields = fields.newerFields
	for name, e := range map[string]envelope{
		"live": sampleEnvelope(), "moved": moved, "no absolute limit, empty": unlimited,
		"F6 with fields of this and a newer version": fields, "F6 with a newer version's fields alone": newer,
		"N5 with notes of former IDs": notes,
	} {
		got, err := decodeEnvelope(e.encode())
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%s: got error %v\ngot  %+v\nwant %+v", name, err, got, e)
		}
	}
}

func TestEnvelope_Refuses(t *testing.T) {
	t.Parallel()
	good := sampleEnvelope().encode()
	if _, err := decodeEnvelope(good); err != nil {
		t.Fatal(err)
	}
	for n := range envelopeHeader {
		if _, err := decodeEnvelope(good[:n]); err == nil {
			t.Errorf("truncated after %d bytes: got no error", n)
		}
	}
	tests := map[string]func(b []byte) []byte{
		"another magic":          func(b []byte) []byte { b[0] = 'x'; return b },
		"unknown version":        func(b []byte) []byte { b[3] = 1; return b },
		"no kind":                func(b []byte) []byte { b[4] = 0; return b },
		"unknown kind":           func(b []byte) []byte { b[4] = 3; return b },
		"reserved bytes":         func(b []byte) []byte { b[6] = 1; return b },
		"no expiry":              func(b []byte) []byte { clear(b[32:40]); return b },
		"no idle limit":          func(b []byte) []byte { clear(b[48:56]); return b },
		"negative idle limit":    func(b []byte) []byte { b[48] = 0x80; return b },
		"moved without a target": func(b []byte) []byte { b[4] = byte(kindMoved); return b },
	}
	for name, corrupt := range tests {
		if _, err := decodeEnvelope(corrupt(bytes.Clone(good))); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	for name, fields := range map[string]string{
		"a cut header":                "\x01\x00",
		"an empty field":              "\x01\x00\x00",
		"a cut field":                 "\x01\x00\x02a",
		"a field twice":               "\x01\x00\x01a\x01\x00\x01a",
		"fields in descending order":  "\x02\x00\x01a\x01\x00\x01a",
		"N5 a cut note":               "\x04\x00\x01a",
		"an address that is too long": "\x01\x00\x41" + strings.Repeat("1", maxAddress+1),
	} {
		e := sampleEnvelope()
		e.newerFields = fields
		if _, err := decodeEnvelope(e.encode()); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// An envelope that decodes encodes to the same bytes: no byte is ignored.
func FuzzEnvelope(f *testing.F) {
	f.Add(sampleEnvelope().encode())
	fields := sampleEnvelope()
	fields.client, fields.newerFields = clientInfo{address: "192.0.2.1", userAgent: "a browser"}, "\xff\x00\x03new"
	f.Add(fields.encode())
	f.Add([]byte(envelopeMagic))
	f.Add(make([]byte, envelopeHeader))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEnvelope(b)
		if err != nil {
			return
		}
		if got := e.encode(); !bytes.Equal(got, b) {
			t.Errorf("decoding and encoding %x\ngot %x", b, got)
		}
	})
}
