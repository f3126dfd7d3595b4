package client_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/client"
)

// namesOf prints the members of a socket and the names that the script exports.
const namesOf = `
const script = await import("data:text/javascript;base64," + process.argv[1]);
const socket = script.connect("http://127.0.0.1:1", { autoConnect: false });
const members = [...Object.keys(socket), ...Object.getOwnPropertyNames(script.Socket.prototype)];
console.log(JSON.stringify({ members: members.filter((name) => name !== "constructor" && name[0] !== "_"), exports: Object.keys(script) }));
`

// TestM1_ClientTypes: the types in fiberbridge.d.mts have all names of the script. They accept the
// events that fiberbridge gen ts writes, and refuse others.
func TestM1_ClientTypes(t *testing.T) {
	t.Parallel()
	nodetest.Dir(t) // skips the test without Node
	types, err := os.ReadFile("fiberbridge.d.mts")
	if err != nil {
		t.Fatal(err)
	}
	var has struct{ Members, Exports []string }
	b, err := exec.CommandContext(t.Context(), "node", "--input-type=module", "-e", namesOf, base64.StdEncoding.EncodeToString(client.Script)).Output()
	if err == nil {
		err = json.Unmarshal(b, &has)
	}
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, m := range regexp.MustCompile(`(?m)^export (?:function|class) (\w+)`).FindAllStringSubmatch(string(types), -1) {
		declared = append(declared, m[1])
	}
	slices.Sort(has.Exports)
	slices.Sort(declared)
	if declared = slices.Compact(declared); !slices.Equal(declared, has.Exports) {
		t.Errorf("fiberbridge.d.mts declares %q, and the script exports %q", declared, has.Exports)
	}

	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "testdata"), 0o755); err != nil {
		t.Fatal(err)
	}
	uses, err := os.ReadFile("testdata/types.ts")
	if err != nil {
		t.Fatal(err)
	}
	names := "export type MembersOf = " + union(has.Members) +
		";\nexport type OptionsOf = " + union(properties(t, "Options")) +
		";\nexport type TicketOptionsOf = " + union(properties(t, "TicketOptions")) + ";\n"
	for name, text := range map[string]string{"fiberbridge.d.mts": string(types), "testdata/types.ts": string(uses), "testdata/names.ts": names} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := nodetest.TypeCheck(t, dir, "--strict", "--noEmit", "--target", "es2022", "--module", "esnext",
		"--moduleResolution", "bundler", "--lib", "es2022,dom", "testdata/types.ts"); err != nil {
		t.Errorf("%v\n%s\nwith the names of the script\n%s", err, out, names)
	}
}

// properties returns the names of the properties of a typedef in the script.
func properties(t *testing.T, typedef string) (names []string) {
	_, text, found := strings.Cut(string(client.Script), "@typedef {object} "+typedef+"\n")
	if !found {
		t.Fatalf("the script has no typedef %s", typedef)
	}
	text, _, _ = strings.Cut(text, "*/")
	for _, m := range regexp.MustCompile(`@property .* \[(\w+)\]`).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// union returns a type in TypeScript.
func union(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	return strings.Join(quoted, " | ")
}
