package main

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]User{
		"Ada": {"ada", "Ada"}, "  Zoë   Müller ": {"zoë müller", "Zoë Müller"}, "r2-d2": {"r2-d2", "r2-d2"},
		"": {}, "a": {}, "-a": {}, "<b>x": {}, "a\u202eb": {}, "a\x00b": {}, strings.Repeat("a", 21): {},
	} {
		if user, ok := parseUser(typed); ok != (want != User{}) || ok && user != want {
			t.Errorf("parseUser(%q) = %+v, %t", typed, user, ok)
		}
	}
}
