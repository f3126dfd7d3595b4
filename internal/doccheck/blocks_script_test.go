package doccheck_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBlocks_JS: each block in JavaScript, and each script in a block of HTML, is one that a
// browser accepts as a module, and the names that it imports exist.
func TestBlocks_JS(t *testing.T) {
	t.Parallel()
	blocks := blocksIn(t, "js", "html")
	report(t, blocks, checkJS(t, scripts(blocks)))
}

var (
	scriptTag = regexp.MustCompile(`(?s)(<script[^>]*>)(.*?)</script>`)
	dataTag   = regexp.MustCompile(`type="(importmap|[^"]*json)"`)
)

// scripts returns the blocks of JavaScript, with one for each script in a block of HTML.
func scripts(blocks []block) (all []block) {
	for _, b := range blocks {
		if b.lang != "html" {
			all = append(all, b)
			continue
		}
		// A script with data, such as an import map, has no code.
		for _, m := range scriptTag.FindAllStringSubmatchIndex(b.text, -1) {
			if dataTag.MatchString(b.text[m[2]:m[3]]) {
				continue
			}
			script := b
			script.line += strings.Count(b.text[:m[4]], "\n")
			script.text = b.text[m[4]:m[5]]
			all = append(all, script)
		}
	}
	return all
}

// checkJS returns what is wrong with the blocks. It starts Node once.
func checkJS(t *testing.T, blocks []block) (problems []problem) {
	t.Helper()
	type wire struct {
		Page string `json:"page"`
		Line int    `json:"line"`
		Text string `json:"text"`
	}
	in := []wire{}
	for _, b := range blocks {
		in = append(in, wire{b.page, b.line, b.text})
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	node := exec.Command(program(t, "node"), "--no-warnings", "--experimental-vm-modules", filepath.Join("testdata", "check.mjs"),
		absolute(t, "socketbridge/client"), absolute(t, "internal/nodetest/node_modules"))
	node.Stdin = strings.NewReader(string(text))
	var stderr strings.Builder
	node.Stderr = &stderr
	answer, err := node.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.String())
	}
	var out []wire
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatalf("%v: %s", err, answer)
	}
	for _, p := range out {
		problems = append(problems, problem{p.Page, p.Line, p.Text})
	}
	return problems
}

// absolute returns the path of a file of the repository.
func absolute(t *testing.T, name string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestBlocks_JSFindsMistakes: checkJS names the line of each mistake.
func TestBlocks_JSFindsMistakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"right":          {"```js\nimport { connect } from \"/socket.io/fiberbridge.mjs\";\nconst s = await connect();\n```", ""},
		"syntax":         {"```js\nf();\nconst = 1;\n```", "p.md:3: Unexpected token '='"},
		"twice":          {"```js\nconst a = 1;\nconst a = 2;\n```", "p.md:3: Identifier 'a' has already been declared"},
		"no such name":   {"```js\n\nimport { conect } from \"/socket.io/fiberbridge.mjs\";\n```", "p.md:3: The requested module"},
		"no such module": {"```js\nimport x from \"socket.io-msgpack\";\n```", "p.md:2: Cannot find module 'socket.io-msgpack'"},
		"npm":            {"```js\nimport parser from \"socket.io-msgpack-parser\";\n```", ""},
		"npm, no name":   {"```js\nimport { parser } from \"socket.io-msgpack-parser\";\n```", "p.md:2: The requested module"},
		"data":           {"```html\n<script type=\"importmap\">\n{ \"imports\": {} }\n</script>\n```", ""},
		"HTML":           {"```html\n<script src=\"x.js\"></script>\n<script>\n  f(;\n</script>\n```", "p.md:4: Unexpected token ';'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compare(t, checkJS(t, scripts(blocksOf("p.md", tt.text))), tt.want)
		})
	}
}
