// Package storagetest tests storages: a conformance suite for who writes one,
// faults for who uses one, and a real Redis server for the time of a test.
package storagetest
