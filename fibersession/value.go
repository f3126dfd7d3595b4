package fibersession

// Getter is what Value and Lookup read: a Session, a Handle or a Tx.
type Getter interface{ Get(key string) any }

// Value returns the value of key. It returns T's zero value if there is none or it has
// another type.
func Value[T any](g Getter, key string) T {
	v, _ := Lookup[T](g, key)
	return v
}

// Lookup returns the value of key, and reports whether there is one of type T.
func Lookup[T any](g Getter, key string) (T, bool) {
	v, ok := g.Get(key).(T)
	return v, ok
}
