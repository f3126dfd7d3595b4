package gen_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen/testdata/rules"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// fitting are arguments that fit, for each event of package rules. The others are derived from
// them and the schema.
var fitting = []sample{
	{"texts", `[{"required":"a","min":"ab","max":"abc","both":"abc","strictly":"abc","len":"abc","one":"c d","none":"c","eq":"it","or":"12","omit":"abc",
		"prefix":"a.z","contains":"a,b","pointer":"ab","needed":"a","level":"low"}]`},
	{"patterns", `[{"email":"jo@example.com","url":"https://example.com/x?y#z","ip":"::1","ipv4":"127.0.0.1","ipv6":"2001:db8::1",
		"uuid":"A987FBC9-4BED-3078-CF07-9141BA07C9F3","uuid4":"57b73598-8764-4ad0-a76a-679bb6640eb1","ulid":"01BX5ZZKBKACTAV9WEVGEMMVRY","alpha":"abc",
		"letters":"é","alphanum":"a1","ascii":"~","printable":" ","number":"1","hex":"0xfF","color":"#fffA","phone":"+123456789","base64":"AQ==",
		"sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","version":"1.2.3-a.1+b","host":"1.example","oldHost":"a.b",
		"words":"a b","mixed":"a 1","unicode":"é1","numeric":"-1.5","url64":"_-==","md5":"0123456789abcdef0123456789abcdef",
		"sha384":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","sha512":"` + strings.Repeat("01234567", 16) + `",
		"mongo":"0123456789abcdef01234567","uuid7":"57b73598-8764-7ad0-a76a-679bb6640eb1"}]`},
	{"numbers", `[{"int8":1,"uint8":1,"int16":1,"uint16":10,"int32":1,"uint32":1,"int64":30,"uint64":7,"float32":1,"float64":1,"required":3,"omit":3,
		"bool":true,"false":false,"duration":1,"number":1,"pointer":1,"rank":1}]`},
	{"lists", `[{"required":["a"],"min":["a"],"len":[1,2],"ne":[1,2],"pointers":["a"],"nulls":["a",null],"matrix":[[1],[2]],"array":[{"name":"a"},{"name":"b"}],
		"items":{"ab":{"name":"a"}},"ports":{"80":true},"levels":{"low":[{"name":"a"}]},"ranks":{"1":"a"},"shapes":[{"kind":"circle","radius":1},{"kind":"square"}],
		"omit":[1,2],"shared":[{"count":1}],"colors":{"x":["a"]}}]`},
	{"missing", `[{"plain":"a","min":"a","max":"a","email":"jo@example.com","ascii":"a","int":1,"zero":-1,"list":[1],"empty":[1],"map":{"a":"b"},"nil":{"a":"b"},"pointer":1,
		"nullable":1,"dive":[{"name":"a"}],"struct":{"name":"a"},"free":{"name":"a"},"skipped":{"name":""},"only":{"name":""},"shape":{"kind":"square"},"any":1,"needed":1,"bool":false,"array":[{"name":"a"},{"name":"b"}]}]`},
	{"mixed", `[{"id":1,"name":"a","time":"2026-01-02T03:04:05.678+02:00","data":"AQI=","raw":{"x":[]},"any":null,"address":"::1","color":"red",
		"tree":{"Left":{"Left":null,"Value":1},"Right":null,"Value":0},"in-line":{"a":1},"item":{"name":"a"},"skipped":{"name":""}}]`},
	{"a shape/~é", `[{"kind":"square","inside":[{"kind":"circle","radius":1},{"kind":"square","inside":[]}]}]`},
	{"pair", `[1,2.5,"ab"]`},
	{"many", `[{"name":"a"},1,"x"]`},
	{"items", `[[{"name":"a"},{"name":"b"}]]`},
	{"nested", `[[[{"name":"a"}],[]]]`},
	{"rows", `[{"a":[[{"name":"a"}],null],"b":null}]`},
	{"names", `[{"a":{"name":"a"},"b":null}]`},
	{"perhaps", `[{"name":"a"}]`},
	{"nothing", `[]`},
}

