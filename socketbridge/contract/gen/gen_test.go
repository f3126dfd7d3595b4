package gen_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen"
)

var update = flag.Bool("update", false, "write the golden files")

// TestM1_GenGolden: all shapes and rules in each format, and the same text each time.
func TestM1_GenGolden(t *testing.T) {
	t.Parallel()
	for range 2 {
		for dir, files := range map[string]map[string]func(*gen.Contract) []byte{
			"./testdata/shapes": {"shapes.ts": gen.TypeScript, "shapes.schema.json": gen.JSONSchema, "shapes.asyncapi.json": gen.AsyncAPI},
			"./testdata/rules":  {"rules.ts": gen.TypeScript, "rules.schema.json": gen.JSONSchema, "rules.asyncapi.json": gen.AsyncAPI},
		} {
			c, err := gen.Load("", dir)
			if err != nil {
				t.Fatal(err)
			}
			for name, write := range files {
				golden, got := filepath.Join("testdata", name), write(c)
				if *update {
					if err := os.WriteFile(golden, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s differs (%v): run go test -update and read the diff. Got\n%s", golden, err, got)
				}
			}
		}
	}
}

// load writes text as a package of this module, and loads it.
func load(t *testing.T, text string) (*gen.Contract, error) {
	t.Helper()
	dir, err := os.MkdirTemp("testdata", "tmp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "app.go"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return gen.Load(dir, ".")
}

// path is the import path of a package that load has written.
var path = regexp.MustCompile(`github\.com/[^ ]*/tmp[0-9]+\.`)

// circle and square are members of the union that drawn declares an event of.
func circle(rule string) string {
	return "type Circle struct { Kind string `validate:\"" + rule + "\"`; In []Shape `validate:\"dive\"` }\n\n"
}
func square(rule string) string {
	return "type Square struct { Kind string `validate:\"" + rule + "\"` }\n\n"
}

const drawn = "type Shape interface{ oneOf(Circle, Square) }\n\nfunc (Circle) oneOf(Circle, Square) {}\n\nfunc (Square) oneOf(Circle, Square) {}\n\n" +
	"var D = contract.Notice[Circle](\"d\")"

// TestM1_GenNotLoaded: a package that does not compile, or does not exist, is one error for each
// place.
func TestM1_GenNotLoaded(t *testing.T) {
	t.Parallel()
	if _, err := load(t, "package app\n\nvar A, B = c,\n\td\n"); err == nil || !regexp.MustCompile(`^\S+app.go:3:12: undefined: c\n\S+app.go:4:2: undefined: d$`).MatchString(err.Error()) {
		t.Errorf("does not compile: got %v", err)
	}
	if _, err := gen.Load("", "./no/such/package"); err == nil || !regexp.MustCompile(`^stat \S+no/such/package: directory not found$`).MatchString(err.Error()) {
		t.Errorf("does not exist: got %v", err)
	}
}

// TestM1_GenRefuses: errors name the declaration and what is not supported.
func TestM1_GenRefuses(t *testing.T) {
	t.Parallel()
	const head = "package app\n\nimport \"github.com/fiberbridge/fiberbridge/socketbridge/contract\"\n\n"
	for _, c := range []struct{ name, text, want string }{
		{"a channel", "var E = contract.Notice[chan int](\"e\")", "app.go:5:5: E: chan int cannot be sent as JSON"},
		{"a func", "var E = contract.Notice[func()](\"e\")", "app.go:5:5: E: func() cannot be sent as JSON"},
		{"complex", "var E = contract.Notice[complex64](\"e\")", "app.go:5:5: E: complex64 cannot be sent as JSON"},
		{"uintptr", "var E = contract.Notice[uintptr](\"e\")", "app.go:5:5: E: uintptr cannot be sent as JSON"},
		{"an interface", "var E = contract.Notice[error](\"e\")", "app.go:5:5: E: error is an interface other than any and unions: a union has one method oneOf"},
		{"a union without kinds", circle("") + square("eq=square") + drawn, "D: app.Circle, a member of app.Shape, needs one string field with the rule eq=…"},
		{"a union with one kind", circle("eq=a") + square("eq=a") + drawn, "two members of app.Shape have the kind \"a\""},
		{"a union with kinds in two fields", circle("eq=a") + "type Square struct { Form string `validate:\"eq=b\"` }\n\n" + drawn,
			"members of app.Shape have their kind in different fields: \"Kind\" and \"Form\""},
		{"a union with another type", circle("eq=a") + "type Square string\n\n" + drawn, "app.Square is no member of app.Shape: it is no struct"},
		{"a union with a pointer", circle("eq=a") + "type Square struct { Kind string `validate:\"eq=b\"` }\n\n" + strings.Replace(drawn, "func (Square)", "func (*Square)", 1),
			"app.Square is no member of app.Shape: it is no struct with its method oneOf"},
		{"keys", "var E = contract.Notice[map[bool]int](\"e\")", "has keys that are no strings or integers"},
		{"a field", "type T struct{ C chan int }\n\nvar E = contract.Event[T, contract.None](\"e\")", "app.go:7:5: E: field C of "},
		{"string", "type T struct { N int `json:\",string\"` }\n\nvar E = contract.Notice[T](\"e\")", "has the json option \"string\""},
		{"same name", "type T struct { A int `json:\"x\"`; B int `json:\"x\"` }\n\nvar E = contract.Notice[T](\"e\")", "two fields with the JSON name \"x\""},
		{"no constant", "var E = contract.Notice[int](name())\n\nfunc name() string { return \"e\" }", "app.go:5:5: the name of E is not a constant: write it as a string in the declaration"},
		{"an enum that forgets a constant", "type L string\n\nconst A, B L = \"a\", \"b\"\n\nfunc (L) Values() []L { return []L{A} }\n\nvar E = contract.Notice[L](\"e\")",
			"L does not return the constant B: add it there, or do not export it"},
		{"an enum that computes its values", "type L string\n\nfunc (L) Values() []L { return append([]L{}, \"a\") }\n\nvar E = contract.Notice[map[L]int](\"e\")", "cannot read what method Values of "},
		{"a name twice", "type Binary struct{}\n\ntype AppBinary struct{}\n\ntype U struct { A AppBinary; B Binary }\n\nvar E = contract.Notice[U](\"e\")",
			"E: field B of "},
		{"no name", "var E = contract.Notice[int](\"\")", "app.go:5:5: E: the event \"\" cannot be used: the name is empty"},
		{"a reserved name", "const E = contract.Event[int, int](\"connect\")", "app.go:5:7: E: the event \"connect\" cannot be used: Socket.IO reserves the name: choose another one"},
		{"a long name", "const E = contract.Event[int, int](\"" + strings.Repeat("x", 257) + "\")", "the name has more than 256 bytes: the server would refuse the event"},
		{"a rule", "type T struct{ A int `validate:\"omitempty,email\"` }\n\nvar E = contract.Event[T, int](\"e\")", "E: field A of app.T: the rules \"omitempty,email\" cannot be used: email does not fit int"},
		{"a rule of an embedded struct", "type T struct{ U `validate:\"nosuch\"` }\n\ntype U struct{ A int }\n\nvar E = contract.Event[T, int](\"e\")",
			"E: field U of app.T: the rules \"nosuch\" cannot be used: Undefined validation function 'nosuch'"},
		{"two forms", "type M int\n\nfunc (M) MarshalText() ([]byte, error) { return nil, nil }\n\ntype T struct{ A []*M }\n\nvar E = contract.Event[T, T](\"e\")",
			"app.go:5:6: clients would get app.M in another form than they send it: it needs MarshalJSON and UnmarshalJSON, or MarshalText and UnmarshalText, the first with a value as receiver"},
		{"twice", "var E = contract.Notice[int](\"e\")\n\nvar F = contract.Ask[int, int](\"e\")", "app.go:7:5: \"e\" is declared twice: first at "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, head+c.text+"\n")
			if err == nil {
				t.Fatal("there is no error")
			}
			if text := path.ReplaceAllString(err.Error(), "app."); !strings.Contains(text, c.want) {
				t.Errorf("got %s\nwant %s", text, c.want)
			}
		})
	}
}

