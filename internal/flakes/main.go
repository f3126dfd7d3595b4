// Command flakes runs tests many times, package by package, and keeps a record of the tests
// that failed:
//
//	go run ./internal/flakes [-count 100] [-record FILE] [package ...]
//
// FILE has a line for each test: failures, runs, package, test. A test without a name stands
// for its package, which failed outside of its tests: a data race, a timeout, a leak. The file
// is written after each run of a package, and a later call adds to it. FILE.log has the output
// of each failure.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("flakes: ")
	count := flag.Int("count", 100, "`number` of runs of each package")
	file := flag.String("record", ".cache/flakes.tsv", "`file` of the record")
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"./..."}
	}
	out, err := exec.Command("go", append([]string{"list"}, packages...)...).Output()
	if err != nil {
		log.Fatalf("go list: %v", err)
	}
	r, err := readRecord(*file)
	if err != nil {
		log.Fatal(err)
	}
	failed := false
	for _, pkg := range strings.Fields(string(out)) {
		for i := range *count {
			began := time.Now()
			failures, err := r.run(pkg)
			if err == nil {
				err = r.write(*file)
			}
			if err != nil {
				log.Fatal(err)
			}
			if failed = failed || failures != ""; failures != "" {
				fmt.Printf("%s: run %d of %d failed after %v\n", pkg, i+1, *count, time.Since(began).Round(time.Second))
				if err := appendTo(*file+".log", fmt.Sprintf("== %s, run %d, %s\n%s\n", pkg, i+1, began.Format(time.DateTime), failures)); err != nil {
					log.Fatal(err)
				}
			}
		}
	}
	fmt.Print(r.summary())
	if failed {
		os.Exit(1)
	}
}

// test names a test. The test "" is its package.
type test struct{ pkg, name string }

type tally struct{ failures, runs int }

// record counts the runs of each test.
type record map[test]*tally

func (r record) add(t test, failed bool) {
	if r[t] == nil {
		r[t] = &tally{}
	}
	r[t].runs++
	if failed {
		r[t].failures++
	}
}

// run runs the tests of a package once, in a new order, with the race detector. It returns the
// output of what failed.
func (r record) run(pkg string) (failures string, err error) {
	cmd := exec.Command("go", "test", "-json", "-race", "-shuffle=on", "-count=1", "-timeout=15m", pkg)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "CI=true")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	failures, ok, err := r.read(pkg, out)
	waitErr := cmd.Wait()
	switch {
	case err != nil:
		return failures, err
	case waitErr != nil && ok:
		return failures, fmt.Errorf("go test %s: %w, but its events have no failure", pkg, waitErr)
	case waitErr == nil && !ok:
		return failures, fmt.Errorf("go test %s succeeded, but its events have a failure", pkg)
	}
	return failures, nil
}

// read counts the results in the events of `go test -json`.
func (r record) read(pkg string, events io.Reader) (failures string, passed bool, err error) {
	output := map[string][]string{}
	named, passed := false, true // whether a test was named as failed
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Package, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return "", false, fmt.Errorf("go test %s: %w: %s", pkg, err, lines.Bytes())
		}
		if e.Package != "" && e.Package != pkg {
			continue // build events name what was built
		}
		switch e.Action {
		case "output", "build-output":
			output[e.Test] = append(output[e.Test], e.Output)
		case "pass":
			r.add(test{pkg, e.Test}, false)
			delete(output, e.Test)
		case "fail":
			passed = false
			if e.Test != "" {
				named = true
				r.add(test{pkg, e.Test}, true)
				failures += strings.Join(output[e.Test], "")
				break
			}
			// The package fails with each of its tests. Only without one is it a failure of its own.
			r.add(test{pkg, ""}, !named)
			failures += strings.Join(output[""], "")
		}
	}
	return failures, passed, lines.Err()
}

// sorted returns the tests, those that failed most often first.
func (r record) sorted() []test {
	all := make([]test, 0, len(r))
	for t := range r {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b test) int {
		return cmp.Or(cmp.Compare(r[b].failures, r[a].failures), cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.name, b.name))
	})
	return all
}

func (r record) summary() string {
	var b strings.Builder
	flaky, runs := 0, 0
	for _, t := range r.sorted() {
		runs += r[t].runs
		if r[t].failures > 0 {
			flaky++
			fmt.Fprintf(&b, "%s %s: failed %d times in %d runs\n", t.pkg, cmp.Or(t.name, "(outside of its tests)"), r[t].failures, r[t].runs)
		}
	}
	fmt.Fprintf(&b, "%d of %d tests failed at least once, in %d runs of them\n", flaky, len(r), runs)
	return b.String()
}

func readRecord(file string) (record, error) {
	r := record{}
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		var c tally
		if len(fields) != 4 {
			return nil, fmt.Errorf("%s: a line has %d fields, want 4: %s", file, len(fields), line)
		}
		if _, err := fmt.Sscan(fields[0]+" "+fields[1], &c.failures, &c.runs); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", file, err, line)
		}
		r[test{fields[2], fields[3]}] = &c
	}
	return r, nil
}

func (r record) write(file string) error {
	var b strings.Builder
	for _, t := range r.sorted() {
		fmt.Fprintf(&b, "%d\t%d\t%s\t%s\n", r[t].failures, r[t].runs, t.pkg, t.name)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