// schemaPool returns values at and around each limit of a schema: its numbers, strings as long
// as these, and its constants.
func schemaPool(t *testing.T, schema []byte) (pool []any) {
	t.Helper()
	seen := map[string]bool{}
	add := func(values ...any) {
		for _, v := range values {
			if text, _ := json.Marshal(v); !seen[string(text)] {
				seen[string(text)] = true
				pool = append(pool, v)
			}
		}
	}
	add(nil, true, false, []any{}, map[string]any{}, []any{nil}, []any{1, "a"}, map[string]any{"kind": "circle"}, map[string]any{"name": "a"})
	add("", "é", "\x00", "😀😀", "a b", "A", "-", "12", "-1.5", "+1", "x,x", "a.", "a.b.z", "z", ",-", "-,", "ab\n")
	add(json.Number("1.0"), json.Number("-0"), json.Number("10e-1"), json.Number("1e-400"),
		json.Number("1e20"), json.Number("-1e20"), json.Number("3.4028235e38"), json.Number("-3.4028235e38"), json.Number("3.4028236e38"), json.Number("-3.4028236e38"))
	for _, text := range []string{
		"jo@example", "@example.com", "jo example.com", "http:", "/x", "127.0.0.256", "1.2.3", "1:2", "a987fbc9-4bed-3078-cf07-9141ba07c9f3", "01bx5zzkbkactav9wevgemmvry",
		"0x", "#12345", "#abc", "01", "AQ", "AQ=", "_-==", "+/==", "abcdef", "0123456789abcdef0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef01234567", "a 1", "é1", "AQI", "A===", "2026-13-01T00:00:00Z", "2026-01-02", "2026-01-02T03:04:05Z", "1.2", "v1.2.3", "a_b", "-a", "a-",
	} {
		add(text)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, v := range v {
				if s, ok := v.(string); ok && name == "const" {
					add(s, strings.ToUpper(s))
				}
				if list, ok := v.([]any); ok && name == "enum" {
					add(list...)
				}
				walk(v)
			}
		case []any:
			for _, v := range v {
				walk(v)
			}
		case float64:
			if v > 1<<53 || v < -(1<<53) {
				return // JavaScript does not have these integers: see TestM1_SchemaDifferences
			}
			add(v, v-1, v+1, v-0.5, v+0.5)
			if v >= 0 && v <= 8 {
				add(strings.Repeat("a", int(v)), strings.Repeat("é", int(v)), strings.Repeat("9", int(v)))
			}
		}
	}
	var doc any
	if err := json.Unmarshal(schema, &doc); err != nil {
		t.Fatal(err)
	}
	walk(doc)
	sortJSON(pool)
	return pool
}

func sortJSON(list []any) {
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(compact(a), compact(b)) })
}

func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// likely reports whether to is worth a try instead of v: it has the same type, or is simple.
func likely(v, to any) bool {
	switch to := to.(type) {
	case float64, json.Number:
		_, number := v.(json.Number)
		return number || to == 1.0
	case string:
		_, text := v.(string)
		return text || to == "" || to == "a"
	}
	return true
}

// variants returns v with one change at one place, for each place and each change.
func variants(v any, pool []any) (all []any) {
	for _, to := range pool {
		if likely(v, to) {
			all = append(all, to)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			all = append(all, without(v, name))
			for _, to := range variants(v[name], pool) {
				all = append(all, with(v, name, to))
			}
			all = append(all, with(with(with(v, "91", v[name]), "92", v[name]), "93", v[name]))
			all = append(all, with(without(v, name), strings.ToUpper(name), v[name]))
			for _, key := range []string{"1", "-1", "a", "abc", "high", "x y", ""} {
				all = append(all, with(without(v, name), key, v[name]), with(v, key, v[name]))
			}
		}
		all = append(all, with(v, "no such field", 1))
	case []any:
		for i := range v {
			all = append(all, slices.Delete(slices.Clone(v), i, i+1))
			for _, to := range variants(v[i], pool) {
				changed := slices.Clone(v)
				changed[i] = to
				all = append(all, changed)
			}
		}
		if len(v) > 0 {
			all = append(all, append(slices.Clone(v), v[0]), append(slices.Clone(v), v[0], v[0], v[0]))
		}
		all = append(all, append(slices.Clone(v), nil), append(slices.Clone(v), 77))
	}
	return all
}

