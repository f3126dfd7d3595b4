package gen

import (
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// apply adds rules of a value of t to its schema, which is not null: as keywords, or in its
// description if JSON Schema has no counterpart. pointer tells that the Go value is a pointer,
// for which fewer values are empty.
func (g *schemas) apply(s *object, t *Type, rules []Rule, pointer bool) {
	for i, r := range rules {
		switch r.Name {
		case "omitnil", "structonly", "nostructlevel":
			continue
		case "omitempty", "omitzero":
			if empty := emptyValue(t, r.Name, pointer); empty != nil {
				g.applyUnless(s, empty, t, rules[i+1:], pointer)
				return
			}
			continue
		}
		if keywords, ok := keywordsOf(t, r, pointer); ok {
			g.merge(s, keywords)
		} else {
			g.note(s, r.Text)
		}
	}
}

// applyUnless adds rules that do not hold for the value empty.
func (g *schemas) applyUnless(s *object, empty object, t *Type, rules []Rule, pointer bool) {
	var all []object
	for _, r := range rules {
		keywords, ok := keywordsOf(t, r, pointer)
		switch {
		case !ok:
			g.note(s, r.Text)
		case len(keywords) > 0:
			all = append(all, keywords)
		}
	}
	switch {
	case len(all) == 1:
		g.merge(s, object{{"anyOf", []object{empty, all[0]}}})
	case len(all) > 1:
		g.merge(s, object{{"anyOf", []object{empty, {{"allOf", all}}}}})
	}
}

// merge adds keywords to s. Of two limits, the narrower one stays. Other keywords that s has
// already are added as another schema that has to hold.
func (g *schemas) merge(s *object, keywords object) {
	*s = g.besides(*s)
	var twice object
	for _, m := range keywords {
		i := slices.IndexFunc(*s, func(have member) bool { return have.name == m.name })
		switch {
		case i < 0:
			*s = append(*s, m)
		case limits[m.name] == 0:
			twice = append(twice, m)
		case numeric(m.value).Cmp(numeric((*s)[i].value)) == limits[m.name]:
			(*s)[i].value = m.value
		}
	}
	if len(twice) == 0 {
		return
	}
	for i, m := range *s {
		if m.name == "allOf" {
			(*s)[i].value = append(m.value.([]object), twice)
			return
		}
	}
	s.set("allOf", []object{twice})
}

// limits are the keywords that are limits: 1 for lower ones, of which the larger is narrower.
var limits = map[string]int{
	"minimum": 1, "exclusiveMinimum": 1, "minLength": 1, "minItems": 1, "minProperties": 1,
	"maximum": -1, "exclusiveMaximum": -1, "maxLength": -1, "maxItems": -1, "maxProperties": -1,
}

// numeric returns the number of a limit.
func numeric(v any) *big.Rat {
	r, ok := new(big.Rat).SetString(compactJSON(v))
	if !ok {
		panic("no number")
	}
	return r
}

// emptyValue returns the schema of the values for which the rules after omitempty or omitzero
// do not hold, or nil if what is missing or null is the only one.
func emptyValue(t *Type, rule string, pointer bool) object {
	switch {
	case rule == "omitempty" && pointer:
		return nil
	case t.isText():
		return object{{"const", ""}}
	case t.Kind == Integer, t.Kind == Enum, t.Kind == Number && t.Bits > 0:
		return object{{"const", 0}}
	case t.Kind == Bool:
		return object{{"const", false}}
	case t.Kind == List && t.Len < 0 && rule == "omitzero":
		return object{{"maxItems", 0}}
	case t.Kind == Map && rule == "omitzero":
		return object{{"maxProperties", 0}}
	}
	return nil
}

// keywordsOf returns a rule as keywords, which may be none, or false if JSON Schema has no
// counterpart.
func keywordsOf(t *Type, r Rule, pointer bool) (object, bool) {
	if r.Or != nil {
		var any []object
		for _, one := range r.Or {
			keywords, ok := keywordsOf(t, one, pointer)
			if !ok {
				return nil, false
			}
			if len(keywords) == 0 {
				return nil, true
			}
			any = append(any, keywords)
		}
		return object{{"anyOf", any}}, true
	}
	if r.Name == "required" {
		return requiredOf(t, pointer)
	}
	switch {
	case t.isText():
		return textRule(r)
	case t.Kind == Integer, t.Kind == Enum, t.Kind == Number && t.Bits > 0:
		return numberRule(t, r)
	case t.Kind == Bool:
		return boolRule(r)
	case t.Kind == List:
		if r.Name == "unique" && r.Param == "" && !t.NullElem && t.Elem.comparable() {
			return object{{"uniqueItems", true}}, true
		}
		return sizeRule(r, "minItems", "maxItems")
	case t.Kind == Map:
		return sizeRule(r, "minProperties", "maxProperties")
	}
	return nil, false
}

// comparable reports whether two equal values are equal in Go.
func (t *Type) comparable() bool {
	return t.Kind == Bool || t.Kind == Integer || t.Kind == Enum || t.Kind == Number && t.Bits > 0 || t.Kind == String
}

// requiredOf returns the rule required: not the zero value. Lists, maps and binary data that
// were sent are not nil, and pointers to anything are not either.
func requiredOf(t *Type, pointer bool) (object, bool) {
	switch {
	case pointer, t.Kind == List && t.Len < 0, t.Kind == Map, t.Kind == Binary, t.Kind == Union, t.Go == "json.RawMessage", t.Kind == Number && t.Bits == 0:
		return nil, true
	case t.isText():
		return object{{"minLength", 1}}, true
	case t.Kind == Integer, t.Kind == Enum, t.Kind == Number:
		return object{{"not", object{{"const", 0}}}}, true
	case t.Kind == Bool:
		return object{{"const", true}}, true
	case t.Kind == Any && t.Go == "":
		return object{{"not", null}}, true
	}
	return nil, false
}

// sizeRule returns a rule for a length.
func sizeRule(r Rule, least, most string) (object, bool) {
	n, err := strconv.ParseInt(r.Param, 0, 64)
	if err != nil {
		return nil, false
	}
	size := func(from, to int64) object {
		s := object{}
		if from > to || to < 0 {
			return nothing
		}
		if from > 0 {
			s.set(least, from)
		}
		if to < math.MaxInt64 {
			s.set(most, to)
		}
		return s
	}
	switch r.Name {
	case "min", "gte":
		return size(n, math.MaxInt64), true
	case "gt":
		return size(n+1, math.MaxInt64), true
	case "max", "lte":
		return size(0, n), true
	case "lt":
		return size(0, n-1), true
	case "len", "eq":
		return size(n, n), true
	case "ne":
		return object{{"not", size(n, n)}}, true
	}
	return nil, false
}

// numberRule returns a rule for a number.
func numberRule(t *Type, r Rule) (object, bool) {
	switch r.Name {
	case "numeric", "number":
		return nil, true
	case "oneof", "noneof":
		var texts []string
		for _, text := range words(r.Param) {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
				texts = append(texts, text)
			} else if n, err := strconv.ParseUint(text, 10, 64); err == nil && strconv.FormatUint(n, 10) == text {
				texts = append(texts, text)
			}
		}
		return among(r.Name, texts), true
	}
	text, ok := numberOf(t, r.Param)
	if !ok {
		return nil, false
	}
	keyword, ok := map[string]string{
		"min": "minimum", "gte": "minimum", "gt": "exclusiveMinimum",
		"max": "maximum", "lte": "maximum", "lt": "exclusiveMaximum",
		"eq": "const", "len": "const",
	}[r.Name]
	switch {
	case r.Name == "ne":
		return object{{"not", object{{"const", text}}}}, true
	case !ok:
		return nil, false
	case t.Kind != Number && r.Name == "gt":
		return object{{"minimum", next(text, 1)}}, true
	case t.Kind != Number && r.Name == "lt":
		return object{{"maximum", next(text, -1)}}, true
	}
	return object{{keyword, text}}, true
}

