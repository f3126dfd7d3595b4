package msgpack

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

const ph = `{"_placeholder":true,"num":`

// The encodings of notepack.io 3.0.1 and the JSON of the same values, in both directions.
func TestWire(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text, data string
		attachments      []string
	}{
		{"null", `null`, "\xc0", nil},
		{"true", `true`, "\xc3", nil},
		{"false", `false`, "\xc2", nil},
		{"0", `0`, "\x00", nil},
		{"127", `127`, "\x7f", nil},
		{"128", `128`, "\xcc\x80", nil},
		{"256", `256`, "\xcd\x01\x00", nil},
		{"65536", `65536`, "\xce\x00\x01\x00\x00", nil},
		{"4294967296", `4294967296`, "\xcf\x00\x00\x00\x01\x00\x00\x00\x00", nil},
		{"the largest", `18446744073709551615`, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", nil},
		{"-1", `-1`, "\xff", nil},
		{"-32", `-32`, "\xe0", nil},
		{"-33", `-33`, "\xd0\xdf", nil},
		{"-129", `-129`, "\xd1\xff\x7f", nil},
		{"-32769", `-32769`, "\xd2\xff\xff\x7f\xff", nil},
		{"-2147483649", `-2147483649`, "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", nil},
		{"1.5", `1.5`, "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", nil},
		{"empty text", `""`, "\xa0", nil},
		{"text", `"é\n"`, "\xa3é\n", nil},
		{"text of 32", `"` + strings.Repeat("a", 32) + `"`, "\xd9\x20" + strings.Repeat("a", 32), nil},
		{"text of 256", `"` + strings.Repeat("a", 256) + `"`, "\xda\x01\x00" + strings.Repeat("a", 256), nil},
		{"text of 65536", `"` + strings.Repeat("a", 65536) + `"`, "\xdb\x00\x01\x00\x00" + strings.Repeat("a", 65536), nil},
		{"array", `[1,[],{}]`, "\x93\x01\x90\x80", nil},
		{"array of 16", `[` + strings.Repeat("0,", 15) + `0]`, "\xdc\x00\x10" + strings.Repeat("\x00", 16), nil},
		{"array of 65536", `[` + strings.Repeat("0,", 65535) + `0]`, "\xdd\x00\x01\x00\x00" + strings.Repeat("\x00", 65536), nil},
		{"object", `{"b":1,"a":{"c":null}}`, "\x82\xa1b\x01\xa1a\x81\xa1c\xc0", nil},
		{"object of 16", `{` + strings.Repeat(`"k":0,`, 15) + `"k":0}`, "\xde\x00\x10" + strings.Repeat("\xa1k\x00", 16), nil},
		{"binary", `["e",` + ph + `0},[` + ph + `1}]]`, "\x93\xa1e\xc4\x02ab\x91\xc4\x00", []string{"ab", ""}},
		{"binary of 256", ph + `0}`, "\xc5\x01\x00" + strings.Repeat("b", 256), []string{strings.Repeat("b", 256)}},
		{"binary of 65536", ph + `0}`, "\xc6\x00\x01\x00\x00" + strings.Repeat("b", 65536), []string{strings.Repeat("b", 65536)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var attachments [][]byte
			for _, a := range tt.attachments {
				attachments = append(attachments, []byte(a))
			}
			data, err := Append([]byte("x"), []byte(tt.text), attachments)
			if err != nil || string(data) != "x"+tt.data {
				t.Errorf("Append: %.80q, %v, want %.80q", data, err, tt.data)
			}
			text, got, err := JSON([]byte(tt.data), Limits{})
			if err != nil || string(text) != tt.text || !reflect.DeepEqual(got, attachments) {
				t.Errorf("JSON: %.80s %.80q, %v, want %.80s", text, got, err, tt.text)
			}
		})
	}
}

