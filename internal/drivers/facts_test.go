package drivers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// The table in docs/storages.md says what the drivers do by themselves, without storage.From.
func TestF7_FactsOfDrivers(t *testing.T) {
	t.Parallel()
	documented := tableOf(t, "../../docs/storages.md")
	drivers(t, func(t *testing.T, name string, newPlace func(*testing.T) place) {
		b := newPlace(t).open()
		t.Cleanup(func() { _ = b.Close() })
		var driver fiber.Storage = b
		_, contexts := driver.(interface {
			GetWithContext(ctx context.Context, key string) ([]byte, error)
		})
		got := strings.Join([]string{name, versionOf(t, name), ttlFact(t, b), keyFact(t, b), yesOrNo(contexts)}, " | ")
		if want := documented[name]; got != want {
			t.Errorf("docs/storages.md has the row\n\t%s\nthe driver\n\t%s", want, got)
		}
		overwriting(t, b)
		manyKeys(t, b)
	})
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// tableOf returns the rows of the table of drivers by their first cell.
func tableOf(t *testing.T, page string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(page)
	must(t, err)
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if row, ok := strings.CutPrefix(strings.TrimSpace(line), "| "); ok {
			row = strings.TrimSuffix(row, " |")
			name, _, _ := strings.Cut(row, " |")
			rows[name] = row
		}
	}
	return rows
}

// versionOf returns the version of the driver in go.mod.
func versionOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("go.mod")
	must(t, err)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 2 && strings.HasPrefix(fields[0]+"/", "github.com/gofiber/storage/"+name+"/") {
			return fields[1]
		}
	}
	t.Fatalf("go.mod has no driver %s", name)
	return ""
}

// ttlFact says what becomes of a ttl that is no whole number of seconds.
func ttlFact(t *testing.T, b fiber.Storage) string {
	t.Helper()
	must(t, b.Set("permanent", []byte("v"), 0))
	keys := make([]string, 20)
	for i := range keys {
		keys[i] = fmt.Sprint("brief", i)
		must(t, b.Set(keys[i], []byte("v"), time.Millisecond))
		if val, err := b.Get(keys[i]); val == nil {
			must(t, err)
			return "whole seconds, cut off"
		}
	}
	gone := func() bool {
		for _, key := range keys {
			if val, err := b.Get(key); err != nil || val != nil {
				return false
			}
		}
		return true
	}
	fact := "ignored"
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if gone() {
			fact = "whole seconds, rounded up"
			break
		}
	}
	if val, err := b.Get("permanent"); string(val) != "v" {
		t.Errorf("the key with ttl 0 has the value %q, %v", val, err)
	}
	return fact
}

// keyFact says which keys the driver takes beyond those that it must take.
func keyFact(t *testing.T, b fiber.Storage) string {
	t.Helper()
	takes := func(key string) bool {
		if b.Set(key, []byte("v"), 0) != nil {
			return false
		}
		val, err := b.Get(key)
		return err == nil && string(val) == "v"
	}
	if !takes(strings.Repeat("k", 64)) {
		t.Error("the driver refuses a key of 64 characters")
	}
	long, binary := takes(strings.Repeat("k", 65)), takes("k\x00\xff")
	switch {
	case long && binary:
		return "any bytes"
	case !long && !binary && !takes("k\x00") && !takes("\xff") && takes("ü"):
		return "64 characters, UTF-8 without NUL"
	}
	return fmt.Sprintf("long %t, binary %t", long, binary)
}

// overwriting checks that the last value and the last ttl count.
func overwriting(t *testing.T, b fiber.Storage) {
	t.Helper()
	for i, ttl := range []time.Duration{time.Hour, 0, time.Hour, 0} {
		val := bytes.Repeat([]byte{byte('a' + i)}, 70_000>>i)
		must(t, b.Set("overwritten", val, ttl))
		if got, err := b.Get("overwritten"); !bytes.Equal(got, val) {
			t.Errorf("write %d: got %d bytes, %v, want %d", i, len(got), err, len(val))
		}
	}
}

// manyKeys checks that the driver's own Reset removes every key.
func manyKeys(t *testing.T, b lister) {
	t.Helper()
	for i := range 1000 {
		must(t, b.Set(fmt.Sprint("key", i), bytes.Repeat([]byte("v"), 100), 0))
	}
	must(t, b.Reset())
	if left := raw(t, b, ""); len(left) > 0 {
		t.Errorf("%d keys are left after the driver's Reset", len(left))
	}
}

// The prefix that the page names is the longest that fits.
func TestF7_LongestPrefixOfPostgres(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/storages.md")
	must(t, err)
	if !strings.Contains(string(page), fmt.Sprintf("at most %d characters", len(longPrefix))) {
		t.Errorf("docs/storages.md does not say that a prefix has at most %d characters", len(longPrefix))
	}
	p := postgresPlace(t, startPostgres(t))
	s := newStore(t, open(t, unlisted{p.open()}), fibersession.Config{Prefix: longPrefix + "x"})
	app := newApp(s)
	res, err := app.Test(request("/login"), -1)
	must(t, err)
	if res.StatusCode != fiber.StatusServiceUnavailable {
		t.Errorf("a login with a longer prefix: got status %d, want 503", res.StatusCode)
	}
}

// Values that bbolt returns are memory of its file. They must not change, or be unmapped,
// while storage.From copies them.
func TestF7_BboltLendsItsMemory(t *testing.T) {
	t.Parallel()
	s := open(t, unlisted{newBbolt(t).open()})
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1<<12+i%7<<10) }
	const keys = 64
	for i := range keys {
		must(t, s.Set(fmt.Sprint("k", i), value(i), 0))
	}
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() { // ends with ctx; waited for below
			for i := 0; ctx.Err() == nil; i = (i + 1) % keys {
				item, err := s.Load(ctx, fmt.Sprint("k", i))
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
				if want := bytes.Repeat(item.Value[:1], len(item.Value)); !bytes.Equal(item.Value, want) {
					t.Errorf("the value of k%d is torn", i)
					return
				}
			}
		})
	}
	for i := range 1000 {
		if err := s.Set(fmt.Sprint("k", i%keys), value(i), 0); err != nil {
			t.Error(err)
		}
		if err := s.Set(fmt.Sprint("more", i), value(i), 0); err != nil { // the file grows
			t.Error(err)
		}
	}
	stop()
	readers.Wait()
}

// Close must not unmap the file while a value is being copied, also if the caller of the
// read has gone.
func TestF7_BboltClosesAfterReads(t *testing.T) {
	t.Parallel()
	value := bytes.Repeat([]byte("v"), 4<<20)
	for range 20 {
		s := open(t, unlisted{newBbolt(t).open()})
		must(t, s.Set("k", value, 0))
		ctx, stop := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		reading := make(chan struct{}, 4)
		for range cap(reading) {
			readers.Go(func() { // ends with ctx or Close; waited for below
				for first := true; ; first = false {
					item, err := s.Load(ctx, "k")
					if first {
						reading <- struct{}{}
					}
					if err != nil {
						return
					}
					if !bytes.Equal(item.Value, value) {
						t.Error("got another value")
					}
				}
			})
		}
		for range cap(reading) {
			<-reading
		}
		stop()
		must(t, s.Close())
		readers.Wait()
	}
}
