// Render prints the results of `make interop` and writes them into a page:
//
//	render [-n] PAGE DIR
//
// Tables of the page that have no results in DIR stay as they are. With -n, render only
// prints: the results are of a part of the tests, and would make a table with holes. It ends
// with status 1 if a cell failed.
package main

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/matrix"
)

func main() {
	printOnly := flag.Bool("n", false, "print the tables, and leave the page as it is")
	flag.Parse()
	if flag.NArg() != 2 {
		fail("usage: render [-n] PAGE DIR")
	}
	failed, err := render(os.Stdout, flag.Arg(0), flag.Arg(1), *printOnly)
	if err != nil {
		fail(err)
	}
	for _, cell := range failed {
		fmt.Fprintln(os.Stderr, "failed:", cell)
	}
	if len(failed) > 0 {
		os.Exit(1)
	}
}

// render prints the tables with the results in dir, writes them into the page unless
// printOnly is set, and returns the failed cells.
func render(w io.Writer, page, dir string, printOnly bool) (failed []string, err error) {
	tables, err := matrix.Read(dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	about := fmt.Sprintf("Run on %s with %s, %s/%s.", time.Now().UTC().Format(time.DateOnly),
		strings.Replace(runtime.Version(), "go", "Go ", 1), runtime.GOOS, runtime.GOARCH)
	filled, err := tables.Fill(string(text), about)
	if err != nil {
		return nil, err
	}
	for _, table := range filled.Tables {
		fmt.Fprintf(w, "\n%s\n", table)
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		for _, cell := range tables[name].Failed() {
			failed = append(failed, name+": "+cell)
		}
	}
	if printOnly {
		fmt.Fprintln(w, "A part of the tests: not written to", page)
		return failed, nil
	}
	for _, name := range filled.Kept {
		fmt.Fprintf(w, "No results for the table %s: it stays as it is.\n", name)
	}
	return failed, os.WriteFile(page, []byte(filled.Page), 0o644)
}

func fail(v any) {
	fmt.Fprintln(os.Stderr, "render:", v)
	os.Exit(1)
}