// Encodings that notepack.io does not write but other libraries may.
func TestJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, data, want string }{
		{"float32", "\xca\x3f\xc0\x00\x00", `1.5`},
		{"large float", "\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c", `1e+300`},
		{"not a number", "\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01", `null`},
		{"infinite", "\xca\xff\x80\x00\x00", `null`},
		{"key that is a number", "\x82\x01\xc0\xff\xc0", `{"1":null,"-1":null}`},
		{"date of notepack.io 2", "\xd7\x00\x00\x00\x01\x9b\x7c\xa9\x8f\x2e", `"2026-01-02T03:04:05.678Z"`},
		{"date of notepack.io 2 before 1970", "\xd7\x00\xff\xff\xff\xff\xff\xff\xff\xff", `"1969-12-31T23:59:59.999Z"`},
		{"date of notepack.io 2 beyond years", "\xd7\x00\x7f\xff\xff\xff\xff\xff\xff\xff", `null`},
		{"date", "\xd6\xff\x00\x00\x00\x01", `"1970-01-01T00:00:01.000Z"`},
		{"date with milliseconds", "\xd7\xff\x1d\xcd\x65\x00\x00\x00\x00\x01", `"1970-01-01T00:00:01.125Z"`},
		{"date before 1970", "\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", `"1969-12-31T23:59:59.000Z"`},
		{"date after the year 9999", "\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff", `null`},
		{"ArrayBuffer", "\xc7\x01\x00a", ph + `0}`},
		{"extension", "\xd4\x05a", `[5,` + ph + `0}]`},
		{"invalid UTF-8", "\xa2a\xff", `"a` + "\ufffd" + `"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text, _, err := JSON([]byte(tt.data), Limits{})
			if err != nil || string(text) != tt.want {
				t.Errorf("got %s, %v, want %s", text, err, tt.want)
			}
		})
	}
}

func TestJSONRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, data string
		want       error
	}{
		{"nothing", "", ErrSyntax},
		{"unknown type", "\xc1", ErrSyntax},
		{"two values", "\x00\x00", ErrSyntax},
		{"array of 4294967295", "\xdd\xff\xff\xff\xff", ErrSyntax},
		{"map of 4294967295", "\xdf\xff\xff\xff\xff", ErrSyntax},
		{"text of 4294967295", "\xdb\xff\xff\xff\xffa", ErrSyntax},
		{"binary of 4294967295", "\xc6\xff\xff\xff\xffa", ErrSyntax},
		{"extension of 4294967295", "\xc9\xff\xff\xff\xff\x00a", ErrSyntax},
		{"half a number", "\xcf\x00", ErrSyntax},
		{"half a map", "\x81\xa1k", ErrSyntax},
		{"key that is an array", "\x81\x90\x00", ErrSyntax},
		{"key that is null", "\x81\xc0\x00", ErrSyntax},
		{"key that is binary", "\x81\xc4\x00\x00", ErrSyntax},
		{"timestamp of 1 byte", "\xd4\xff\x00", ErrSyntax},
		{"extension without type", "\xc7\x00", ErrSyntax},
		{"depth", strings.Repeat("\x91", 5000) + "\x00", ErrLimit},
		{"many binary values", "\xdc\x03\xe9" + strings.Repeat("\xc4\x00", 1001), ErrLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if text, _, err := JSON([]byte(tt.data), Limits{}); !errors.Is(err, tt.want) {
				t.Errorf("got %.80s, %v, want %v", text, err, tt.want)
			}
		})
	}
}

func TestAppendRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		``, ` `, `x`, `tru`, `nul`, `-`, `1.2.3`, `1e`, `+1`, `"a`, `"a\`, `"\x"`, "\"\n\"", `[`, `[1`, `[1,`, `[1 2]`, `{`, `{1:2}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[]x`,
		ph + `5}`, ph + `-1}`, strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
	} {
		if out, err := Append([]byte("x"), []byte(text), [][]byte{{1}}); err == nil || string(out) != "x" {
			t.Errorf("%.40s: %q, %v", text, out, err)
		}
	}
}

// Placeholders are recognized in any form that JSON allows. Objects that only resemble
// a placeholder are data.
func TestAppendPlaceholders(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{ "num" : 0, "_placeholder" : true }`: "\xc4\x01b",
		`{"\u005fplaceholder":true,"num":0}`:   "\xc4\x01b",
		`{"_placeholder":false,"num":0}`:       "\x82\xac_placeholder\xc2\xa3num\x00",
		`{"_placeholder":true}`:                "\x81\xac_placeholder\xc3",
		`[ { } ]`:                              "\x91\x80",
	} {
		if got, err := Append(nil, []byte(text), [][]byte{[]byte("b")}); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	if got, err := Append(nil, []byte(ph+`0}`), nil); err != nil || string(got) != "\x82\xac_placeholder\xc3\xa3num\x00" {
		t.Errorf("without attachments: %q, %v", got, err)
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{"\x93\xa1e\xc4\x02ab\x91\xc4\x00", "\x82\x01\xc0\xff\xc0", "\xd7\xff\x1d\xcd\x65\x00\x00\x00\x00\x01", "\xdd\xff\xff\xff\xff", "\xca\xff\x80\x00\x00", "\xc7\x01\x00a"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text, attachments, err := JSON(data, Limits{})
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q was converted to %s", data, text)
		}
		if len(text) > 6*len(data)+40*len(attachments)+32 {
			t.Errorf("%d bytes were converted to %d bytes", len(data), len(text))
		}
		// Converting the result back and forth again gives the same text, unless it
		// contains an object that resembles a placeholder.
		if bytes.Count(text, []byte("placeholder")) != len(attachments) {
			return
		}
		again, err := Append(nil, text, attachments)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		text2, attachments2, err := JSON(again, Limits{})
		if err != nil || !bytes.Equal(text, text2) || len(attachments) != len(attachments2) {
			t.Errorf("%s changed to %s, error %v", text, text2, err)
		}
	})
}

func FuzzAppend(f *testing.F) {
	for _, seed := range []string{`["e",{"_placeholder":true,"num":0}]`, `{"a":[1,-2.5e3,null,true,"\u00e9\n"]}`, `[[[]]]`, `{`, `18446744073709551616`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		data, err := Append(nil, text, nil)
		if err != nil {
			if json.Valid(text) && bytes.IndexByte(text, '[') < 0 && !bytes.ContainsAny(text, "eE{") {
				t.Errorf("%s: %v", text, err)
			}
			return
		}
		if out, _, err := JSON(data, Limits{}); err != nil && !errors.Is(err, ErrLimit) || err == nil && !json.Valid(out) {
			t.Errorf("%s was converted to %s, error %v", text, out, err)
		}
	})
}
