//go:build cgo

package drivers_test

// hasCgo says that the sqlite3 driver, which is written in C, was compiled.
const hasCgo = true
