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

// Whatever setting is weaker than the default is told at start, and by its name. (Row 52
// of docs/security.md)
func TestWeakSettingsAreTold(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  fibersession.Config
		want string // "" when there is nothing to tell
	}{
		"nothing":     {fibersession.Config{}, ""},
		"signed":      {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}}}, ""},
		"a domain":    {fibersession.Config{CookieDomain: "example.com"}, ""},
		"plain http":  {fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}}, "Insecure"},
		"header":      {fibersession.Config{Extractor: fibersession.FromHeader("X")}, "header"},
		"query":       {fibersession.Config{Extractor: fibersession.FromQuery("q")}, "URL"},
		"own sources": {fibersession.Config{Extractor: fibersession.FromCustom(func(*fiber.Ctx) (string, error) { return "", nil })}, "Extractor"},
		"own IDs":     {fibersession.Config{KeyGenerator: func() string { return strings.Repeat("a", 43) }}, "KeyGenerator"},
		"Fiber's":     {fibersession.Config{Builtin: true}, "Builtin"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			tt.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			newStore(t, tt.cfg)
			var told []string
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "weaker than the default") {
					told = append(told, line)
				}
			}
			switch {
			case tt.want == "" && len(told) != 0:
				t.Errorf("it is told %q", told)
			case tt.want != "" && (len(told) != 1 || !strings.Contains(told[0], tt.want) || !strings.Contains(told[0], "level=WARN")):
				t.Errorf("it is told %q, which is not one warning with %s", told, tt.want)
			}
		})
	}
}

func TestNew_RefusesContradictions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  fibersession.Config
		says string
	}{
		"CRLF in the name":       {fibersession.Config{KeyLookup: "cookie:a\r\nSet-Cookie: b"}, "KeyLookup"},
		"CRLF in the old name":   {fibersession.Config{CookieName: "a\r\nb"}, "KeyLookup"},
		"CRLF in the domain":     {fibersession.Config{CookieDomain: "a\r\nSet-Cookie: b=c"}, "CookieDomain"},
		"semicolon in the path":  {fibersession.Config{CookiePath: "/; Domain=evil"}, "CookiePath"},
		"newline in the path":    {fibersession.Config{CookiePath: "/\n"}, "CookiePath"},
		"relative path":          {fibersession.Config{CookiePath: "app"}, "CookiePath"},
		"space in the name":      {fibersession.Config{KeyLookup: "cookie:a b"}, "KeyLookup"},
		"no name":                {fibersession.Config{KeyLookup: "cookie:"}, "KeyLookup"},
		"no source":              {fibersession.Config{KeyLookup: "session"}, "KeyLookup"},
		"unknown source":         {fibersession.Config{KeyLookup: "form:session"}, "source"},
		"SameSite":               {fibersession.Config{CookieSameSite: "maybe"}, "CookieSameSite"},
		"None without Secure":    {fibersession.Config{CookieSameSite: "None", Cookie: fibersession.Cookie{Insecure: true}}, "CookieSameSite"},
		"Secure and Insecure":    {fibersession.Config{CookieSecure: true, Cookie: fibersession.Cookie{Insecure: true}}, "CookieSecure"},
		"two names":              {fibersession.Config{CookieName: "a", KeyLookup: "cookie:b"}, "CookieName"},
		"__Host- and a domain":   {fibersession.Config{KeyLookup: "cookie:__Host-a", CookieDomain: "a.b"}, "__Host-"},
		"__Host- and a path":     {fibersession.Config{KeyLookup: "cookie:__Host-a", CookiePath: "/a"}, "__Host-"},
		"__Host- and insecure":   {fibersession.Config{KeyLookup: "cookie:__Host-a", Cookie: fibersession.Cookie{Insecure: true}}, "__Host-"},
		"__Secure- and insecure": {fibersession.Config{KeyLookup: "cookie:__Secure-a", Cookie: fibersession.Cookie{Insecure: true}}, "__Secure-"},
		"Builtin and a codec":    {fibersession.Config{Builtin: true, Codec: fibersession.JSON{}}, "Codec"},
		"Builtin and a limit":    {fibersession.Config{Builtin: true, Timeouts: fibersession.Timeouts{Absolute: 1}}, "Timeouts.Absolute"},
		"a negative touch":       {fibersession.Config{Timeouts: fibersession.Timeouts{TouchInterval: -1}}, "Timeouts.TouchInterval is -1ns: it must be positive (0 means the default, 1m0s)"},
		"a negative wait":        {fibersession.Config{Timeouts: fibersession.Timeouts{Storage: -time.Second}}, "Timeouts.Storage is -1s: it must be positive (0 means the default, 1s)"},
		"a negative ticket":      {fibersession.Config{Timeouts: fibersession.Timeouts{Ticket: -1}}, "Timeouts.Ticket is -1ns"},
		"a negative lag":         {fibersession.Config{Tracking: fibersession.Tracking{MaxLag: -1}}, "Tracking.MaxLag is -1ns"},
		"a negative grace":       {fibersession.Config{Tracking: fibersession.Tracking{OutageGrace: -1}}, "Tracking.OutageGrace is -1ns: it must not be negative"},
		"a negative size":        {fibersession.Config{Limits: fibersession.Limits{MaxSize: -1}}, "Limits.MaxSize is -1"},
		"a negative count":       {fibersession.Config{Limits: fibersession.Limits{MaxKeys: -1}}, "Limits.MaxKeys is -1"},
		"an unknown freshness":   {fibersession.Config{Freshness: 3}, "Freshness is 3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				text, _ := recover().(string)
				if !strings.HasPrefix(text, "fibersession: Config.") || !strings.Contains(text, tt.says) {
					t.Errorf("panic %q", text)
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
		says string
	}{
		"with KeyLookup":         {fibersession.Config{KeyLookup: "cookie:a", Extractor: fibersession.FromCookie("b")}, "Extractor"},
		"header without a name":  {fibersession.Config{Extractor: fibersession.FromHeader("")}, "Extractor"},
		"CRLF in a cookie":       {fibersession.Config{Extractor: fibersession.FromCookie("a\r\nb")}, "Extractor"},
		"no function":            {fibersession.Config{Extractor: fibersession.FromCustom(nil)}, "FromCustom"},
		"__Host- in a chain":     {fibersession.Config{Cookie: fibersession.Cookie{Insecure: true}, Extractor: fibersession.Chain(fibersession.FromHeader("a"), fibersession.FromCookie("__Host-a"))}, "__Host-"},
		"secrets without cookie": {fibersession.Config{Extractor: fibersession.FromHeader("a"), Cookie: fibersession.Cookie{Secrets: [][]byte{secret}}}, "Secrets"},
		"a short secret":         {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret, secret[:31]}}}, "has 31 bytes in number 2"},
		"two forms":              {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret}, Format: reversedFormat{}}}, "Cookie.Format"},
		"secrets and Builtin":    {fibersession.Config{Cookie: fibersession.Cookie{Secrets: [][]byte{secret}}, Builtin: true}, "Builtin"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "fibersession: Config.") || !strings.Contains(text, tt.says) {
					t.Errorf("panic %q", text)
				}
			}()
			_ = fibersession.New(tt.cfg).Close()
		})
	}
}