// next returns an integer plus step.
func next(text json.RawMessage, step int64) json.RawMessage {
	n, _ := new(big.Int).SetString(string(text), 10)
	return json.RawMessage(n.Add(n, big.NewInt(step)).String())
}

// numberOf returns the parameter of a rule as the library reads it for t.
func numberOf(t *Type, param string) (json.RawMessage, bool) {
	var text string
	var err error
	switch {
	case t.Kind == Number:
		var f float64
		f, err = strconv.ParseFloat(param, t.Bits)
		text = strconv.FormatFloat(f, 'g', -1, t.Bits)
	case t.Unsigned:
		var n uint64
		n, err = strconv.ParseUint(param, 0, 64)
		text = strconv.FormatUint(n, 10)
	default:
		var n int64
		if n, err = strconv.ParseInt(param, 0, 64); t.Duration {
			if d, bad := time.ParseDuration(param); bad == nil {
				n, err = int64(d), nil
			}
		}
		text = strconv.FormatInt(n, 10)
	}
	return json.RawMessage(text), err == nil && json.Valid([]byte(text))
}

func boolRule(r Rule) (object, bool) {
	b, err := strconv.ParseBool(r.Param)
	switch {
	case r.Name == "boolean":
		return nil, true
	case err != nil:
	case r.Name == "eq":
		return object{{"const", b}}, true
	case r.Name == "ne":
		return object{{"const", !b}}, true
	}
	return nil, false
}

