//go:build !race

package costs_test

const race = false
