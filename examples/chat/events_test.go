package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/contract/gen"
)

// TestM1_ChatTypesAreFresh runs the line of go generate with --check: assets/events.d.ts is what
// events.go declares.
func TestM1_ChatTypesAreFresh(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("events.go")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^//go:generate go (run \S+ gen ts) (.+)$`).FindStringSubmatch(string(source))
	if line == nil {
		t.Fatal("events.go has no line for go generate")
	}
	args := append(append(strings.Fields(line[1]), "--check"), strings.Fields(line[2])...)
	if out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestM1_ChatPage: tsc finds nothing wrong with the page, nor with the part of the dashboard's page
// that is the same.
func TestM1_ChatPage(t *testing.T) {
	t.Parallel()
	if out, err := nodetest.TypeCheck(t, ".", "--project", "jsconfig.json"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	dir := t.TempDir()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`{"extends": %q, "include": [%q]}`, filepath.Join(folder, "jsconfig.json"), filepath.Join(folder, "../dashboard/assets/ui.mjs"))
	if err := os.WriteFile(filepath.Join(dir, "jsconfig.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := nodetest.TypeCheck(t, dir, "--project", "jsconfig.json"); err != nil {
		t.Errorf("the dashboard: %v\n%s", err, out)
	}
	for _, name := range []string{"chat.mjs", "ui.mjs"} {
		text, err := os.ReadFile(filepath.Join("assets", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(text, []byte("// @ts-check\n")) || bytes.Contains(text, []byte("@ts-ignore")) || bytes.Contains(text, []byte("{any}")) {
			t.Errorf("editors do not check all of %s", name)
		}
	}
}

// renames are changes of events.go, with what the lines of the page have that use what is changed.
var renames = []struct{ old, new, uses string }{
	{`json:"number"`, `json:"position"`, `\bm\.number\b`},                                                 // a field that the page reads
	{`json:"to"`, `json:"receiver"`, `request\("tell"|\bm\.to\b`},                                         // one that it sends, too
	{`("history")`, `("past")`, `request\("history"`},                                                     // an event
	{`= "logged out"`, `= "has left"`, `goToLogin\("logged out"\)`},                                       // a value of an enum
	{`JoinedRooms = contract.Notice[[]string]`, `JoinedRooms = contract.Notice[string]`, `rooms = names`}, // a type
}

// TestM1_ChatRename: after changes of events.go, tsc fails at each line of the page that uses what
// was changed.
func TestM1_ChatRename(t *testing.T) {
	t.Parallel()
	nodetest.Dir(t) // skips the test without Node
	dir := copyOfExample(t)
	edit := func(name string, edit func(text string) string) {
		t.Helper()
		file := filepath.Join(dir, name)
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, []byte(edit(string(text))), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	edit("events.go", func(text string) string {
		for _, r := range renames {
			if !strings.Contains(text, r.old) {
				t.Errorf("events.go does not have %s", r.old)
			}
			text = strings.Replace(text, r.old, r.new, -1)
		}
		return text
	})
	edit("rooms.go", func(text string) string { // the Go program has to compile
		return strings.Replace(text, "JoinedRooms.Emit(socket, rooms)", "JoinedRooms.Emit(socket, rooms[0])", 1)
	})
	edit("jsconfig.json", func(text string) string { return strings.Replace(text, "../../", "../../../../", 1) })
	events, err := gen.Load(dir, ".")
	if err != nil {
		t.Fatal(err)
	}
	edit("assets/events.d.ts", func(string) string { return string(gen.TypeScript(events)) })
	out, err := nodetest.TypeCheck(t, dir, "--project", "jsconfig.json")
	if err == nil {
		t.Error("tsc finds nothing wrong")
	}
	page, err := os.ReadFile("assets/chat.mjs")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range renames {
		uses, lines := regexp.MustCompile(r.uses), 0
		for i, line := range strings.Split(string(page), "\n") {
			if !uses.MatchString(line) {
				continue
			}
			if lines++; !strings.Contains(out, fmt.Sprintf("assets/chat.mjs(%d,", i+1)) {
				t.Errorf("%s has become %s, and tsc finds nothing wrong with line %d: %s\n%s", r.old, r.new, i+1, line, out)
			}
		}
		if lines == 0 {
			t.Errorf("the page does not have %s", r.uses)
		}
	}
}

// TestM1_ChatWords: what a person can type wrongly gets an answer in words for people, and what was
// typed is not lost.
func TestM1_ChatWords(t *testing.T) {
	t.Parallel()
	site := start(t, "none", "memory://", 1).urls()[0]
	browser := nodetest.Start(t).Browser(t)
	for _, look := range []struct {
		name, scheme string
		width        int
	}{{"desktop", "dark", 1280}, {"phone", "light", 360}} {
		window := browser.NewContext(map[string]any{"viewport": map[string]int{"width": look.width, "height": 740}, "colorScheme": look.scheme})
		page, _ := openChat(site, window, "Ada "+look.name)
		page.WaitText("#title", "lobby")
		post(page, "Hello")
		long := strings.Repeat("x", 1001)
		page.Eval(`document.getElementById("text").removeAttribute("maxlength")`, nil, nil)
		for _, text := range []string{long, "\u202egnp.exe"} {
			page.Eval(`document.getElementById("toasts").replaceChildren()`, nil, nil)
			page.Fill("#text", text)
			page.Click("#say button:enabled")
			page.WaitText(".toast", errText.Message)
			var kept string
			if page.Eval(`return document.getElementById("text").value`, nil, &kept); kept != text {
				t.Errorf("of a text with %d bytes that was refused, %d are left", len(text), len(kept))
			}
		}
		page.Fill("#text", "")
		if look.name == "phone" {
			page.Click("#open-side")
		}
		page.Fill("#room", "no_spaces!")
		page.Click("#join button:enabled")
		page.WaitText(".toast:last-child", errRoomName.Message)
		if dir := os.Getenv("SCREENSHOTS"); dir != "" {
			page.Screenshot(filepath.Join(dir, fmt.Sprintf("chat-words-%s-%s.png", look.name, look.scheme)))
		}
		page.Click("#logout")
		page.WaitText("h1", "Join the chat")
		for page.Waiting("error") > 0 {
			t.Errorf("%s: the page logged an error: %s", look.name, page.MustNext("error"))
		}
		window.Close()
	}
}

// copyOfExample returns a folder with a copy of this program. It is below this module, so that the
// copy finds its packages, but not part of ./... .
func copyOfExample(t *testing.T) string {
	t.Helper()
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("testdata", "tmp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.RemoveAll(dir)
		_ = os.Remove("testdata") // if it is empty
	})
	for _, pattern := range []string{"*.go", "*.conf", "*.cfg", "*.json", "assets/*", "templates/*"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			to := filepath.Join(dir, name)
			text, err := os.ReadFile(name)
			if err == nil {
				err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}
