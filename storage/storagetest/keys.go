package storagetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/storage"
)

// keyCases test which keys a storage takes: all of up to 64 printable ASCII characters. It
// may refuse others with an error, but must not confuse them.
var keyCases = []testCase{
	{"required keys", func(ctx context.Context, t *testing.T, s storage.Storage) {
		var printable strings.Builder
		for c := byte(0x21); c < 0x7f; c++ {
			printable.WriteByte(c)
		}
		p := printable.String()
		longest := "fiberbridge:ticket:" + strings.Repeat("x", 45)
		keys := []string{
			"k", "K", "k:", "*", "%", "k_", "k%", "{tag}k", `k\`, `k\\`, "'", `"`, "--", ";", "0", "-1", "null", "../k", "k/k",
			p[:47], p[47:], strings.Repeat("k", 64), longest, longest[:63] + "y", longest[:63],
		}
		for i, key := range keys {
			if _, err := s.CompareAndSwap(ctx, key, storage.Absent, []byte{byte(i), 'v'}, time.Hour); err != nil {
				t.Errorf("%q: %v", key, err)
			}
		}
		for i, key := range keys {
			item, err := s.Load(ctx, key)
			if err != nil || len(item.Value) != 2 || item.Value[0] != byte(i) {
				t.Errorf("%q has the value %q, %v, want %q", key, item.Value, err, []byte{byte(i), 'v'})
			}
		}
		for _, key := range keys {
			if err := s.CompareAndDelete(ctx, key, storage.Any); err != nil {
				t.Errorf("%q: %v", key, err)
			}
		}
	}, ""},
	{"longer keys", otherKeys("keys of more than 64 characters", strings.Repeat("k", 65), strings.Repeat("k", 66),
		strings.Repeat("long", 256), strings.Repeat("long", 256)+"er"), ""},
	{"keys with spaces", otherKeys("keys with spaces", "k ", " k", "k", "k k", "k  k"), ""},
	{"keys of other letters", otherKeys("keys that are not ASCII", "ü", "u", "Ü", "u\u0308", "ß", "ss", "日本"), ""},
	{"keys with control characters", otherKeys("keys with control characters", "k\r\nk", "k\x00", "k\x00k", "\x00", "\x7f"), ""},
	{"keys that are not UTF-8", otherKeys("keys that are not UTF-8", "\xff", "\xfe", "ü\xc3", "\xff\x00"), ""},
}

// otherKeys tests keys that a storage may refuse, which is skipped by name. Each key must
// be stored and kept apart from the others, or refused without an effect.
func otherKeys(what string, keys ...string) func(ctx context.Context, t *testing.T, s storage.Storage) {
	return func(ctx context.Context, t *testing.T, s storage.Storage) {
		var refused error
		stored := map[string]string{}
		for i, key := range keys {
			val := string([]byte{byte('a' + i), 'v'})
			if err := s.Set(key, []byte(val), time.Hour); err != nil {
				refused = errors.Join(refused, err)
				continue
			}
			stored[key] = val
		}
		for _, key := range keys {
			got, err := s.Get(key)
			if _, ok := stored[key]; ok && (err != nil || string(got) != stored[key]) || !ok && got != nil {
				t.Errorf("%q has the value %q, %v, want %q", key, got, err, stored[key])
			}
			if err := s.Delete(key); err != nil && stored[key] != "" {
				t.Errorf("%q: %v", key, err)
			}
		}
		if refused != nil && !t.Failed() {
			first, _, _ := strings.Cut(refused.Error(), "\n")
			skip(t, what, "the storage refuses them: "+first)
		}
	}
}
