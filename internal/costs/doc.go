// Package costs holds down what the hot paths cost: its test fails when an event, an emission, a
// broadcast or a request takes more allocations than the table allows. It counts allocations and
// measures no time, so it says the same on every machine.
//
// The race detector adds allocations, so the test runs without it: make costs. The benchmarks
// beside the code measure times; socketbridge's TestMemoryOfIdleConnections holds down the
// memory of an idle connection.
package costs
