// Conversions between number types that lose nothing.

package fibersession

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
)

// convertNumber sets to to the number v. It returns false, and may have changed to, if one of
// them is no number or if to's type cannot hold exactly this number.
func convertNumber(to reflect.Value, v any) bool {
	if n, ok := v.(json.Number); ok {
		if v, ok = parseNumber(n); !ok {
			return false
		}
	}
	switch from := reflect.ValueOf(v); {
	case from.CanInt():
		return setInt(to, from.Int())
	case from.CanUint():
		return setUint(to, from.Uint())
	case from.CanFloat():
		return setFloat(to, from.Float())
	}
	return false
}

// parseNumber returns a number of JSON as an int64, uint64 or float64. Codecs of applications
// can decode to a json.Number.
func parseNumber(n json.Number) (any, bool) {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, true
	}
	if u, err := strconv.ParseUint(string(n), 10, 64); err == nil {
		return u, true
	}
	f, err := n.Float64()
	return f, err == nil
}

func setInt(to reflect.Value, n int64) bool {
	switch {
	case to.CanInt():
		to.SetInt(n)
		return to.Int() == n
	case to.CanUint():
		if n < 0 {
			return false
		}
		to.SetUint(uint64(n))
		return to.Uint() == uint64(n)
	case to.CanFloat():
		to.SetFloat(float64(n))
		back, ok := floatToInt(to.Float())
		return ok && back == n
	}
	return false
}

func setUint(to reflect.Value, n uint64) bool {
	switch {
	case to.CanInt():
		return n <= math.MaxInt64 && setInt(to, int64(n))
	case to.CanUint():
		to.SetUint(n)
		return to.Uint() == n
	case to.CanFloat():
		to.SetFloat(float64(n))
		back, ok := floatToUint(to.Float())
		return ok && back == n
	}
	return false
}

func setFloat(to reflect.Value, f float64) bool {
	switch {
	case to.CanInt():
		n, ok := floatToInt(f)
		return ok && setInt(to, n)
	case to.CanUint():
		n, ok := floatToUint(f)
		return ok && setUint(to, n)
	case to.CanFloat():
		to.SetFloat(f)
		return to.Float() == f || f != f
	}
	return false
}

// floatToInt converts a float that is an integer in the range of int64. Outside of the range,
// Go's conversion has no defined result.
func floatToInt(f float64) (int64, bool) {
	if f != math.Trunc(f) || f < -1<<63 || f >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}

func floatToUint(f float64) (uint64, bool) {
	if f != math.Trunc(f) || f < 0 || f >= 1<<64 {
		return 0, false
	}
	return uint64(f), true
}

// numberText returns v as a part of an error's text if it is a number, because then its value
// is why it was not converted. It returns "" for other types, whose values can be secret.
func numberText(v any) string {
	if r := reflect.ValueOf(v); r.CanInt() || r.CanUint() || r.CanFloat() {
		return fmt.Sprintf(" %v", v)
	}
	return ""
}

// add returns v plus delta in the type of v. A missing value counts as the int 0. v and the sum
// must be integers that fit into an int, which is what Incr returns.
func add(v any, delta int) (any, error) {
	if v == nil {
		return delta, nil
	}
	var n int
	if !convertNumber(reflect.ValueOf(&n).Elem(), v) {
		return nil, fmt.Errorf("%w: the value is a %T%s", ErrNotInteger, v, numberText(v))
	}
	sum := n + delta
	if (sum > n) != (delta > 0) && delta != 0 {
		return nil, fmt.Errorf("%w: the sum overflows", ErrNotInteger)
	}
	if _, ok := v.(json.Number); ok {
		return json.Number(strconv.Itoa(sum)), nil
	}
	to := reflect.New(reflect.TypeOf(v)).Elem()
	if !setInt(to, int64(sum)) {
		return nil, fmt.Errorf("%w: the sum overflows %T", ErrNotInteger, v)
	}
	return to.Interface(), nil
}

// toInt returns a result of add as an int.
func toInt(v any) (n int, err error) {
	if !convertNumber(reflect.ValueOf(&n).Elem(), v) {
		return 0, fmt.Errorf("%w: the value is a %T", ErrNotInteger, v)
	}
	return n, nil
}