// Whatever is weaker than the cookie is said at start, once.
func TestExtractor_Warns(t *testing.T) {
	t.Parallel()
	none := func(c *fiber.Ctx) (string, error) { return "", nil }
	tests := map[string]struct {
		e    fibersession.Extractor
		want int
	}{
		"nothing": {fibersession.Extractor{}, 0},
		"cookie":  {fibersession.FromCookie("sid"), 0},
		"header":  {fibersession.FromHeader("X"), 1},
		"query":   {fibersession.FromQuery("q"), 1},
		"custom":  {fibersession.FromCustom(none), 1},
		"all":     {fibersession.Chain(fibersession.FromHeader("X"), fibersession.FromHeader("Y"), fibersession.FromQuery("q"), fibersession.FromCustom(none)), 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newStore(t, fibersession.Config{Extractor: tt.e, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			newBrowser(t, userApp(s)).get("/in")
			if got := strings.Count(log.String(), "weaker than the default"); got != tt.want {
				t.Errorf("%d warnings, want %d:\n%s", got, tt.want, log.String())
			}
		})
	}
}

// Every field of Config says whether it is needed, and what its default is.
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
				t.Errorf("Config.%s: its comment ends in %q", f.Names[0].Name, last)
			}
			want, ok := map[string]string{
				"Expiration": "24 * time.Hour", "CookiePath": `"/"`, "Prefix": `"fiberbridge:"`,
			}[f.Names[0].Name]
			if ok && !strings.Contains(last, want) {
				t.Errorf("Config.%s: the default is documented as %q", f.Names[0].Name, last)
			}
		}
		return false
	})
	if fields != reflect.TypeFor[fibersession.Config]().NumField() {
		t.Errorf("saw %d fields", fields)
	}
	if d := fibersession.ConfigDefault; d.Expiration != 24*time.Hour || d.Timeouts.Absolute != 168*time.Hour ||
		d.Timeouts.TouchInterval != time.Minute || d.Timeouts.Storage != time.Second || d.Prefix != "fiberbridge:" ||
		d.Limits.MaxSize != 65536 || d.Limits.MaxKeys != 128 {
		t.Errorf("the defaults are not the documented ones: %+v", d)
	}
	// A changed copy of the defaults is a configuration.
	cfg := fibersession.ConfigDefault
	cfg.Expiration = 2 * time.Hour
	_ = newStore(t, cfg)
}