func without(m map[string]any, name string) map[string]any {
	m = maps.Clone(m)
	delete(m, name)
	return m
}

func with(m map[string]any, name string, v any) map[string]any {
	m = maps.Clone(m)
	m[name] = v
	return m
}

// sample is an event's arguments that fit.
type sample struct{ event, args string }

// agreement is what TestM1_SchemaAgreesWithRuntime compares for a package.
type agreement struct {
	contract *gen.Contract
	server   *runtime
	fitting  []sample
	// several are the events whose arguments are a tuple.
	several []string
	// differs reports whether the two judges are meant to differ about a payload that the server
	// answers so: docs/generate.md lists why.
	differs func(event, answer string) bool
}

// judged is a payload, and what the server answers.
type judged struct {
	event, args string
	accepted    bool
	answer      string
}

// judge sends payloads that are derived from those that fit.
func (a *agreement) judge(t *testing.T, schema []byte) (all []judged) {
	t.Helper()
	pool := schemaPool(t, schema)
	random := rand.New(rand.NewPCG(1, 2))
	for _, f := range a.fitting {
		var args any
		d := json.NewDecoder(strings.NewReader(f.args))
		d.UseNumber()
		if err := d.Decode(&args); err != nil {
			t.Fatal(err)
		}
		accepted, seen := 0, map[string]bool{}
		judge := func(args any) {
			text := compact(args)
			if !strings.HasPrefix(text, "[") || seen[text] {
				return // arguments are a list
			}
			seen[text] = true
			answer, ok := a.server.call(t, f.event, text)
			if a.differs(f.event, answer) {
				return
			}
			if ok {
				accepted++
			}
			all = append(all, judged{f.event, text, ok, answer})
		}
		judge(args)
		if accepted != 1 {
			t.Fatalf("%s %s does not fit", f.event, f.args)
		}
		once := variants(args, pool)
		for _, v := range once {
			judge(v)
		}
		for range 5 { // two changes
			if base, ok := once[random.IntN(len(once))].([]any); ok {
				twice := variants(base, pool)
				for range 60 {
					judge(twice[random.IntN(len(twice))])
				}
			}
		}
		t.Logf("%s: %d payloads, %d of them accepted", f.event, len(seen), accepted)
	}
	return all
}

// TestM1_SchemaAgreesWithRuntime: for thousands of payloads, ajv with the generated schema
// accepts what the server accepts, and refuses what it refuses. What the server answers fits
// the schema too, and the types of TypeScript.
func TestM1_SchemaAgreesWithRuntime(t *testing.T) {
	t.Parallel()
	for name, a := range agreements(t) {
		t.Run(name, func(t *testing.T) {
			schema := gen.JSONSchema(a.contract)
			all := a.judge(t, schema)
			found := a.compare(t, schema, all)
			a.compareAsyncAPI(t, all, found)
			a.compile(t, all)
		})
	}
}

// compare returns what ajv says of the payloads.
func (a *agreement) compare(t *testing.T, schema []byte, all []judged) []string {
	t.Helper()
	var validations []validation
	for _, j := range all {
		validations = append(validations, definition("ClientToServerEvents."+j.event+".arguments", j.args))
	}
	for _, j := range all {
		if j.accepted {
			validations = append(validations, definition("ClientToServerEvents."+j.event+".answer", j.answer))
		} else {
			validations = append(validations, definition("Failure", j.answer[1:len(j.answer)-1]))
		}
	}
	found := validate(t, schema, false, validations)
	wrong := 0
	for i, j := range all {
		if (found[i] == "") != j.accepted {
			t.Errorf("%s %s: ajv says %q, the server %s", j.event, j.args, found[i], j.answer)
			wrong++
		}
		if found[len(all)+i] != "" {
			t.Errorf("%s %s: the answer %s does not fit: %s", j.event, j.args, j.answer, found[len(all)+i])
			wrong++
		}
		if wrong > 20 {
			t.Fatal("and so on")
		}
	}
	return found
}

