package storage_test

import (
	"errors"
	"fmt"
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

func init() { storage.Register(talkative{}) }

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
		{"an @ elsewhere", "talkative://user:hunter2@host/fail@", storage.ErrUnavailable, "user:xxxxx@"},
		{"a secret option", "talkative://host/fail?api_token=hunter2&x=y", storage.ErrUnavailable, "token=xxxxx&x=y"},
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
		for _, url := range urls {
			s, err := storage.Open(url)
			if err != nil {
				// A password with the form of a scheme is treated as one.
				if text := err.Error(); !errors.Is(err, storage.ErrUnknownScheme) && strings.Contains(withoutFixedText(text), password) {
					t.Errorf("error %q contains the password of %q", text, url)
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
		"@host/fail", "@host/panic",
	} {
		text = strings.ReplaceAll(text, own, "\x00|\x00")
	}
	return text
}
