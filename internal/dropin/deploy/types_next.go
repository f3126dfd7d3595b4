//go:build next

package main

// Profile has another field type in the release before, Cart had another name, and Badge is new.
type (
	Profile struct {
		Name string
		Age  string
	}
	Cart  struct{ Items []string }
	Badge struct{ Count int }
)

// values are what this release stores in a session.
func values() map[string]any {
	return map[string]any{
		"settings": Profile{Name: "Alice", Age: "thirty"},
		"cart":     Cart{Items: []string{"pot"}},
		"badge":    Badge{Count: 3},
	}
}
