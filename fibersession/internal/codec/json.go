package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// JSON is a Codec that writes one JSON object. Decoded values have the types that JSON has:
// nil, bool, string, []any, map[string]any, and numbers as int if they are integers in its
// range, else as int64 or uint64 if they are integers in the range of those, else as float64.
// A []byte is decoded as a base64 string. Values nest at most 64 deep. The zero value is ready
// to use.
type JSON struct{}

// Encode implements Codec.
func (JSON) Encode(values map[string]any) ([]byte, error) {
	data, err := json.Marshal(values)
	if err == nil {
		return data, checkJSONDepth(data)
	}
	for key, v := range values { // find the value to name in the error
		if _, one := json.Marshal(v); one != nil {
			return nil, fmt.Errorf("%w: key %q holds a %T: %w", ErrUnsupportedType, key, v, one)
		}
	}
	return nil, fmt.Errorf("%w: %w", ErrUnsupportedType, err)
}

// Decode implements Codec.
func (JSON) Decode(data []byte) (map[string]any, error) {
	if err := checkJSONDepth(data); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // so that large integers keep all digits
	var values map[string]any
	if err := dec.Decode(&values); err != nil {
		return nil, err
	}
	if dec.InputOffset() != int64(len(bytes.TrimRight(data, " \t\r\n"))) {
		return nil, errors.New("fibersession: data after the JSON object")
	}
	if values == nil {
		return nil, errors.New("fibersession: not a JSON object")
	}
	for k, v := range values {
		n, err := numbers(v)
		if err != nil {
			return nil, err
		}
		values[k] = n
	}
	return values, nil
}

// numbers replaces each json.Number in v by an int, int64, uint64 or float64.
func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return number(string(v))
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = numbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// number returns the first of int, int64, uint64 and float64 that holds the number exactly, or the
// nearest float64.
func number(s string) (any, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return intOf(n), nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, fmt.Errorf("fibersession: number out of range: %w", err)
	}
	switch { // 1e3 is encoded as 1000 next time
	case f != math.Trunc(f) || f < -1<<63 || f >= 1<<64:
		return f, nil
	case f < 1<<63:
		return intOf(int64(f)), nil
	default:
		return uint64(f), nil
	}
}

// intOf returns n as an int, or as it is if an int has too few bits.
func intOf(n int64) any {
	if int64(int(n)) == n {
		return int(n)
	}
	return n
}

// checkJSONDepth rejects values that nest too deep, before they are decoded.
func checkJSONDepth(data []byte) error {
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth+1 {
				return fmt.Errorf("%w: values nest deeper than %d", ErrTooLarge, maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
