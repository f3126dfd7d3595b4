package fibersession_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// Every setting that is weaker than the default is logged at start, with its name (row 52
// of docs/security.md).
func TestNew_WarnsOfWeakSettings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  fibersession.Config
		want string // a word of the warning; "" if there is none
	}{
		"the default":           {fibersession.Config{}, ""},
		"signed cookies":        {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}}}, ""},
		"a cookie domain":       {fibersession.Config{CookieDomain: "example.com"}, ""},
		"a header":              {fibersession.Config{Extractor: fibersession.FromHeader("X")}, "header"},
		"a query parameter":     {fibersession.Config{Extractor: fibersession.FromQuery("q")}, "URL"},
		"a custom extractor":    {fibersession.Config{Extractor: fibersession.FromCustom(func(*fiber.Ctx) (string, error) { return "", nil })}, "Extractor"},
		"a custom ID generator": {fibersession.Config{KeyGenerator: func() string { return strings.Repeat("a", 43) }}, "KeyGenerator"},
		"the form of Fiber":     {fibersession.Config{Builtin: true}, "Builtin"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			tt.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			newStore(t, tt.cfg)
			var warnings []string
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "weaker than the default") {
					warnings = append(warnings, line)
				}
			}
			switch {
			case tt.want == "" && len(warnings) != 0:
				t.Errorf("got the warnings %q, want none", warnings)
			case tt.want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], tt.want) || !strings.Contains(warnings[0], "level=WARN")):
				t.Errorf("got the warnings %q, want one at level WARN that names %s", warnings, tt.want)
			}
		})
	}
}

func TestNew_RefusesContradictions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  fibersession.Config
		want string
	}{
		"CRLF in the name":              {fibersession.Config{KeyLookup: "cookie:a\r\nSet-Cookie: b"}, "KeyLookup"},
		"CRLF in CookieName":            {fibersession.Config{CookieName: "a\r\nb"}, "KeyLookup"},
		"CRLF in the domain":            {fibersession.Config{CookieDomain: "a\r\nSet-Cookie: b=c"}, "CookieDomain"},
		"NUL in the prefix":             {fibersession.Config{Prefix: "app\x00"}, "Prefix"},
		"space in the prefix":           {fibersession.Config{Prefix: "my app:"}, "Prefix"},
		"letter in the prefix":          {fibersession.Config{Prefix: "größe:"}, "Prefix"},
		"NUL in Express.Prefix":         {fibersession.Config{Express: &fibersession.Express{Secrets: []string{"s"}, Prefix: "\x00"}}, "Express.Prefix"},
		"semicolon in the path":         {fibersession.Config{CookiePath: "/; Domain=evil"}, "CookiePath"},
		"newline in the path":           {fibersession.Config{CookiePath: "/\n"}, "CookiePath"},
		"relative path":                 {fibersession.Config{CookiePath: "app"}, "CookiePath"},
		"space in the name":             {fibersession.Config{KeyLookup: "cookie:a b"}, "KeyLookup"},
		"empty name":                    {fibersession.Config{KeyLookup: "cookie:"}, "KeyLookup"},
		"no source in KeyLookup":        {fibersession.Config{KeyLookup: "session"}, "KeyLookup"},
		"unknown source in KeyLookup":   {fibersession.Config{KeyLookup: "form:session"}, "source"},
		"unknown SameSite":              {fibersession.Config{CookieSameSite: "maybe"}, "CookieSameSite"},
		"two cookie names":              {fibersession.Config{CookieName: "a", KeyLookup: "cookie:b"}, "CookieName"},
		"__Host- and a domain":          {fibersession.Config{KeyLookup: "cookie:__Host-a", CookieDomain: "a.b"}, "__Host-"},
		"__Host- and a path":            {fibersession.Config{KeyLookup: "cookie:__Host-a", CookiePath: "/a"}, "__Host-"},
		"__host- and a path":            {fibersession.Config{KeyLookup: "cookie:__host-a", CookiePath: "/a"}, "__Host-"},
		"Builtin and a codec":           {fibersession.Config{Builtin: true, Codec: fibersession.JSON{}}, "Codec"},
		"Builtin and an absolute limit": {fibersession.Config{Builtin: true, Timeouts: fibersession.Timeouts{Absolute: 1}}, "Timeouts.Absolute"},
		"negative TouchInterval":        {fibersession.Config{Timeouts: fibersession.Timeouts{TouchInterval: -1}}, "Timeouts.TouchInterval is -1ns: it must be positive (0 means the default, 1m0s)"},
		"negative storage timeout":      {fibersession.Config{Timeouts: fibersession.Timeouts{Storage: -time.Second}}, "Timeouts.Storage is -1s: it must be at least 1ms (0 means the default, 1s)"},
		"negative ticket lifetime":      {fibersession.Config{Timeouts: fibersession.Timeouts{Ticket: -1}}, "Timeouts.Ticket is -1ns: it must be at least 1ms (0 means the default, 30s)"},
		"negative MaxLag":               {fibersession.Config{Tracking: fibersession.Tracking{MaxLag: -1}}, "Tracking.MaxLag is -1ns"},
		"negative OutageGrace":          {fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: -1}}, "Tracking.OutageGrace is -1ns: it must not be negative"},
		"negative MaxSize":              {fibersession.Config{Limits: fibersession.Limits{MaxSize: -1}}, "Limits.MaxSize is -1"},
		"negative MaxKeys":              {fibersession.Config{Limits: fibersession.Limits{MaxKeys: -1}}, "Limits.MaxKeys is -1"},
		"unknown Freshness":             {fibersession.Config{Freshness: 3}, "Freshness is 3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				text, _ := recover().(string)
				if !strings.HasPrefix(text, "fibersession: Config.") || !strings.Contains(text, tt.want) {
					t.Errorf("New panicked with %q, want a message about %q", text, tt.want)
				}
			}()
			_ = fibersession.New(tt.cfg).Close()
		})
	}
}

