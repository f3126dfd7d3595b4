package msgpack

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

func TestS2_DecodePacket(t *testing.T) {
	t.Parallel()
	event := siopacket.Header{Type: siopacket.Event, Namespace: "/"}
	for _, tt := range []struct {
		name, data  string
		header      siopacket.Header
		payload     string
		attachments []string
	}{
		{"connect", "\x82\xa4type\x00\xa3nsp\xa1/", siopacket.Header{Namespace: "/"}, "", nil},
		{"connect with null", "\x83\xa4type\x00\xa4data\xc0\xa3nsp\xa1/", siopacket.Header{Namespace: "/"}, "", nil},
		{"connect with auth", "\x83\xa4type\x00\xa4data\x81\xa1a\x01\xa3nsp\xa5/chat", siopacket.Header{Namespace: "/chat"}, `{"a":1}`, nil},
		{"query of a namespace", "\x82\xa4type\x00\xa3nsp\xa6/a?b=c", siopacket.Header{Namespace: "/a"}, "", nil},
		{"connect with undefined", "\x84\xa4type\x00\xa4data\xd4\x00\x00\xa2id\xd4\x00\x00\xa3nsp\xa1/", siopacket.Header{Namespace: "/"}, "", nil},
		{"disconnect", "\x82\xa3nsp\xa1/\xa4type\x01", siopacket.Header{Type: siopacket.Disconnect, Namespace: "/"}, "", nil},
		{"event", "\x84\xa4type\x02\xa4data\x92\xa1e\xc3\xa7options\x81\xa8compress\xc3\xa3nsp\xa1/", event, `["e",true]`, nil},
		{"event with null for an ID", "\x84\xa4type\x02\xa4data\x91\xa1e\xa2id\xc0\xa3nsp\xa1/", event, `["e"]`, nil},
		{"event with ID", "\x84\xa4type\x02\xa4data\x91\xa1e\xa2id\xcd\x01\x00\xa3nsp\xa1/", siopacket.Header{Type: siopacket.Event, Namespace: "/", ID: 256, HasID: true}, `["e"]`, nil},
		{"event named by a number", "\x83\xa4type\x02\xa4data\x91\x01\xa3nsp\xa1/", event, `[1]`, nil},
		{"event with binary", "\x83\xa4type\x02\xa4data\x93\xa1e\xc4\x02ab\x81\xa1k\xc4\x00\xa3nsp\xa1/", event,
			`["e",{"_placeholder":true,"num":0},{"k":{"_placeholder":true,"num":1}}]`, []string{"ab", ""}},
		{"ack", "\x84\xa4type\x03\xa4data\x90\xa2id\x00\xa3nsp\xa1/", siopacket.Header{Type: siopacket.Ack, Namespace: "/", HasID: true}, `[]`, nil},
		{"undefined of older versions", "\x83\xa4type\x02\xa4data\x92\xa1e\xd4\x00\x00\xa3nsp\xa1/", event, `["e",null]`, nil},
		{"a long map", "\xde\x00\x03\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xd9\x01/", event, `["e"]`, nil},
		{"the last of two", "\x84\xa4type\x00\xa4type\x02\xa4data\x91\xa1e\xa3nsp\xa1/", event, `["e"]`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := []byte(tt.data)
			p, err := DecodePacket(new(siopacket.Decoder), data, 1000)
			if err != nil {
				t.Fatal(err)
			}
			clear(data) // the packet must hold copies
			var attachments []string
			for _, a := range p.Attachments {
				attachments = append(attachments, string(a))
			}
			if p.Header != tt.header || string(p.Data) != tt.payload || !reflect.DeepEqual(attachments, tt.attachments) {
				t.Errorf("got %+v %s %q", p.Header, p.Data, attachments)
			}
			again, err := AppendPacket([]byte("x"), p.Header, p.Data, p.Attachments)
			if err != nil || again[0] != 'x' {
				t.Fatal(err)
			}
			if q, err := DecodePacket(new(siopacket.Decoder), again[1:], 1000); err != nil || !reflect.DeepEqual(p, q) {
				t.Errorf("after encoding: %+v, error %v", q, err)
			}
		})
	}
}

