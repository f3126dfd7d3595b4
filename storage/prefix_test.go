package storage_test

import (
	"errors"
	"testing"

	"github.com/fiberbridge/fiberbridge/storage"
)

func TestPrefixOfABaseWithoutOptionalInterfaces(t *testing.T) {
	t.Parallel()
	v := storage.Prefix(bare{open(t, &naive{})}, "app:")
	ctx := t.Context()
	_, watchErr := v.(storage.Feed).Watch(func(storage.Change) {})
	x := v.(storage.Index)
	var membersErr error
	for _, err := range x.Members(ctx, "s") {
		membersErr = err
	}
	for call, err := range map[string]error{
		"Watch":        watchErr,
		"AddMember":    x.AddMember(ctx, "s", "m", 0),
		"RemoveMember": x.RemoveMember(ctx, "s", "m"),
		"Members":      membersErr,
		"Reset":        v.Reset(),
		"ResetPrefix":  v.(storage.PrefixResetter).ResetPrefix(ctx, "x"),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, want errors.ErrUnsupported", call, err)
		}
	}
}

// In a view of a view, the prefixes concatenate, and Reset removes only keys under both.
func TestPrefixOfAPrefix(t *testing.T) {
	t.Parallel()
	base := open(t, &naive{})
	outer := storage.Prefix(base, "app:")
	inner := storage.Prefix(outer, "sess:")
	for _, s := range []storage.Storage{base, outer, inner} {
		if err := s.Set("k", []byte("v"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if val, _ := base.Get("app:sess:k"); string(val) != "v" {
		t.Error("the key does not have both prefixes")
	}
	if err := inner.Reset(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"k": true, "app:k": true, "app:sess:k": false} {
		if val, _ := base.Get(name); (val != nil) != want {
			t.Errorf("after the inner Reset: %s exists: %v, want %v", name, val != nil, want)
		}
	}
}