var word = regexp.MustCompile(`'[^']*'|\S+`)

// words returns the values of a rule oneof.
func words(param string) (all []string) {
	for _, text := range word.FindAllString(param, -1) {
		all = append(all, strings.ReplaceAll(text, "'", ""))
	}
	return all
}

// among returns the schema of the rule oneof or noneof.
func among(rule string, texts []string) object {
	if texts == nil {
		texts = []string{}
	}
	s := object{{"enum", raw(texts)}}
	if len(texts) == 0 {
		s = nothing
	}
	if rule == "noneof" {
		return object{{"not", s}}
	}
	return s
}

// textRule returns a rule for a string.
func textRule(r Rule) (object, bool) {
	pattern := func(before, after string) object {
		return object{{"pattern", before + regexp.QuoteMeta(r.Param) + after}}
	}
	not := func(s object) object { return object{{"not", s}} }
	switch r.Name {
	case "eq":
		return object{{"const", r.Param}}, true
	case "ne":
		return not(object{{"const", r.Param}}), true
	case "oneof", "noneof":
		var texts []string
		for _, text := range words(r.Param) {
			texts = append(texts, quote(text))
		}
		return among(r.Name, texts), true
	case "contains":
		return pattern("", ""), true
	case "excludes":
		return not(pattern("", "")), true
	case "startswith":
		return pattern("^", ""), true
	case "startsnotwith":
		return not(pattern("^", "")), true
	case "endswith":
		return pattern("", "$"), true
	case "endsnotwith":
		return not(pattern("", "$")), true
	case "ip":
		return object{{"anyOf", []object{{{"format", "ipv4"}}, {{"format", "ipv6"}}}}}, true
	}
	if p, ok := patterns[r.Name]; ok {
		return object{{"pattern", p}}, true
	}
	if f, ok := formats[r.Name]; ok {
		return object{{"format", f}}, true
	}
	return sizeRule(r, "minLength", "maxLength")
}

// formats are the rules that JSON Schema has under another name. The two differ in rare cases.
var formats = map[string]string{"email": "email", "url": "uri", "ipv4": "ipv4", "ipv6": "ipv6"}

// patterns are the rules that are regular expressions in the library, and mean the same in
// JavaScript.
var patterns = map[string]string{
	"alpha":           "^[a-zA-Z]+$",
	"alphaspace":      "^[a-zA-Z ]+$",
	"alphanum":        "^[a-zA-Z0-9]+$",
	"alphanumspace":   "^[a-zA-Z0-9 ]+$",
	"alphaunicode":    `^\p{L}+$`,
	"alphanumunicode": `^[\p{L}\p{N}]+$`,
	"ascii":           `^[\u0000-\u007F]*$`,
	"printascii":      `^[\u0020-\u007E]*$`,
	"numeric":         `^[-+]?[0-9]+(?:\.[0-9]+)?$`,
	"number":          "^[0-9]+$",
	"hexadecimal":     "^(?:0[xX])?[0-9a-fA-F]+$",
	"hexcolor":        "^#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})$",
	"e164":            `^\+?[1-9][0-9]{7,14}$`,
	"base64":          "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$",
	"base64url":       "^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=|[A-Za-z0-9_-]{4})$",
	"md5":             "^[0-9a-f]{32}$",
	"sha256":          "^[0-9a-f]{64}$",
	"sha384":          "^[0-9a-f]{96}$",
	"sha512":          "^[0-9a-f]{128}$",
	"mongodb":         "^[a-f0-9]{24}$",
	"ulid":            "^[0-7][A-HJKMNP-TV-Za-hjkmnp-tv-z0-9]{25}$",
	"uuid":            "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
	"uuid4":           "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
	"uuid7":           "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
	"semver": `^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(?:-((?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)` +
		`(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`,
	"hostname":         `^[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`,
	"hostname_rfc1123": `^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`,
}
