package contract_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen/testdata/fields"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen/testdata/fields/unusable"
)

// TestM1_GenReadsTheSameFields: the generator, which reads source, finds the fields that this
// package finds by reflection.
func TestM1_GenReadsTheSameFields(t *testing.T) {
	t.Parallel()
	c, err := gen.Load("", "./gen/testdata/fields")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Asks) != len(fields.All) {
		t.Fatalf("%d events; want %d", len(c.Asks), len(fields.All))
	}
	for _, e := range c.Asks {
		list := e.In.List
		if !e.In.Tuple {
			list = list[0].Type.Fields
		}
		var got []string
		for _, f := range list {
			got = append(got, fmt.Sprintf("%s optional=%v null=%v const=%q", f.Name, f.Optional, f.Nullable, f.Const))
		}
		want, err := contract.FieldTexts(reflect.TypeOf(fields.All[e.Name]))
		if err != nil {
			t.Error(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngenerator: %q\nruntime:   %q", e.Name, got, want)
		}
	}
}

// TestM1_GenRefusesTheSameTypes: what Handle refuses is an error of the generator.
func TestM1_GenRefusesTheSameTypes(t *testing.T) {
	t.Parallel()
	_, err := gen.Load("", "./gen/testdata/fields/unusable")
	if err == nil {
		t.Fatal("there is no error")
	}
	t.Log(err)
	for name, v := range unusable.All {
		_, refused := contract.FieldTexts(reflect.TypeOf(v))
		t.Log(name, refused)
		if refused == nil {
			t.Errorf("%s %T: the runtime accepts it", name, v)
		}
		if !strings.Contains(err.Error(), ": "+name+": ") {
			t.Errorf("%s %T: the generator accepts it", name, v)
		}
	}
}
