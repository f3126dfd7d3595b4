// Package guards shows that every guard of docs/security.md has a test. It takes each guard out
// of the source (package mutant) and wants the test that is named beside it to fail. It has only
// tests: `make guards` runs all of it, which takes about half an hour, and `make test` checks
// that the table is complete and matches the source.
package guards
