package storage_test

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/storage"
)

// talkative is a driver that, against the rules, writes its URL into its errors.
type talkative struct{}

func (talkative) Schemes() []string { return []string{"talkative", "talkatives"} }

func (talkative) Open(url string) (storage.Storage, error) {
	switch {
	case strings.Contains(url, "panic"):
		panic("cannot connect to " + url)
	case strings.Contains(url, "fail"):
		return nil, fmt.Errorf("%w: cannot connect to %s", storage.ErrUnavailable, url)
	}
	return storage.From(&naive{}), nil
}

// parsing is a driver that returns the error of net/url, as many do. That error repeats
// the URL, and a piece of it.
type parsing struct{}

func (parsing) Schemes() []string { return []string{"parsing"} }

func (parsing) Open(rawURL string) (storage.Storage, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", storage.ErrBadURL, err)
	}
	return nil, fmt.Errorf("%w: no answer from host %q, path %q, option %q", storage.ErrUnavailable, u.Host, u.Path, u.RawQuery)
}

func init() {
	storage.Register(talkative{})
	storage.Register(parsing{})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, url string
		want      error
		text      string // part of the error's text
	}{
		{"registered", "talkative://host", nil, ""},
		{"another scheme of the driver", "talkatives://", nil, ""},
		{"schemes ignore case", "TalkATive://host", nil, ""},
		{"empty", "", storage.ErrBadURL, "memory://"},
		{"no scheme", "localhost:6379", storage.ErrBadURL, "must begin with a scheme"},
		{"odd scheme", "se cret://", storage.ErrBadURL, ""},
		{"unknown", "carrier-pigeon://", storage.ErrUnknownScheme, `"carrier-pigeon"`},
		{"not imported", "redis://localhost", storage.ErrUnknownScheme, `import _ "github.com/fiberbridge/fiberbridge/storage/redis"`},
		{"not imported, TLS", "rediss-cluster://localhost", storage.ErrUnknownScheme, `storage/redis"`},
		{"not imported, memory", "memory://", storage.ErrUnknownScheme, `storage/memory"`},
		{"the driver fails", "talkative://user:hunter2@host/fail", storage.ErrUnavailable, "user:xxxxx@host/fail"},
		{"an @ elsewhere", "talkative://user:hunter2@host/fail@", storage.ErrUnavailable, "store is unavailable: the driver's reason is withheld"},
		{"a secret option", "talkative://host/fail?api_token=hunter2&x=y", storage.ErrUnavailable, "token=xxxxx&x=y"},
		{"a secret option, not encoded", "talkative://host/fail?api_token=hun&ter2#hunter2", storage.ErrUnavailable, "token=xxxxx&xxxxx#xxxxx"},
		{"the name of a key's file", "talkative://host/fail?tls_key_file=client.key", storage.ErrUnavailable, "tls_key_file=client.key"},
		{"the driver panics", "talkative://user:hunter2@host/panic", storage.ErrUnavailable, "panicked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := storage.Open(tt.url)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if err == nil {
				_ = s.Close()
				return
			}
			if s != nil {
				t.Error("Open returned both a storage and an error")
			}
			if !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q, want it to contain %q and no password", err, tt.text)
			}
		})
	}
}

func TestMustOpenPanicsWithoutThePassword(t *testing.T) {
	t.Parallel()
	defer func() {
		if text := fmt.Sprintf("%+v", recover()); !strings.Contains(text, "cannot connect") || strings.Contains(text, "hunter2") {
			t.Errorf("panic %q, want the reason without the password", text)
		}
	}()
	storage.MustOpen("talkative://user:hunter2@host/fail")
}

func TestRegisterPanics(t *testing.T) {
	t.Parallel()
	for name, driver := range map[string]storage.Driver{"nil": nil, "scheme already registered": talkative{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("Register did not panic")
				}
			}()
			storage.Register(driver)
		})
	}
}