// compareAsyncAPI fails if the payloads of AsyncAPI, which have the same schemas in another dialect,
// say something else.
func (a *agreement) compareAsyncAPI(t *testing.T, all []judged, found []string) {
	t.Helper()
	var messages []validation
	var same []string
	for i, j := range all {
		payload := j.args
		if !slices.Contains(a.several, j.event) {
			var args []json.RawMessage
			if err := json.Unmarshal([]byte(j.args), &args); err != nil || len(args) != 1 || j.event == "nothing" {
				continue
			}
			payload = string(args[0])
		}
		messages = append(messages, validation{[]string{"channels", j.event, "messages", "receive", "payload"}, payload})
		same = append(same, found[i])
	}
	for i, found := range validate(t, gen.AsyncAPI(a.contract), true, messages) {
		if (found == "") != (same[i] == "") {
			t.Fatalf("%s %s: ajv says %q with AsyncAPI, and %q with JSON Schema", messages[i].Path, messages[i].Payload, found, same[i])
		}
	}
}

// compile fails if tsc finds that a payload that fits, or an answer, has not the type of TypeScript.
func (a *agreement) compile(t *testing.T, all []judged) {
	t.Helper()
	var w strings.Builder
	w.WriteString(`import type { ClientToServerEvents, Failure } from "./types";
type Listener<E extends keyof ClientToServerEvents> = Required<Parameters<ClientToServerEvents[E]>>;
type In<E extends keyof ClientToServerEvents> = Listener<E> extends [...infer I, unknown] ? I : never;
type Out<E extends keyof ClientToServerEvents> = Listener<E> extends [...unknown[], infer A] ? A extends (...args: infer O) => void ? O : never : never;
`)
	seen := map[string]bool{}
	add := func(typ, event, value string) {
		if line := typ + "<" + compact(event) + ">(" + value[1:len(value)-1] + ");\n"; !seen[line] {
			seen[line] = true
			w.WriteString(line)
		}
	}
	w.WriteString("declare function sends<E extends keyof ClientToServerEvents>(...args: In<E>): void;\n")
	w.WriteString("declare function answers<E extends keyof ClientToServerEvents>(...args: Exclude<Out<E>, [Failure]>): void;\n")
	for _, f := range a.fitting {
		add("sends", f.event, compact(json.RawMessage(f.args)))
	}
	for _, j := range all {
		if j.accepted {
			add("answers", j.event, j.answer)
		}
	}
	// Binary data is base64 here.
	types := strings.Replace(string(gen.TypeScript(a.contract)), "export type Binary = ArrayBuffer | Uint8Array;", "export type Binary = string;", 1)
	if out, err := typeCheck(t, map[string]string{"types.ts": types, "values.ts": w.String()}); err != nil {
		t.Errorf("%d lines: %v\n%s", len(seen), err, out)
	}
}

