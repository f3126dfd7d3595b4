package fibersession_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

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
