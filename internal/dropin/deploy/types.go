//go:build !next

package main

// Profile has another field type in the next release. Basket has another name there, and Theme
// is gone.
type (
	Profile struct {
		Name string
		Age  int
	}
	Basket struct{ Items []string }
	Theme  struct{ Name string }
)

// values are what this release stores in a session.
func values() map[string]any {
	return map[string]any{
		"profile": Profile{Name: "Alice", Age: 30},
		"basket":  Basket{Items: []string{"tea", "cup"}},
		"theme":   Theme{Name: "dark"},
	}
}
