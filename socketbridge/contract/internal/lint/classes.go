package lint

import (
	"fmt"
	"reflect"
	"time"

	"github.com/go-playground/validator/v10"
)

// class is what the rules of the library know of a Go type.
type class uint16

const (
	texts class = 1 << iota
	integers
	floats
	bools
	lists // slices, arrays and maps
	bytes // with lists
	times
	structs // other structs
	interfaces

	numbers = integers | floats
	sizes   = numbers | lists
	all     = numbers | bools | lists | times | structs | interfaces
)

// fits has the rules that tell values of other classes than texts apart. Most rules are for texts
// alone: for other types the library checks the text "<int Value>", or panics.
var fits = map[string]class{
	"required": all, "isdefault": all, "validateFn": all &^ interfaces,
	"required_if": all, "required_unless": all, "skip_unless": all, "excluded_if": all, "excluded_unless": all,
	"required_with": all, "required_with_all": all, "required_without": all, "required_without_all": all,
	"excluded_with": all, "excluded_with_all": all, "excluded_without": all, "excluded_without_all": all,

	"len": sizes, "eq": sizes | bools, "ne": sizes | bools,
	"min": sizes | times, "max": sizes | times, "gt": sizes | times, "gte": sizes | times, "lt": sizes | times, "lte": sizes | times,
	"eqfield": sizes | bools | times, "nefield": sizes | bools | times, "eqcsfield": sizes | bools | times, "necsfield": sizes | bools | times,
	"gtfield": numbers | times, "gtefield": numbers | times, "ltfield": numbers | times, "ltefield": numbers | times,
	"gtcsfield": sizes | times, "gtecsfield": sizes | times, "ltcsfield": sizes | times, "ltecsfield": sizes | times,

	"oneof": integers, "noneof": integers, "port": integers, "luhn_checksum": integers, "iso4217_numeric": integers,
	"iso3166_1_alpha_numeric": integers, "iso3166_1_alpha_numeric_eu": integers, "country_code": integers, "eu_country_code": integers,
	"number": numbers, "numeric": numbers, "latitude": numbers, "longitude": numbers,
	"boolean": bools, "unique": lists, "json": bytes,
}

// ofStringers are the rules that check what a method String returns.
var ofStringers = map[string]bool{
	"uuid": true, "uuid3": true, "uuid4": true, "uuid5": true, "uuid7": true, "ulid": true,
	"uuid_rfc4122": true, "uuid3_rfc4122": true, "uuid4_rfc4122": true, "uuid5_rfc4122": true,
}

// ReadsString reports whether a rule checks what a method String returns.
func ReadsString(rule string) bool { return ofStringers[rule] }

// comparisons are the rules that compare a field with another one of the same kind.
var comparisons = map[string]bool{
	"eqfield": true, "nefield": true, "gtfield": true, "gtefield": true, "ltfield": true, "ltefield": true,
}

var (
	unknownType  = reflect.TypeFor[Unknown]()
	timeType     = reflect.TypeFor[time.Time]()
	bytesType    = reflect.TypeFor[[]byte]()
	stringerType = reflect.TypeFor[fmt.Stringer]()
	valuerType   = reflect.TypeFor[validator.Valuer]()
)

func classOf(t reflect.Type) class {
	switch t = pointedTo(t); t.Kind() {
	case reflect.String:
		return texts
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return integers
	case reflect.Float32, reflect.Float64:
		return floats
	case reflect.Bool:
		return bools
	case reflect.Slice, reflect.Array, reflect.Map:
		if t.Kind() == reflect.Slice && t.ConvertibleTo(bytesType) {
			return lists | bytes
		}
		return lists
	case reflect.Struct:
		if t.ConvertibleTo(timeType) {
			return times
		}
		return structs
	}
	return interfaces
}
