package lint

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// ruleNames returns the names of the rules that the library has.
func ruleNames(t *testing.T) (names []string) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/go-playground/validator/v10").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "baked_in.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"bakedInAliases = map[string]string{", "bakedInValidators = map[string]Func{"} {
		_, after, found := strings.Cut(string(source), list)
		body, _, closed := strings.Cut(after, "\n\t}\n")
		if !found || !closed {
			t.Fatalf("the library has no %s", list)
		}
		for _, m := range regexp.MustCompile(`(?m)^\s+"(\w+)":`).FindAllStringSubmatch(body, -1) {
			names = append(names, m[1])
		}
	}
	if len(names) < 150 {
		t.Fatalf("found %d rules only: %q", len(names), names)
	}
	return names
}

// samples are structs with a field of each class, with values that rules tell apart. The other
// field is for rules that compare with it.
var samples = map[class][]any{
	integers: {
		struct{ A, B int }{0, 0}, struct{ A, B int }{1, 1}, struct{ A, B int }{1, 2}, struct{ A, B int }{-1, -2}, struct{ A, B int }{A: 840}, struct{ A, B int }{A: 40},
		struct{ A, B int }{A: 18}, struct{ A, B int }{A: 978}, struct{ A, B int }{A: 70000}, struct{ A, B int }{A: 181},
	},
	floats:     {struct{ A, B float64 }{0, 0}, struct{ A, B float64 }{1, 2}, struct{ A, B float64 }{2, 1}, struct{ A, B float64 }{A: 181}},
	bools:      {struct{ A, B bool }{}, struct{ A, B bool }{A: true}, struct{ A, B bool }{true, true}},
	lists:      {struct{ A, B []string }{}, struct{ A, B []string }{[]string{}, []string{""}}, struct{ A, B []string }{A: []string{"a"}}, struct{ A, B []string }{[]string{"a", "a"}, []string{"a", "b"}}},
	bytes:      {struct{ A, B []byte }{A: []byte("x")}, struct{ A, B []byte }{A: []byte("1")}},
	times:      {struct{ A, B time.Time }{}, struct{ A, B time.Time }{time.Now().Add(time.Hour), time.Now()}, struct{ A, B time.Time }{time.Now(), time.Now().Add(time.Hour)}},
	structs:    {struct{ A, B struct{ C int } }{}, struct{ A, B struct{ C int } }{struct{ C int }{1}, struct{ C int }{2}}},
	interfaces: {struct{ A, B any }{}, struct{ A, B any }{1., true}, struct{ A, B any }{true, 1.}, struct{ A, B any }{map[string]any{}, "x"}, struct{ A, B any }{"x", []any{}}},
}

// paramOf returns a parameter that the rule can have on a class.
func paramOf(name string, c class) string {
	switch {
	case c == bools && (name == "eq" || name == "ne"):
		return "=true"
	case strings.HasSuffix(name, "field"), strings.HasPrefix(name, "required_with"), strings.HasPrefix(name, "excluded_with"):
		return "=B"
	case strings.HasSuffix(name, "_if"), strings.HasSuffix(name, "_unless"):
		if c == bools {
			return "=B true"
		}
		return "=B 1"
	case c == times:
		return ""
	case strings.Contains(" len eq ne min max gt gte lt lte oneof noneof ", " "+name+" "):
		return "=1"
	}
	return ""
}

// TestM1_RulesOfTypes: of the rules of the library, those that tell values of a Go type apart fit
// it, and no rule that fits panics. A new version of the library can have new ones.
func TestM1_RulesOfTypes(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, name := range ruleNames(t) {
		known[name] = true
		for c, values := range samples {
			results, panics := map[bool]bool{}, ""
			for _, v := range values {
				of := reflect.TypeOf(v)
				a := of.Field(0)
				a.Tag = reflect.StructTag(fmt.Sprintf("validate:%q", name+paramOf(name, c)))
				tagged := reflect.StructOf([]reflect.StructField{a, of.Field(1)})
				func() {
					defer func() {
						if r := recover(); r != nil {
							panics = fmt.Sprint(r)
						}
					}()
					results[library.Struct(reflect.ValueOf(v).Convert(tagged).Interface()) == nil] = true
				}()
			}
			classes := c
			if c == bytes {
				classes |= lists
			}
			switch does := fits[name]&classes != 0; {
			case name == "validateFn", name == "multibyte": // of methods; of the length alone for lists
			case does && panics != "":
				t.Errorf("%s fits %v, but panics: %s", name, values, panics)
			case does && len(results) < 2 && fits[name] != all && !(c == bytes && fits[name]&lists != 0) &&
				name != "boolean" && name != "number" && name != "numeric": // these accept all
				t.Errorf("%s fits %v, but says nothing about them", name, values)
			case !does && panics == "" && len(results) == 2 && c != interfaces && !(c == bytes && fits[name]&lists != 0):
				t.Errorf("%s does not fit %v, but tells them apart", name, values)
			}
		}
	}
	for name := range fits {
		if !known[name] {
			t.Errorf("the library has no rule %s", name)
		}
	}
	for name := range ofStringers {
		if !known[name] {
			t.Errorf("the library has no rule %s", name)
		}
	}
}

// TestM1_RulesOfSomeValues: a rule that Tag accepts for a type tells its values apart, or is about
// the type: a client's value makes no rule panic.
func TestM1_RulesOfSomeValues(t *testing.T) {
	t.Parallel()
	accepted := 0
	for _, name := range ruleNames(t) {
		for c, values := range samples {
			of := reflect.TypeOf(values[0])
			a := of.Field(0)
			a.Tag = reflect.StructTag(fmt.Sprintf("validate:%q", name+paramOf(name, c)))
			tagged := reflect.StructOf([]reflect.StructField{a, of.Field(1)})
			if Tag(tagged, tagged.Field(0)) != "" {
				continue
			}
			accepted++
			for _, v := range values {
				_ = library.Struct(reflect.ValueOf(v).Convert(tagged).Interface())
			}
		}
	}
	if accepted < 150 {
		t.Errorf("accepted %d rules only", accepted)
	}
}
