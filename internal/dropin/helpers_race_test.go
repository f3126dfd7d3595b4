//go:build race

package dropin_test

// With the race detector, the programs under test are built with it too.
func init() { buildArgs = []string{"-race"} }
