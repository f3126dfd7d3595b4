package contract

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"

	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/internal/lint"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// plan is what is known of the In or Out of an event.
type plan struct {
	root  *shape
	args  []argument
	tuple bool
	// strict refuses arguments beyond args.
	strict bool
	// rules checks `validate` tags. It is nil if there are none.
	rules *validator.Validate
	// dives are the rules of the only argument, if it is a list or a map.
	dives string
}

// argument is one argument. In a tuple it is a field.
type argument struct {
	shape    *shape
	index    int
	optional bool
	omitted  bool // when it is empty
}

// plans has a *plan or a *typeError for each type that was used, by reflect.Type.
var plans sync.Map

// mustPlan returns the plan of T. It panics if T cannot be used. The message names the event and
// its role.
func mustPlan[T any](role, event string) *plan {
	t := reflect.TypeFor[T]()
	found, ok := plans.Load(t)
	if !ok {
		found, _ = plans.LoadOrStore(t, newPlan(t))
	}
	if err, bad := found.(*typeError); bad {
		panic("contract: " + role + " " + event + ": " + err.text)
	}
	return found.(*plan)
}

// mustName panics if an event cannot have the name. The message has its role.
func mustName(role, event string) {
	if wrong := lint.Name(event, role == "event"); wrong != "" {
		panic(fmt.Sprintf("contract: %s %q: %s", role, event, wrong))
	}
}

// newPlan returns a *plan or a *typeError.
func newPlan(t reflect.Type) (result any) {
	defer func() {
		if r := recover(); r != nil {
			err, ok := r.(*typeError)
			if !ok {
				panic(r)
			}
			result = err
		}
	}()
	pl := &plan{tuple: embeds(t, tupleType), strict: embeds(t, strictType)}
	if t == noneType {
		return pl
	}
	b := newBuilder()
	pl.root = b.shapeOf(t)
	if pl.tuple {
		pl.args = b.arguments(t)
	} else {
		pl.strict = false // it is about the fields of the only argument
		pl.args = []argument{{shape: pl.root, optional: t.Kind() == reflect.Pointer}}
	}
	for _, finish := range b.unions {
		finish()
	}
	if b.checkRules() {
		pl.rules, pl.dives = b.validator(), b.diveTag(pl.root)
	}
	b.settle()
	return pl
}

// arguments returns the fields of a tuple.
func (b *builder) arguments(t reflect.Type) (args []argument) {
	hidden := ""
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() && !f.Anonymous {
			hidden = f.Name
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Type == tupleType || f.Type == strictType || !f.IsExported() && !f.Anonymous || name == "-" && options == "":
			continue
		case f.Anonymous:
			unusable("%v embeds %v, which cannot be an argument of its own: name the field", t, f.Type)
		}
		omitted := omissionOf(options) != 0
		a := argument{b.shapeOf(f.Type), i, omitted || f.Type.Kind() == reflect.Pointer, omitted}
		if len(args) > 0 && args[len(args)-1].optional && !a.optional {
			unusable("argument %s of %v is required, but follows an optional one", f.Name, t)
		}
		args = append(args, a)
	}
	if len(args) == 0 && hidden != "" {
		unusable("no field of %v is exported: %s cannot be an argument", t, hidden)
	}
	return args
}

// settle removes prepare from the shapes whose values are always sent as they are.
func (b *builder) settle() {
	differs := map[*shape]bool{}
	for again := true; again; {
		again = false
		for _, s := range b.shapes {
			if differs[s] || s.prepare == nil {
				continue
			}
			k := s.typ.Kind()
			yes := k == reflect.Slice || k == reflect.Map || k == reflect.Interface || s.elem != nil && differs[s.elem]
			for _, f := range s.fields {
				yes = yes || f.kind != "" || differs[f.shape]
			}
			if yes {
				differs[s], again = true, true
			}
		}
	}
	for _, s := range b.shapes {
		if !differs[s] {
			s.prepare = nil
		}
	}
}

// input is what the arguments of one event are read from.
type input struct {
	texts       []json.RawMessage
	attachments [][]byte
	reader      reader // of the argument that is being decoded; here, because it is passed by address
}

// decodePacket stores the arguments of p in v. Its error is the answer to the client.
func (pl *plan) decodePacket(p *socketbridge.Packet, in *input, v reflect.Value) error {
	in.texts, in.attachments = p.Args(), p.Attachments()
	if m := pl.decode(in, v); m != nil {
		return m.argumentError(p.Event())
	}
	return nil
}

// decodeAnswer stores the arguments of a client's answer in v.
func (pl *plan) decodeAnswer(a socketbridge.Answer, v reflect.Value) *misfit {
	var in input
	for _, value := range a.Values() {
		text, attachments := siopacket.Value(value.(socketbridge.Value)).Parts()
		in.texts = append(in.texts, text)
		if attachments != nil {
			in.attachments = attachments // those of the whole packet
		}
	}
	return pl.decode(&in, v)
}

// decode stores arguments in v, and checks the rules.
func (pl *plan) decode(in *input, v reflect.Value) *misfit {
	n, r := len(in.texts), &in.reader
	for i := range pl.args {
		a := &pl.args[i]
		if i < n {
			*r = reader{text: in.texts[i], attachments: in.attachments}
		}
		if i >= n || a.optional && r.peek() == 'n' {
			if !a.optional {
				return expected(a.shape.what).at(i)
			}
			continue
		}
		to := v
		if pl.tuple {
			to = v.Field(a.index)
		}
		if m := a.shape.decode(r, to); m != nil {
			return m.at(i)
		}
	}
	if pl.strict && n > len(pl.args) {
		return expected(fmt.Sprintf("%d arguments", len(pl.args))).at(len(pl.args))
	}
	if pl.rules == nil {
		return nil
	}
	m := pl.check(v)
	switch {
	case m == nil:
		return nil
	case pl.tuple:
		outer := &m.path[len(m.path)-1]
		outer.name = pl.position(outer.name)
		return m
	}
	return m.at(0)
}

// position returns the position of the argument with a name of checkValue's path.
func (pl *plan) position(name string) string {
	for i := range pl.args {
		if name == jsonName(pl.root.typ.Field(pl.args[i].index)) {
			return fmt.Sprint(i)
		}
	}
	return name
}

// arguments returns what is sent for v, a value of the plan's type.
func (pl *plan) arguments(v any) []any {
	switch {
	case len(pl.args) == 0:
		return nil
	case !pl.tuple:
		return []any{pl.root.send(v)}
	}
	rv := reflect.ValueOf(v)
	args := make([]any, 0, len(pl.args))
	used := 0
	for _, a := range pl.args {
		f := rv.Field(a.index)
		if a.omitted && isEmpty(f) {
			args = append(args, nil)
			continue
		}
		args = append(args, a.shape.send(f.Interface()))
		if !a.optional || !f.IsZero() {
			used = len(args)
		}
	}
	return args[:used]
}

// send returns what is sent for v.
func (s *shape) send(v any) any {
	if s.prepare == nil || v == nil {
		return v
	}
	// v is in a variable of the shape's type, which can be an interface.
	in := reflect.New(s.typ).Elem()
	in.Set(reflect.ValueOf(v))
	out, changed := s.prepare(in)
	if !changed {
		return v
	}
	return out.Interface()
}