func TestExtractor_Contradictions(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{1}, 32)
	tests := map[string]struct {
		cfg  fibersession.Config
		want string
	}{
		"Extractor and KeyLookup":       {fibersession.Config{KeyLookup: "cookie:a", Extractor: fibersession.FromCookie("b")}, "Extractor"},
		"header without a name":         {fibersession.Config{Extractor: fibersession.FromHeader("")}, "Extractor"},
		"CRLF in a cookie":              {fibersession.Config{Extractor: fibersession.FromCookie("a\r\nb")}, "Extractor"},
		"FromCustom without a function": {fibersession.Config{Extractor: fibersession.FromCustom(nil)}, "FromCustom"},
		"__Host- in a chain":            {fibersession.Config{CookiePath: "/a", Extractor: fibersession.Chain(fibersession.FromHeader("a"), fibersession.FromCookie("__Host-a"))}, "__Host-"},
		"secrets without a cookie":      {fibersession.Config{Extractor: fibersession.FromHeader("a"), Cookie: fibersession.Cookie{Secrets: [][]byte{secret}}}, "Secrets"},
		"a short secret":                {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret, secret[:31]}}}, "has 31 bytes in number 2"},
		"secrets and a cookie format":   {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret}, Format: reversedFormat{}}}, "Cookie.Format"},
		"secrets and Builtin":           {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret}}, Builtin: true}, "Builtin"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "fibersession: Config.") || !strings.Contains(text, tt.want) {
					t.Errorf("New panicked with %q, want a message about %q", text, tt.want)
				}
			}()
			_ = fibersession.New(tt.cfg).Close()
		})
	}
}

// Each kind of source that is weaker than a cookie is logged once, at start.
func TestExtractor_Warns(t *testing.T) {
	t.Parallel()
	none := func(c *fiber.Ctx) (string, error) { return "", nil }
	tests := map[string]struct {
		e    fibersession.Extractor
		want int
	}{
		"no extractor": {fibersession.Extractor{}, 0},
		"cookie":       {fibersession.FromCookie("sid"), 0},
		"header":       {fibersession.FromHeader("X"), 1},
		"query":        {fibersession.FromQuery("q"), 1},
		"custom":       {fibersession.FromCustom(none), 1},
		"all of them":  {fibersession.Chain(fibersession.FromHeader("X"), fibersession.FromHeader("Y"), fibersession.FromQuery("q"), fibersession.FromCustom(none)), 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newStore(t, fibersession.Config{Extractor: tt.e, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			newBrowser(t, userApp(s)).get("/in")
			if got := strings.Count(log.String(), "weaker than the default"); got != tt.want {
				t.Errorf("got %d warnings, want %d:\n%s", got, tt.want, log.String())
			}
		})
	}
}

// The comment of every Config field ends with its default, or with "Required."
func TestConfig_Comments(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	must(t, err)
	fields := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Config" {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			fields++
			lines := strings.Split(strings.TrimSpace(f.Doc.Text()), "\n")
			last := lines[len(lines)-1]
			if !strings.HasPrefix(last, "Optional. Default: ") && !strings.HasPrefix(last, "Required.") {
				t.Errorf("Config.%s: the comment ends with %q, want \"Optional. Default: ...\" or \"Required.\"", f.Names[0].Name, last)
			}
			want, ok := map[string]string{
				"Expiration": "24 * time.Hour", "CookiePath": `"/"`, "Prefix": `"fiberbridge:"`,
			}[f.Names[0].Name]
			if ok && !strings.Contains(last, want) {
				t.Errorf("Config.%s: the documented default is %q, want %s", f.Names[0].Name, last, want)
			}
		}
		return false
	})
	if fields != reflect.TypeFor[fibersession.Config]().NumField() {
		t.Errorf("found %d fields of Config in config.go, want %d", fields, reflect.TypeFor[fibersession.Config]().NumField())
	}
	if d := fibersession.ConfigDefault; d.Expiration != 24*time.Hour || d.Timeouts.Absolute != 168*time.Hour ||
		d.Timeouts.TouchInterval != time.Minute || d.Timeouts.Storage != time.Second || d.Prefix != "fiberbridge:" ||
		d.Limits.MaxSize != 65536 || d.Limits.MaxKeys != 128 {
		t.Errorf("ConfigDefault differs from the documented defaults: %+v", d)
	}
	// A copy of ConfigDefault with one change is a valid configuration.
	cfg := fibersession.ConfigDefault
	cfg.Expiration = 2 * time.Hour
	_ = newStore(t, cfg)
}
