// Package setting fills in the defaults of configuration structs and refuses
// values that cannot be meant. A refusal is a panic, because a wrong configuration
// is a mistake in the program: it names the field, the value and what is allowed.
package setting

import (
	"fmt"
	"time"
)

// Number is the type of a numeric setting.
type Number interface{ int | int64 | time.Duration }

// Default replaces 0 by def. It panics if v is negative.
func Default[T Number](field string, v *T, def T) {
	AtLeast(field, v, 1, def)
}

// AtLeast replaces 0 by def. It panics if v is anything else below least.
func AtLeast[T Number](field string, v *T, least, def T) {
	switch {
	case *v == 0:
		*v = def
	case *v < least && least == 1:
		Refuse(field, fmt.Sprintf("is %v: it must be positive (0 means the default, %v)", *v, def))
	case *v < least:
		Refuse(field, fmt.Sprintf("is %v: it must be at least %v (0 means the default, %v)", *v, least, def))
	}
}

// DefaultOrNone replaces 0 by def. A negative v stays: it switches the setting off.
func DefaultOrNone[T Number](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// NotNegative panics if v is negative. 0 is a value of its own.
func NotNegative[T Number](field string, v T) {
	if v < 0 {
		Refuse(field, fmt.Sprintf("is %v: it must not be negative", v))
	}
}

// Refuse panics with the field's full name, such as "fibersession: Config.Prefix",
// and why its value is refused.
func Refuse(field, why string) { panic(field + " " + why) }