func TestS2_DecodePacketRefused(t *testing.T) {
	t.Parallel()
	rest := "\xa2id\x07\xa3nsp\xa1/"
	deep := strings.Repeat("\x91", 200_000) + "\x01"
	for _, tt := range []struct {
		name, data string
		want       error
		explain    string
	}{
		{"nothing", "", siopacket.ErrSyntax, ""},
		{"no map", "\x91\x01", siopacket.ErrSyntax, ""},
		{"empty map", "\x80", siopacket.ErrSyntax, ""},
		{"map of 4294967295", "\xdf\xff\xff\xff\xff", siopacket.ErrSyntax, ""},
		{"key that is no string", "\x81\x01\x01", siopacket.ErrSyntax, ""},
		{"no type", "\x81\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"unknown type", "\x82\xa4type\x05\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"type is a text", "\x82\xa4type\xa11\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"type is a fraction", "\x82\xa4type\xca\x3f\xc0\x00\x00\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"no namespace", "\x81\xa4type\x00", siopacket.ErrSyntax, ""},
		{"namespace is a number", "\x82\xa4type\x00\xa3nsp\x01", siopacket.ErrSyntax, ""},
		{"namespace with a comma", "\x82\xa4type\x00\xa3nsp\xa4/a,b", siopacket.ErrSyntax, ""},
		{"namespace without a slash", "\x82\xa4type\x00\xa3nsp\xa1a", siopacket.ErrSyntax, ""},
		{"namespace that is not UTF-8", "\x82\xa4type\x00\xa3nsp\xa2/\xff", siopacket.ErrSyntax, ""},
		{"negative ID", "\x84\xa4type\x02\xa4data\x91\xa1e\xa2id\xff\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"ID that JavaScript cannot hold", "\x84\xa4type\x02\xa4data\x91\xa1e\xa2id\xcf\x00\x03\x8d\x7e\xa4\xc6\x80\x00\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"ack without ID", "\x83\xa4type\x03\xa4data\x90\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"event without data", "\x82\xa4type\x02\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"event with an object", "\x83\xa4type\x02\xa4data\x80\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"event without a name", "\x83\xa4type\x02\xa4data\x90\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"binary name", "\x83\xa4type\x02\xa4data\x91\xc4\x01a\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"reserved name", "\x83\xa4type\x02\xa4data\x91\xa7connect\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"disconnect with data", "\x83\xa4type\x01\xa4data\x80\xa3nsp\xa1/", siopacket.ErrSyntax, ""},
		{"bytes after the packet", "\x82\xa4type\x00\xa3nsp\xa1/\x00", siopacket.ErrSyntax, ""},
		{"truncated data", "\x82\xa4type\x02\xa4data\x92\xa1e", siopacket.ErrSyntax, ""},
		{"truncated deep data", "\x84\xa4type\x02\xa4data\x92\xa1e" + strings.Repeat("\x91", 2000), siopacket.ErrSyntax, ""},
		{"unknown key, truncated", "\x81\xa1k\x9f", siopacket.ErrSyntax, ""},

		{"too deep", "\x84\xa4type\x02\xa4data\x92\xa1e" + strings.Repeat("\x91", 128) + "\x01" + rest, siopacket.ErrLimit, "values nested deeper than 128"},
		{"very deep", "\x84\xa4type\x02\xa4data\x92\xa1e" + deep + rest, siopacket.ErrLimit, "values nested deeper than 128"},
		{"arguments", "\x84\xa4type\x02\xa4data\xdc\x00\x42\xa1e" + strings.Repeat("\x01", 65) + rest, siopacket.ErrLimit, "more than 64 arguments"},
		{"binary values", "\x84\xa4type\x02\xa4data\x9c\xa1e" + strings.Repeat("\xc4\x00", 11) + rest, siopacket.ErrLimit, "more than 10 binary attachments"},
		{"very many binary values", "\x84\xa4type\x02\xa4data\xdc\x07\xd0\xa1e" + strings.Repeat("\xc4\x00", 1999) + rest, siopacket.ErrLimit, "more than 10 binary attachments"},
		{"text", "\x84\xa4type\x02\xa4data\x92\xa1e\xdc\x27\x10" + strings.Repeat("\xc0", 10_000) + rest, siopacket.ErrLimit, "more data than it may have as JSON"},
		{"look-alike", "\x84\xa4type\x02\xa4data\x93\xa1e\xc4\x00\x82\xac_placeholder\xc3\xa3num\x00" + rest, siopacket.ErrLimit, "an object that looks like the placeholder of a binary attachment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d siopacket.Decoder
			p, err := DecodePacket(&d, []byte(tt.data), 40_000)
			if !errors.Is(err, tt.want) || d.Limits.Explain(err) != tt.explain || d.Pending() {
				t.Errorf("got %+v, error %v (%s)", p, err, d.Limits.Explain(err))
			}
			want := siopacket.Header{}
			if tt.want == siopacket.ErrLimit {
				want = siopacket.Header{Type: siopacket.Event, Namespace: "/", ID: 7, HasID: true}
			}
			if p.Header != want || p.Data != nil || p.Attachments != nil {
				t.Errorf("refused %+v", p)
			}
		})
	}
}

