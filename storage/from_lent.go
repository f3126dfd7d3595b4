package storage

import (
	"reflect"
	"strings"
)

// lendsMemory reports whether values that b returns are memory that a later write of any
// key may change or unmap. gofiber's bbolt driver is one: it returns a slice of its mapped
// file after the read transaction has ended, and a write then reuses the page, or moves
// the mapping, which crashes the process. From lets no write run while it copies a value
// of such a Basic. Releases of the driver that take a context copy the value themselves.
func lendsMemory(b Basic) bool {
	_, copies := b.(contextual)
	return !copies && embedsBbolt(reflect.TypeOf(b))
}

// embedsBbolt reports whether t is gofiber's bbolt storage or a struct that embeds it.
func embedsBbolt(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	const driver = "github.com/gofiber/storage/bbolt"
	if t.PkgPath() == driver || strings.HasPrefix(t.PkgPath(), driver+"/") {
		return true
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && embedsBbolt(f.Type) {
			return true
		}
	}
	return false
}
