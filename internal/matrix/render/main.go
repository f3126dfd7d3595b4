// Render writes the results of `make interop` into a page: render PAGE DIR. It ends with
// status 1 if a cell failed.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/fiberbridge/fiberbridge/internal/matrix"
)

func main() {
	if len(os.Args) != 3 {
		fail("usage: render PAGE DIR")
	}
	failed, err := render(os.Args[1], os.Args[2])
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

// render fills the tables of a page with the results in dir, and returns the failed cells.
func render(page, dir string) (failed []string, err error) {
	tables, err := matrix.Read(dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	filled, err := tables.Fill(string(text))
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		for _, cell := range tables[name].Failed() {
			failed = append(failed, name+": "+cell)
		}
	}
	return failed, os.WriteFile(page, []byte(filled), 0o644)
}

func fail(v any) {
	fmt.Fprintln(os.Stderr, "render:", v)
	os.Exit(1)
}
