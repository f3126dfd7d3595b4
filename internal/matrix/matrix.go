package matrix

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Outcome is what a test found out about a cell.
type Outcome string

// The outcomes, from the one that wins when a cell has several to the one that loses.
const (
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped" // the test did not run, for example because a tool is missing
	None    Outcome = "none"    // there is nothing to test: the other side has no such thing
	Passed  Outcome = "passed"
)

// result is one line of a result file.
type result struct {
	Table   string  `json:"table"`
	Row     string  `json:"row"`
	Column  string  `json:"column"`
	Outcome Outcome `json:"outcome"`
	Note    string  `json:"note,omitempty"` // with None: the reason
}

// Cell makes the test t fill the cell of a table in row and column when it ends, with all
// its subtests. Without the environment variable MATRIX it does nothing.
func Cell(t testing.TB, table, row, column string) {
	t.Helper()
	t.Cleanup(func() {
		r := result{Table: table, Row: row, Column: column, Outcome: Passed}
		switch {
		case t.Failed():
			r.Outcome = Failed
		case t.Skipped():
			r.Outcome = Skipped
		}
		record(t, r)
	})
}

// Nothing fills a cell that cannot be tested. The reason why becomes a note below the table.
func Nothing(t testing.TB, table, row, column, why string) {
	t.Helper()
	record(t, result{Table: table, Row: row, Column: column, Outcome: None, Note: why})
}

// record appends r to the result file of this process. Each line is one write, so tests in
// parallel do not mix theirs.
func record(t testing.TB, r result) {
	t.Helper()
	dir := os.Getenv("MATRIX")
	if dir == "" {
		return
	}
	line, err := json.Marshal(r)
	if err == nil {
		err = appendLine(filepath.Join(dir, fmt.Sprintf("%d.jsonl", os.Getpid())), line)
	}
	if err != nil {
		t.Errorf("matrix: %v", err)
	}
}

func appendLine(name string, line []byte) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// Tables are the results of a run, by the name of their table.
type Tables map[string]*Table

// Read reads all result files of a directory.
func Read(dir string) (Tables, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("matrix: no results in %s", dir)
	}
	tables := make(Tables)
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		err = tables.read(f)
		_ = f.Close() // only read
		if err != nil {
			return nil, fmt.Errorf("matrix: %s: %w", name, err)
		}
	}
	return tables, nil
}

func (tables Tables) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var res result
		if err := json.Unmarshal(lines.Bytes(), &res); err != nil {
			return err
		}
		if tables[res.Table] == nil {
			tables[res.Table] = &Table{cells: make(map[[2]string]result)}
		}
		tables[res.Table].add(res)
	}
	return lines.Err()
}
