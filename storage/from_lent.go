package storage

import (
	"reflect"
	"strings"
)

// lendsMemory reports whether values that b returns are memory that a later write of any
// key may change or unmap, as Close may. gofiber's bbolt driver is one: it returns a slice
// of its mapped file after the read transaction has ended. A write then reuses the page or
// moves the mapping, and Close unmaps it, which crashes the process. From lets no write and
// no Close run while it copies a value of such a Basic. Releases of the driver that take a
// context copy the value themselves.
func lendsMemory(b Basic) bool {
	_, copies := b.(contextual)
	return !copies && embedsBbolt(reflect.ValueOf(b), 8)
}

// embedsBbolt reports whether v is gofiber's bbolt storage or a struct that embeds it, at
// most depth structs deep.
func embedsBbolt(v reflect.Value, depth int) bool {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || depth == 0 { // also if it was nil
		return false
	}
	const driver = "github.com/gofiber/storage/bbolt"
	if at := v.Type().PkgPath(); at == driver || strings.HasPrefix(at, driver+"/") {
		return true
	}
	for i := range v.NumField() {
		if v.Type().Field(i).Anonymous && embedsBbolt(v.Field(i), depth-1) {
			return true
		}
	}
	return false
}
