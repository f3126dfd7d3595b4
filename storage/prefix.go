package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// Prefix returns a view of s that prepends prefix to every key, set and watched
// key, so that several apps can share one storage. With an empty prefix it returns
// s itself. It panics if s is nil.
//
// Reset of the view removes only its own keys. It needs a base that implements
// PrefixResetter, as From's results do; otherwise it returns errors.ErrUnsupported and
// removes nothing.
// Close of the view does nothing: the code that opened the base closes it. No
// prefix may begin with another one, so end each with a separator ("shop:").
func Prefix(s Storage, prefix string) Storage {
	if s == nil {
		panic("storage: Prefix(nil)")
	}
	if prefix == "" {
		return s
	}
	return &view{base: s, prefix: prefix}
}

// view is the Storage that Prefix returns.
type view struct {
	base   Storage
	prefix string
}

// Unwrap returns the base, for type assertions on it.
func (v *view) Unwrap() Basic { return v.base }

// Prefix returns the prefix of the view.
func (v *view) Prefix() string { return v.prefix }

// name returns the base's name for key. The empty key stays empty, because it is
// invalid in the view too.
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

// Holds implements Checker. It returns false if the base does not implement it.
func (v *view) Holds(key string, rev Revision) bool {
	c, ok := v.base.(Checker)
	return ok && key != "" && c.Holds(v.name(key), rev)
}

// TTL implements TTLReader.
func (v *view) TTL(ctx context.Context, key string) (time.Duration, error) {
	r, ok := v.base.(TTLReader)
	if !ok {
		return 0, v.unsupported("TTL")
	}
	return r.TTL(ctx, v.name(key))
}

// Ping implements Pinger.
func (v *view) Ping(ctx context.Context) error { return Ping(ctx, v.base) }

func (v *view) unsupported(method string) error {
	return fmt.Errorf("storage: %s: %T does not implement it: %w", method, v.base, errors.ErrUnsupported)
}

// viewWatch translates the view's keys to the base's names.
type viewWatch struct {
	Watch
	view *view
}

func (w *viewWatch) Add(ctx context.Context, keys ...string) error {
	return w.Watch.Add(ctx, w.names(keys)...)
}

func (w *viewWatch) Remove(keys ...string) { w.Watch.Remove(w.names(keys)...) }

// Lag implements LagReporter. It knows no bound if the base's watch does not.
func (w *viewWatch) Lag() (time.Duration, bool) {
	if r, ok := w.Watch.(LagReporter); ok {
		return r.Lag()
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
