package fibersession

import (
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// New gives every setting its default before anything reads it. So a field of the effective
// configuration is zero only if zero is its default, for the reason given here.
func TestConfig_DefaultsAreAppliedOnce(t *testing.T) {
	t.Parallel()
	zero := map[string]string{
		"CookieDomain":         "cookies of this host only",
		"CookieSecure":         "cookies are Secure on https",
		"CookieHTTPOnly":       "kept for compatibility; cookies are always HttpOnly",
		"CookieSessionOnly":    "off",
		"CookiePartitioned":    "off",
		"CookieName":           "Fiber's deprecated form of KeyLookup",
		"Extractor.sources":    "KeyLookup, or the default cookie",
		"Cookie.Secrets":       "cookies are not signed, or Cookie.Format has them",
		"UserKey":              "sessions have no users",
		"Tracking.OutageGrace": "reads fail while the storage does not answer",
		"Next":                 "Handler skips no request",
		"OldLogins.Off":        "old logins are taken over",
		"OldLogins.Until":      "without an end",
	}
	tests := map[string]struct {
		cfg  Config
		zero map[string]string // more zero fields
	}{
		"the zero Config": {Config{}, map[string]string{
			"KeyLookup":     "the name of the cookie depends on the request",
			"Cookie.Format": "the cookie holds the ID alone",
			"Builtin":       "off",
			"Express":       "off",
		}},
		"Builtin": {Config{Builtin: true}, map[string]string{
			"Cookie.Format": "the cookie holds the ID alone",
			"Express":       "off",
		}},
		"Express": {Config{Express: &Express{Secrets: []string{strings.Repeat("s", 32)}}}, map[string]string{
			"Builtin": "off",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
			s := New(tt.cfg)
			t.Cleanup(func() { _ = s.Close() })
			allowed := maps.Clone(zero)
			maps.Copy(allowed, tt.zero)
			var got []string
			zeroFields(reflect.ValueOf(s.Config), "", &got)
			want := slices.Sorted(maps.Keys(allowed))
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("zero fields\n%q, want\n%q", got, want)
			}
		})
	}
	s := New(Config{})
	t.Cleanup(func() { _ = s.Close() })
	if s.Config.Logger == nil {
		t.Error("Logger has no default")
	}
}

// zeroFields adds the names of v's zero fields, those of nested structs included.
func zeroFields(v reflect.Value, prefix string, names *[]string) {
	for i := range v.NumField() {
		name, f := prefix+v.Type().Field(i).Name, v.Field(i)
		if f.Kind() == reflect.Pointer && !f.IsNil() && f.Elem().Kind() == reflect.Struct && f.Type().Elem().PkgPath() == v.Type().PkgPath() {
			f = f.Elem()
		}
		switch {
		case f.Kind() == reflect.Struct && f.Type().PkgPath() == v.Type().PkgPath():
			zeroFields(f, name+".", names)
		case f.IsZero():
			*names = append(*names, name)
		}
	}
}