// FuzzDecodePacket checks that nothing panics, that the size of a packet is bounded, and that
// an accepted packet survives encoding.
func FuzzDecodePacket(f *testing.F) {
	for _, seed := range []string{
		"\x82\xa4type\x00\xa3nsp\xa1/", "\x83\xa4type\x00\xa4data\x81\xa1a\x01\xa3nsp\xa5/chat",
		"\x84\xa4type\x02\xa4data\x92\xa1e\xc3\xa7options\x81\xa8compress\xc3\xa3nsp\xa1/",
		"\x84\xa4type\x02\xa4data\x93\xa1e\xc4\x02ab\x81\xa1k\xc4\x00\xa2id\xcd\x01\x00\xa3nsp\xa1/",
		"\x84\xa4type\x03\xa4data\x91\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa2id\x00\xa3nsp\xa1/",
		"\x84\xa4type\x02\xa4data\x92\xa1e\xd6\xff\x00\x00\x00\x01\xa2id\x01\xa3nsp\xa1/",
		"\x84\xa4type\x02\xa4data\x93\xa1e\xc4\x00\x82\xac_placeholder\xc3\xa3num\x00\xa2id\x07\xa3nsp\xa1/",
		"\xdf\xff\xff\xff\xff", "\x84\xa4type\x02\xa4data\x92\xa1e" + strings.Repeat("\x91", 1100) + "\x01\xa2id\x07\xa3nsp\xa1/",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const maxText = 4000
		var d siopacket.Decoder
		p, err := DecodePacket(&d, bytes.Clone(data), maxText)
		if err != nil {
			refused := errors.Is(err, siopacket.ErrLimit)
			if refused == errors.Is(err, siopacket.ErrSyntax) || p.Data != nil || refused && d.Limits.Explain(err) == "" {
				t.Fatalf("%+v, error %v", p, err)
			}
			return
		}
		if len(p.Data) > maxText+6*len(data)+100 || len(p.Data) > 0 && !json.Valid(p.Data) || len(p.Attachments) > 10 {
			t.Fatalf("%d bytes became %d: %.100s", len(data), len(p.Data), p.Data)
		}
		again, err := AppendPacket(nil, p.Header, p.Data, p.Attachments)
		if err != nil {
			t.Fatalf("%s cannot be encoded: %v", p.Data, err)
		}
		q, err := DecodePacket(&d, again, 1<<30)
		if err != nil || p.Header != q.Header || !bytes.Equal(p.Name, q.Name) || len(p.Attachments) != len(q.Attachments) {
			t.Fatalf("%s changed to %+v %s, error %v", p.Data, q.Header, q.Data, err)
		}
	})
}
