package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Runs of a package are counted by test, and the record grows from call to call.
func TestRecord(t *testing.T) {
	t.Parallel()
	const passes = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"not shown\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"p","Test":"TestSkipped"}
{"Action":"pass","Package":"p"}
`
	const fails = `{"Action":"output","Package":"p","Test":"TestA","Output":"a_test.go:1: why\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}
`
	const leaks = `{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"found unexpected goroutines\n"}
{"Action":"fail","Package":"p"}
`
	file := filepath.Join(t.TempDir(), "cache", "flakes.tsv")
	for _, run := range []struct {
		events, failures string
		passed           bool
	}{{passes, "", true}, {fails, "a_test.go:1: why\n", false}, {leaks, "found unexpected goroutines\n", false}} {
		r, err := readRecord(file)
		if err != nil {
			t.Fatal(err)
		}
		failures, passed, err := r.read("p", strings.NewReader(run.events))
		if err != nil || failures != run.failures || passed != run.passed {
			t.Errorf("read = %q, %v, %v; want %q, %v", failures, passed, err, run.failures, run.passed)
		}
		if err := r.write(file); err != nil {
			t.Fatal(err)
		}
	}
	r, err := readRecord(file)
	if err != nil {
		t.Fatal(err)
	}
	want := "p (outside of its tests): failed 1 times in 3 runs\np TestA: failed 1 times in 3 runs\n2 of 3 tests failed at least once, in 7 runs of them\n"
	if got := r.summary(); got != want {
		t.Errorf("summary:\n%s\nwant:\n%s", got, want)
	}
	if _, _, err := r.read("p", strings.NewReader("no JSON\n")); err == nil {
		t.Error("no error for an event that is no JSON")
	}
}
