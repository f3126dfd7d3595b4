// Package reliability measures the figures of docs/reliability.md, row by row: TestR9_ is row R9.
// It has only tests. In a short run each uses a fraction of its figure; RELIABILITY=full, as
// `make reliability` sets it, uses all of it.
package reliability