// TestM1_SchemaDifferences: where the schema and the runtime differ. docs/generate.md has this
// list.
func TestM1_SchemaDifferences(t *testing.T) {
	t.Parallel()
	schema := gen.JSONSchema(loadRules(t))
	server := newRuntime(t, rules.Register)
	base := map[string]string{}
	for _, f := range fitting {
		base[f.event] = f.args
	}
	base["cross"] = `[{"password":"x","again":"x","zone":"UTC","born":"2020-01-01T00:00:00Z","data":"","item":{"name":"a"}}]`
	base["parted"] = `[{"a":1,"b":1}]`
	cases := []struct {
		name, event, old, new string
		server                bool // accepts it; ajv does not, and the other way round
	}{
		{"a key twice", "perhaps", `"name":"a"`, `"name":"b","name":"a"`, false},
		{"an integer beyond 2^53 that JavaScript rounds", "numbers", `"duration":1`, `"duration":-9223372036854775809`, false},
		{"an integer beyond 2^53 with an exponent", "numbers", `"duration":1`, `"duration":-1e17`, false},
		{"a number that is too large for JavaScript", "numbers", `"number":1`, `"number":1e400`, true},
		{"a number that is too large for Go", "mixed", `"any":null`, `"any":1e400`, false},
		{"a number that float32 rounds to the limit", "pair", "2.5", "5.0000001", true},
		{"base64 with line breaks", "mixed", `"AQI="`, `"AQ\nI="`, true},
		{"a leap second", "mixed", "2026-01-02T03:04:05.678+02:00", "2016-12-31T23:59:60Z", false},
		{"a time with a space", "mixed", "2026-01-02T03:04:05.678+02:00", "2026-01-02 03:04:05Z", false},
		{"a key out of range", "lists", `"80":true`, `"70000":true`, false},
		{"a key with a fraction", "lists", `"80":true`, `"80.0":true`, true},
		{"a type that decodes itself", "mixed", `"::1"`, `"x"`, false},
		{"an email address", "patterns", "jo@example.com", `\"jo e\"@example.com`, true},
		{"a URL", "patterns", "https://example.com/x?y#z", "https://example.com/é", true},
		{"a field of an embedded pointer", "parted", `,"b":1`, ``, false},
		{"a rule with another field", "cross", `"again":"x"`, `"again":"y"`, false},
		{"a rule without a keyword", "cross", `"UTC"`, `"Nowhere"`, false},
		{"a rule for a time", "cross", `"2020-01-01T00:00:00Z"`, `"9999-01-01T00:00:00Z"`, false},
		{"a rule for binary data", "cross", `"data":""`, `"data":"AQIDBA=="`, false},
	}
	var all []validation
	for _, c := range cases {
		args := strings.Replace(base[c.event], c.old, c.new, 1)
		if args == base[c.event] {
			t.Fatalf("%s: %s is not in %s", c.name, c.old, args)
		}
		if answer, ok := server.call(t, c.event, base[c.event]); !ok {
			t.Errorf("%s: the server answers %s to %s", c.name, answer, base[c.event])
		}
		if answer, ok := server.call(t, c.event, args); ok != c.server {
			t.Errorf("%s: the server answers %s to %s", c.name, answer, args)
		}
		all = append(all, definition("ClientToServerEvents."+c.event+".arguments", args), definition("ClientToServerEvents."+c.event+".arguments", base[c.event]))
	}
	for i, found := range validate(t, schema, false, all) {
		switch c := cases[i/2]; {
		case i%2 == 1 && found != "":
			t.Errorf("%s: ajv refuses the payload without it: %s", c.name, found)
		case i%2 == 0 && (found != "") != c.server:
			t.Errorf("%s: ajv says %q of %s", c.name, found, all[i].Payload)
		}
	}
}

// TestM1_SchemaOfPlaceholders: an object with the key _placeholder is an object to the server, as it
// is to the schema, unless the event has binary data.
func TestM1_SchemaOfPlaceholders(t *testing.T) {
	t.Parallel()
	server := newRuntime(t, rules.Register)
	var all []validation
	for _, args := range []string{
		`[{"name":"a","_placeholder":1}]`,
		`[{"name":"a","_placeholder":true}]`,
		`[{"name":"a","_placeholder":true,"num":0}]`,
	} {
		if answer, ok := server.call(t, "perhaps", args); !ok {
			t.Errorf("the server answers %s to %s", answer, args)
		}
		all = append(all, definition("ClientToServerEvents.perhaps.arguments", args))
	}
	for i, found := range validate(t, gen.JSONSchema(loadRules(t)), false, all) {
		if found != "" {
			t.Errorf("ajv says %q of %s", found, all[i].Payload)
		}
	}
	const beside = `51-0["perhaps",{"name":"a","_placeholder":true},{"_placeholder":true,"num":0}]`
	if err := server.receiver.Receive(transport.Message{Data: []byte(beside)}); err == nil {
		t.Error("the server accepts an object like a placeholder beside binary data")
	}
}

// TestM1_SchemaOfConstants: a constant is the same in what is checked and in what is sent, also if
// its tag has escapes.
func TestM1_SchemaOfConstants(t *testing.T) {
	t.Parallel()
	c, err := load(t, "package app\n\nimport \"github.com/fiberbridge/fiberbridge/socketbridge/contract\"\n\n"+
		"type T struct{ A string `validate:\"eq=a0x2Cb\"` }\n\nvar E = contract.Event[T, T](\"e\")\n")
	if err != nil {
		t.Fatal(err)
	}
	if text := string(gen.JSONSchema(c)); !strings.Contains(text, `"const": "a,b"`) || strings.Contains(text, "T.sent") {
		t.Errorf("got\n%s", text)
	}
}