// TestM1_GenNames: a type whose name generated files need themselves has the name of its
// package before its own.
func TestM1_GenNames(t *testing.T) {
	t.Parallel()
	c, err := load(t, "package app\n\nimport \"github.com/fiberbridge/fiberbridge/socketbridge/contract\"\n\n"+
		"type Session struct{ A Array }\n\ntype Array struct{}\n\nvar E = contract.Notice[Session](\"e\")\n")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, typ := range c.Types {
		names = append(names, typ.Name)
	}
	if got := strings.Join(names, " "); got != "AppArray AppSession" {
		t.Errorf("the types are %s; want AppArray AppSession", got)
	}
}

// TestM1_GenRequired: what the server refuses when it is missing or null is neither in a type that
// only clients send. In one that the server sends too, it is what the server can send.
func TestM1_GenRequired(t *testing.T) {
	t.Parallel()
	c, err := load(t, `package app

import "github.com/fiberbridge/fiberbridge/socketbridge/contract"

type In struct {
	Free    *int   `+"`json:\"free\"`"+`
	Pointer *int   `+"`json:\"pointer\" validate:\"required\"`"+`
	Most    *int   `+"`json:\"most\" validate:\"max=3\"`"+`
	Maybe   *int   `+"`json:\"maybe\" validate:\"omitempty,max=3\"`"+`
	Text    string `+"`json:\"text,omitempty\" validate:\"min=1\"`"+`
	Short   string `+"`json:\"short,omitempty\" validate:\"max=9\"`"+`
	Skipped *int   `+"`json:\"skipped\" validate:\"-\"`"+`
}

type Both In

type Answer In

type Tuple struct {
	contract.Tuple
	First *int
	Last  *int `+"`validate:\"required\"`"+`
	Rest  *int
}

var (
	E = contract.Event[In, []Both]("e")
	F = contract.Event[Both, contract.None]("f")
	G = contract.Ask[contract.None, Answer]("g")
	H = contract.Event[Tuple, Tuple]("h")
	I = contract.Ask[Tuple, Tuple]("i")
)
`)
	if err != nil {
		t.Fatal(err)
	}
	text := string(gen.TypeScript(c))
	const clients = "{\n  free?: number | null;\n  pointer: number;\n  most: number;\n  maybe?: number | null;\n  text: string;\n  short?: string;\n  skipped?: number | null;\n}\n"
	for _, want := range []string{
		"interface In " + clients,
		"interface Answer " + clients,
		"interface Both {\n  free?: number | null;\n  pointer: number | null;\n  most: number | null;\n  maybe?: number | null;\n  text?: string;\n  short?: string;\n  skipped?: number | null;\n}\n",
		"h: (first: number | null, last: number, rest: number | null, ack: (...answer: [first?: number | null, last?: number | null, rest?: number | null] | [failure: Failure]) => void) => void;",
		"i: (first: number | null, last: number | null, rest: number | null, ack: (first: number | null, last: number, rest?: number | null) => void) => void;",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant\n%s", text, want)
		}
	}
}

