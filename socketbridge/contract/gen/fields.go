package gen

import (
	"fmt"
	"go/types"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract/internal/lint"
)

// fields returns the fields of s by the rules of encoding/json, or one argument for each field, and
// the rules for embedded structs.
func (b *builder) fields(t types.Type, s *types.Struct, tuple bool) (out []Field, embedded []Embedded) {
	type found struct {
		Field
		source        *types.Var
		in            types.Type
		tag           string
		depth         int
		tagged, twice bool
	}
	hidden := ""
	var order []string
	best := map[string]found{}
	var walk func(in types.Type, depth int, direct, checked bool)
	walk = func(in types.Type, depth int, direct, checked bool) {
		if depth > 20 {
			failf("%s embeds itself", t)
		}
		s := in.Underlying().(*types.Struct)
		for i := range s.NumFields() {
			f, tag := s.Field(i), reflect.StructTag(s.Tag(i))
			name, options, _ := strings.Cut(tag.Get("json"), ",")
			if tag.Get("json") == "-" || f.Embedded() && (is(f.Type(), contractPath, "Tuple") || is(f.Type(), contractPath, "Strict")) {
				continue
			}
			if name != "" && !validName(name) {
				failf("field %s of %s has the JSON name %q, which has characters that encoding/json does not take", f.Name(), in, name)
			}
			below, pointer := pointedTo(f.Type())
			rules := parseRules(tag.Get("validate"))
			if f.Embedded() && tuple {
				failf("%s embeds %s, which cannot be an argument of its own: name the field", t, f.Type())
			}
			if _, ok := below.Underlying().(*types.Struct); ok && f.Embedded() && name == "" && !isLeaf(below) {
				if pointer && !f.Exported() {
					failf("%s embeds a pointer to the unexported %s", t, below)
				}
				if checked && !rules.Skip {
					b.lint(in, f, tag.Get("validate"))
					if own := rules.own(); len(own) > 0 {
						embedded = append(embedded, Embedded{f.Name(), pointer, own})
					}
				}
				walk(below, depth+1, direct && !pointer, checked && !rules.Skip && !rules.has("structonly", "nostructlevel"))
				continue
			}
			switch {
			case f.Exported():
			case tag.Get("json") != "" || tag.Get("validate") != "":
				failf("field %s of %s has tags, but is not exported: clients cannot send it", f.Name(), t)
			default:
				if !f.Embedded() {
					hidden = f.Name()
				}
				continue
			}
			all := strings.Split(options, ",")
			if slices.Contains(all, "string") {
				failf("field %s of %s has the json option \"string\"", f.Name(), t)
			}
			tagged := name != ""
			switch {
			case tuple:
				first, size := utf8.DecodeRuneInString(f.Name())
				name = string(unicode.ToLower(first)) + f.Name()[size:]
			case !tagged:
				name = f.Name()
			}
			have, known := best[name]
			if known && (have.depth < depth || have.depth == depth && have.tagged && !tagged) {
				continue
			}
			twice := known && have.depth == depth && have.tagged == tagged // unless a later field hides both
			if !known {
				order = append(order, name)
			}
			omitted := slices.Contains(all, "omitempty") || slices.Contains(all, "omitzero")
			field := Field{
				Name: name, Doc: b.docOf[f.Pos()], Pointer: pointer, Below: !direct,
				Optional: pointer || !direct || omitted,
				Omitted:  omitted,
				Nullable: pointer || tuple && omitted,
				Rules:    rules,
			}
			if isText(f.Type()) {
				field.Const = rules.eq()
			}
			field.Rules.Skip = rules.Skip || !checked
			best[name] = found{field, f, in, tag.Get("validate"), depth, tagged, twice}
		}
	}
	walk(t, 0, true, true)
	if tuple && len(order) == 0 && hidden != "" {
		failf("no field of %s is exported: %s cannot be an argument", t, hidden)
	}
	for _, name := range order {
		f := best[name]
		if f.twice {
			failf("%s has two fields with the JSON name %q", t, name)
		}
		if tuple && len(out) > 0 && out[len(out)-1].Optional && !f.Optional {
			failf("argument %s of %s is required, but follows an optional one", name, t)
		}
		f.Type = b.field(t, f.source)
		if !f.Rules.Skip {
			b.lint(f.in, f.source, f.tag)
		}
		out = append(out, f.Field)
	}
	return out, embedded
}

// field returns the type of a field. Its errors name the field.
func (b *builder) field(t types.Type, f *types.Var) *Type {
	defer func() {
		if r := recover(); r != nil {
			if u, ok := r.(unusable); ok && !strings.HasPrefix(string(u), "field ") {
				failf("field %s of %s: %s", f.Name(), t, string(u))
			}
			panic(r)
		}
	}()
	return b.typeOf(f.Type())
}

// validName reports whether encoding/json takes a name in a tag.
func validName(name string) bool {
	for _, c := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return true
}

// lint fails if the tag of a field of the struct t cannot be used, for which Handle panics.
func (b *builder) lint(t types.Type, f *types.Var, tag string) {
	rules := slices.DeleteFunc(strings.Split(tag, ","), func(rule string) bool {
		// Rules that call a method, which stand-ins do not have.
		return strings.HasPrefix(rule, "validateFn") || lint.ReadsString(rule) && isStringer(f.Type())
	})
	field := reflect.StructField{Name: f.Name(), Type: b.standIn(f.Type()), Tag: reflect.StructTag(fmt.Sprintf("validate:%q", strings.Join(rules, ",")))}
	if wrong := lint.Tag(b.standIn(t), field); wrong != "" {
		failf("field %s of %s: the rules %q cannot be used: %s", f.Name(), t, tag, wrong)
	}
}

// ruledIn reports whether there are rules in a struct that decodes itself, and fails if one cannot be
// used.
func (b *builder) ruledIn(t types.Type, seen map[string]bool) (some bool) {
	t, _ = pointedTo(t)
	s, ok := t.Underlying().(*types.Struct)
	key := types.TypeString(t, nil)
	if !ok || isTime(t) || seen[key] {
		return false
	}
	seen[key] = true
	for i := range s.NumFields() {
		f, tag := s.Field(i), reflect.StructTag(s.Tag(i)).Get("validate")
		if !f.Exported() && !f.Embedded() || tag == "-" {
			continue
		}
		rules := parseRules(tag)
		if tag != "" {
			b.lint(t, f, tag)
			some = some || len(rules.own()) > 0 || rules.Elem != nil
		}
		if !rules.has("structonly", "nostructlevel") {
			some = b.ruledIn(f.Type(), seen) || some
		}
	}
	return some
}
