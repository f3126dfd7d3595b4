package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Prefix returns a view of s in which every key, set and watched key begins with
// prefix, so that several apps share one storage safely. An empty prefix returns
// s itself.
//
// Reset of the view clears its prefix alone (it needs the base's PrefixResetter;
// without it, it returns errors.ErrUnsupported and removes nothing). Close of the
// view does nothing: the base belongs to who opened it. Let no prefix be the
// beginning of another's: end each with a separator ("shop:").
func Prefix(s Storage, prefix string) Storage {
	if s == nil {
		panic("storage: Prefix(nil)")
	}
	if prefix == "" {
		return s
	}
	return &view{base: s, prefix: prefix}
}

// view is a base whose names carry a prefix.
type view struct {
	base   Storage
	prefix string
}

// Unwrap returns the base, for what a storage can do beside being one.
func (v *view) Unwrap() Basic { return v.base }

// Prefix returns what the view adds to the base's names.
func (v *view) Prefix() string { return v.prefix }

// name returns the base's name for key. The empty key stays empty: it is no key
// in the view either.
func (v *view) name(key string) string {
	if key == "" {
		return ""
	}
	return v.prefix + key
}

func (v *view) Get(key string) ([]byte, error) { return v.base.Get(v.name(key)) }

func (v *view) Set(key string, val []byte, exp time.Duration) error {
	return v.base.Set(v.name(key), val, exp)
}

func (v *view) Delete(key string) error { return v.base.Delete(v.name(key)) }

func (v *view) Reset() error {
	return v.resetPrefix(context.Background(), v.prefix)
}

func (v *view) Close() error { return nil }

func (v *view) Load(ctx context.Context, key string) (Item, error) {
	return v.base.Load(ctx, v.name(key))
}

func (v *view) CompareAndSwap(ctx context.Context, key string, old Revision, val []byte, ttl time.Duration) (Revision, error) {
	return v.base.CompareAndSwap(ctx, v.name(key), old, val, ttl)
}

func (v *view) CompareAndDelete(ctx context.Context, key string, old Revision) error {
	return v.base.CompareAndDelete(ctx, v.name(key), old)
}

func (v *view) Touch(ctx context.Context, key string, ttl time.Duration) error {
	return v.base.Touch(ctx, v.name(key), ttl)
}

func (v *view) ResetPrefix(ctx context.Context, prefix string) error {
	if prefix == "" {
		return fmt.Errorf("%w: empty prefix", ErrInvalid)
	}
	return v.resetPrefix(ctx, v.prefix+prefix)
}

func (v *view) resetPrefix(ctx context.Context, full string) error {
	r, ok := v.base.(PrefixResetter)
	if !ok {
		return v.unsupported("ResetPrefix")
	}
	return r.ResetPrefix(ctx, full)
}

func (v *view) Watch(fn func(Change)) (Watch, error) {
	f, ok := v.base.(Feed)
	if !ok {
		return nil, v.unsupported("Watch")
	}
	if fn == nil {
		return nil, fmt.Errorf("%w: nil function", ErrInvalid)
	}
	w, err := f.Watch(func(c Change) {
		c.Key = strings.TrimPrefix(c.Key, v.prefix) // a Gap has no key
		fn(c)
	})
	if err != nil {
		return nil, err
	}
	return &viewWatch{Watch: w, view: v}, nil
}

func (v *view) AddMember(ctx context.Context, set, member string, ttl time.Duration) error {
	x, ok := v.base.(Index)
	if !ok {
		return v.unsupported("AddMember")
	}
	return x.AddMember(ctx, v.name(set), member, ttl)
}

func (v *view) RemoveMember(ctx context.Context, set, member string) error {
	x, ok := v.base.(Index)
	if !ok {
		return v.unsupported("RemoveMember")
	}
	return x.RemoveMember(ctx, v.name(set), member)
}

func (v *view) Members(ctx context.Context, set string) iter.Seq2[string, error] {
	x, ok := v.base.(Index)
	if !ok {
		return func(yield func(string, error) bool) { yield("", v.unsupported("Members")) }
	}
	return x.Members(ctx, v.name(set))
}

// Holds implements Checker for a base that does.
func (v *view) Holds(key string, rev Revision) bool {
	c, ok := v.base.(Checker)
	return ok && key != "" && c.Holds(v.name(key), rev)
}

func (v *view) TTL(ctx context.Context, key string) (time.Duration, error) {
	l, ok := v.base.(Lifetime)
	if !ok {
		return 0, v.unsupported("TTL")
	}
	return l.TTL(ctx, v.name(key))
}

func (v *view) unsupported(method string) error {
	return fmt.Errorf("storage: %s: %T has no such ability: %w", method, v.base, errors.ErrUnsupported)
}

// viewWatch watches the base's names for the view's keys.
type viewWatch struct {
	Watch
	view *view
}

func (w *viewWatch) Add(ctx context.Context, keys ...string) error {
	return w.Watch.Add(ctx, w.names(keys)...)
}

func (w *viewWatch) Remove(keys ...string) { w.Watch.Remove(w.names(keys)...) }

// Lag implements Punctual for a base that does.
func (w *viewWatch) Lag() (time.Duration, bool) {
	if p, ok := w.Watch.(Punctual); ok {
		return p.Lag()
	}
	return 0, false
}

func (w *viewWatch) names(keys []string) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = w.view.name(key)
	}
	return names
}