// If the password is not percent-encoded, a driver takes pieces of it for something else
// and repeats them. The error says instead which characters to encode.
func TestOpenWithholdsPiecesOfAPassword(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		password string
		shown    string // in the driver's text, if it may be shown
	}{
		"slash":           {password: "XQZ/JKV"},
		"slash, a port":   {password: "48484/XQZJKV"},
		"question mark":   {password: "XQZ?JKV"},
		"hash":            {password: "XQZ#JKV"},
		"percent":         {password: "XQZ%JKV"},
		"at":              {password: "XQZ@JKV", shown: `no answer from host "host:1"`},
		"at and slash":    {password: "XQZ@JKV/VVV"},
		"brackets":        {password: "[XQZ]JKV"},
		"quote":           {password: `X"Q"Z"J"K"V`},
		"backslash":       {password: `X\Q\Z\J\K\V`},
		"space":           {password: "XQZ JKV"},
		"control":         {password: "XQZ\x01JKV"},
		"not ASCII":       {password: "XQZßJKV"},
		"colon, encoded":  {password: "XQZ%3AJKV", shown: `no answer from host "host:1"`},
		"colon":           {password: "XQZ:JKV", shown: `no answer from host "host:1"`},
		"nothing special": {password: "XQZJKV", shown: `no answer from host "host:1"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := storage.Open("parsing://user:" + tt.password + "@host:1/db?x=y")
			text := err.Error()
			for _, piece := range []string{"XQZ", "JKV", "VVV", "484", `X\"Q`, `X"Q`, `X\Q`, `X\\Q`} {
				if strings.Contains(text, piece) {
					t.Errorf("error %q has the piece %q of the password", text, piece)
				}
			}
			if tt.shown == "" && (!strings.Contains(text, `"@" as %40`) || !strings.HasPrefix(text, "storage: ")) {
				t.Errorf("error %q, want the characters to encode, after the error of package storage", text)
			}
			if !strings.Contains(text, tt.shown) {
				t.Errorf("error %q, want %q", text, tt.shown)
			}
		})
	}
}

// foreign turns bytes into a password of letters and digits that occur in no text of the
// packages, and of all the characters that a URL gives a meaning. So a piece of it in an
// error cannot be there by chance.
func foreign(choice []byte) string {
	const letters, special = "XQZJKV48", "@/?#%:&=+;,[]\"\\ '"
	var text strings.Builder
	for _, c := range choice {
		if c < 0x80 {
			text.WriteByte(letters[int(c)%len(letters)])
		} else {
			text.WriteByte(special[int(c)%len(special)])
		}
	}
	return text.String()
}

// pieces yields the pieces of a password, of three characters each, that have two
// letters or digits: "://" is a piece of many texts.
func pieces(password string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range max(len(password)-2, 0) {
			piece, own := password[i:i+3], 0
			for _, c := range []byte(piece) {
				if strings.IndexByte("XQZJKV48", c) >= 0 {
					own++
				}
			}
			if own >= 2 && !yield(piece) {
				return
			}
		}
	}
}

// No piece of a password is in an error, wherever a driver's parser finds it.
func FuzzOpenWithholdsPiecesOfAPassword(f *testing.F) {
	for _, choice := range []string{"abcdef", "abc\x80def", "abc\x81def", "abc\x82def", "abc\x83def", "abc\x84def", "66\x8166\x82ab", "a\x8eb\x8ec"} {
		f.Add([]byte(choice))
	}
	f.Fuzz(func(t *testing.T, choice []byte) {
		password := foreign(choice)
		for _, format := range []string{"parsing://user:%s@host/db", "talkative://user:%s@host/fail", "talkative://user:%s@host/panic", "parsing://%s@host"} {
			rawURL := strings.Replace(format, "%s", password, 1)
			if format == "parsing://%s@host" && strings.Contains(password, ":") {
				continue // the part before the colon would be the user name
			}
			_, err := storage.Open(rawURL)
			if err == nil {
				continue
			}
			for piece := range pieces(password) {
				if strings.Contains(err.Error(), piece) {
					t.Errorf("error %q of %q has the piece %q of the password", err, rawURL, piece)
				}
			}
		}
	})
}

// No text in the place of a password may appear in an error.
func FuzzOpenKeepsThePassword(f *testing.F) {
	for _, password := range []string{"hunter2!", "p%40ss%2Fword", "a/b?c#d@e", "ünïcode", "with space", "100%", "p:a:s:s", "%zz%zz", "a+b+c"} {
		f.Add(password, true)
		f.Add(password, false)
	}
	f.Fuzz(func(t *testing.T, password string, panics bool) {
		how := "fail"
		if panics {
			how = "panic"
		}
		if len(password) < 4 || strings.Contains("xxxxx", password) {
			t.Skip("too short to distinguish from other text")
		}
		urls := []string{"talkative://user:" + password + "@host/" + how, password + "://host"}
		if !strings.Contains(password, ":") { // the part before the colon would be the user name
			urls = append(urls, "talkative://"+password+"@host/"+how)
		}
		for _, rawURL := range urls {
			s, err := storage.Open(rawURL)
			if err != nil {
				// A password with the form of a scheme is treated as one.
				if text := err.Error(); !errors.Is(err, storage.ErrUnknownScheme) && strings.Contains(withoutFixedText(text), password) {
					t.Errorf("error %q contains the password of %q", text, rawURL)
				}
				continue
			}
			_ = s.Close()
		}
	})
}

// withoutFixedText removes the fixed texts of the package and the driver from an
// error, because they may contain a fuzzed "password" by chance.
func withoutFixedText(text string) string {
	for _, own := range []string{
		"storage: store is unavailable: cannot connect to talkative://user:",
		"storage: store is unavailable: cannot connect to talkative://",
		`storage: store is unavailable: the driver of "talkative" panicked: cannot connect to talkative://user:`,
		`storage: store is unavailable: the driver of "talkative" panicked: cannot connect to talkative://`,
		`storage: bad URL: it must begin with a scheme, as in "memory://" or "redis://host:6379/0"`,
		"@host/fail", "@host/panic", "storage: store is unavailable: ", storage.Withheld, `the driver of "talkative" panicked: `,
	} {
		text = strings.ReplaceAll(text, own, "\x00|\x00")
	}
	return text
}
