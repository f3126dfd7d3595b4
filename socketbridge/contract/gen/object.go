package gen

import (
	"bytes"
	"encoding/json"
)

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

func (o *object) set(name string, value any) { *o = append(*o, member{name, value}) }

func (o object) get(name string) (any, bool) {
	for _, m := range o {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

// MarshalJSON writes the members in order.
func (o object) MarshalJSON() ([]byte, error) {
	var w bytes.Buffer
	w.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			w.WriteByte(',')
		}
		w.WriteString(quote(m.name))
		w.WriteByte(':')
		text, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		w.Write(text)
	}
	w.WriteByte('}')
	return w.Bytes(), nil
}

// marshal is json.Marshal that leaves <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(w.Bytes(), "\n"), err
}

// compactJSON returns v as JSON. v is made of strings, numbers, lists and objects.
func compactJSON(v any) string {
	text, err := marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// document returns o as a file.
func document(o object) []byte {
	var w bytes.Buffer
	if err := json.Indent(&w, []byte(compactJSON(o)), "", "  "); err != nil {
		panic(err)
	}
	w.WriteByte('\n')
	return w.Bytes()
}