// client uses the generated types with the unmodified socket.io-client.
const client = `import { io, type Socket } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents, Session } from "./types";

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io();
socket.emit("ping now");
socket.emit("draw", { kind: "circle", icon: new Uint8Array(1) });
socket.emit("go", 1, 2, null, (...answer) => answer.length);
socket.on("moved", (x: number, y: number, label?: string | null) => console.log(x + y, label));
socket.on("sure", (item, answer) => answer(item.name === "a" ? "low" : "high"));
// @ts-expect-error: no member of the union
socket.emit("draw", { kind: "triangle" });
// @ts-expect-error: no such event
socket.emit("nothing");
const cart: Session["cart"] = [{ name: "a", level: "low" }];
void cart;

async function put(all: Parameters<ClientToServerEvents["put"]>[0]): Promise<string> {
  const answer = await socket.emitWithAck("put", all);
  if ("error" in answer) return answer.error.code;
  return answer.page.items[0].name;
}
void put;
`

// page is JavaScript that is checked by its JSDoc.
const page = `import { io } from "socket.io-client";

/** @typedef {import("./types").ServerToClientEvents} ServerToClientEvents */
/** @typedef {import("./types").ClientToServerEvents} ClientToServerEvents */

/** @type {import("socket.io-client").Socket<ServerToClientEvents, ClientToServerEvents>} */
const socket = io();
socket.on("moved", (x, y) => console.log(x.toFixed(y)));
// @ts-expect-error: no such event
socket.emit("nothing");
`

// TestM1_GenRename: after a Go field was renamed, a client that uses it does not compile.
func TestM1_GenRename(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("testdata/shapes/shapes.go")
	if err != nil {
		t.Fatal(err)
	}
	tsc := func(t *testing.T, source string) (string, error) {
		c, err := load(t, source)
		if err != nil {
			t.Fatal(err)
		}
		return typeCheck(t, map[string]string{"types.ts": string(gen.TypeScript(c)), "client.ts": client, "page.js": page})
	}
	if out, err := tsc(t, string(source)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	renamed := strings.Replace(string(source), `json:"items"`, `json:"entries"`, 1)
	if out, err := tsc(t, renamed); err == nil || !strings.Contains(out, "Property 'items' does not exist") {
		t.Errorf("after the rename: %v\n%s", err, out)
	}
}
