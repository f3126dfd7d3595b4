//go:build !cgo

package drivers_test

const hasCgo = false
