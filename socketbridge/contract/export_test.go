package contract

import (
	"fmt"
	"reflect"
	"strings"
)

// FieldTexts returns the fields or arguments of t as this package reads them, or an error if t
// cannot be used.
func FieldTexts(t reflect.Type) (texts []string, err error) {
	result := newPlan(t)
	if err, unusable := result.(*typeError); unusable {
		return nil, fmt.Errorf("%v: %w", t, err)
	}
	pl := result.(*plan)
	if pl.tuple {
		for _, a := range pl.args {
			name := t.Field(a.index).Name
			texts = append(texts, fmt.Sprintf("%s optional=%v null=%v const=%q", strings.ToLower(name[:1])+name[1:], a.optional, a.optional, ""))
		}
		return texts, nil
	}
	for _, f := range pl.root.fields {
		texts = append(texts, fmt.Sprintf("%s optional=%v null=%v const=%q", f.name, f.optional, f.shape.typ.Kind() == reflect.Pointer, f.kind))
	}
	return texts, nil
}
