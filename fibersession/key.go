package fibersession

import "context"

// Key is the name of a session value of type T. Declared once, it gives the value one type in
// the whole app:
//
//	const Cart = fibersession.Key[[]Item]("cart")
//
//	items, err := Cart.Get(p.Session())
//	Cart.Set(p.Session(), append(items, item))
//
// A Key is a string: string(Cart) is the key for plain code. Value and Lookup read keys whose
// name is known only at run time.
type Key[T any] string

// Setter is what Key.Set writes to: a Session, a Handle or a Tx.
type Setter interface{ Set(key string, v any) }

// Deleter is what Key.Delete deletes from: a Session, a Handle or a Tx.
type Deleter interface{ Delete(key string) }

// Updater is what Key.Update changes: a Session, a Handle or a Tx. Only this package implements
// it; a type of another package can embed one.
type Updater interface {
	update(ctx context.Context, fn func(tx *Tx) error) error
}

// Get returns the value. It returns T's zero value and no error if there is none. It converts,
// and returns errors, as Value does.
func (k Key[T]) Get(g Getter) (T, error) { return Value[T](g, string(k)) }

// Lookup returns the value, and reports whether there is one. See Lookup.
func (k Key[T]) Lookup(g Getter) (T, bool, error) { return Lookup[T](g, string(k)) }

// Set sets the value, as Set of a Session, a Handle or a Tx does.
func (k Key[T]) Set(s Setter, v T) { s.Set(string(k), v) }

// Delete removes the value, as Delete of a Session, a Handle or a Tx does.
func (k Key[T]) Delete(d Deleter) { d.Delete(string(k)) }

// Update replaces the value by what fn returns for it, atomically: it runs fn again if the value
// has changed meanwhile, as Update of a Session or a Handle does. fn gets T's zero value if there
// is none. If fn returns an error, or the stored value is no T (ErrType), nothing is changed and
// Update returns that error.
//
// Update stores the change before it returns. ctx bounds how long it waits: Packet.Context in
// handlers of events, Ctx.UserContext in HTTP handlers. A Session writes the cookie of a new
// session. With a Tx, fn runs once, the change is part of the transaction, and ctx is not used.
func (k Key[T]) Update(ctx context.Context, u Updater, fn func(v T) (T, error)) error {
	return u.update(ctx, func(tx *Tx) error {
		v, err := k.Get(tx)
		if err != nil {
			return err
		}
		if v, err = fn(v); err == nil {
			k.Set(tx, v)
		}
		return err
	})
}

func (h *Handle) update(ctx context.Context, fn func(tx *Tx) error) error { return h.Update(ctx, fn) }

func (tx *Tx) update(_ context.Context, fn func(tx *Tx) error) error { return fn(tx) }
