package matrix

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Table is one table of results.
type Table struct {
	cells map[[2]string]result // by row and column
}

// rank orders the outcomes: the lower one wins a cell.
var rank = map[Outcome]int{Failed: 0, Skipped: 1, None: 2, Passed: 3}

func (t *Table) add(r result) {
	at := [2]string{r.Row, r.Column}
	if old, ok := t.cells[at]; !ok || rank[r.Outcome] < rank[old.Outcome] {
		t.cells[at] = r
	}
}

// Failed returns the cells that failed, as "row: column", sorted.
func (t *Table) Failed() []string {
	var failed []string
	for at, r := range t.cells {
		if r.Outcome == Failed {
			failed = append(failed, at[0]+": "+at[1])
		}
	}
	slices.Sort(failed)
	return failed
}

// text returns what a cell shows. Notes are numbered in the order of their first use.
func (r result) text(notes *[]string) string {
	switch r.Outcome {
	case Passed:
		return "yes"
	case Failed:
		return "**no**"
	case Skipped:
		return "not run"
	case None:
		n := slices.Index(*notes, r.Note) + 1
		if n == 0 {
			*notes = append(*notes, r.Note)
			n = len(*notes)
		}
		return fmt.Sprintf("— (%d)", n)
	}
	return ""
}

// Markdown writes the table. Rows are sorted; columns are in the order of first, then sorted.
func (t *Table) Markdown(w io.Writer, first ...string) {
	keys := slices.Collect(maps.Keys(t.cells))
	pick := func(i int) []string {
		var all []string
		for _, k := range keys {
			all = append(all, k[i])
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	rows, columns := pick(0), pick(1)
	place := func(c string) int {
		if i := slices.Index(first, c); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortStableFunc(columns, func(a, b string) int { return cmp.Compare(place(a), place(b)) })

	fmt.Fprintf(w, "| | %s |\n|---%s|\n", strings.Join(columns, " | "), strings.Repeat("|---", len(columns)))
	var notes []string
	for _, row := range rows {
		fmt.Fprintf(w, "| %s |", row)
		for _, column := range columns {
			text := t.cells[[2]string{row, column}].text(&notes)
			fmt.Fprintf(w, "%s |", strings.TrimRight(" "+text, " "))
		}
		fmt.Fprintln(w)
	}
	for i, note := range notes {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%d. %s\n", i+1, note)
	}
}

// mark and end enclose a table in a page. mark may list the columns that come first:
// <!-- matrix: clients | connect | login -->
const (
	mark = "<!-- matrix: "
	end  = "<!-- /matrix -->"
)

// Fill returns the page with all tables between their marks replaced. It fails if a table
// has no marks, or marks have no table.
func (tables Tables) Fill(page string) (string, error) {
	var b strings.Builder
	done := make(map[string]bool)
	for {
		before, rest, found := strings.Cut(page, mark)
		b.WriteString(before)
		if !found {
			break
		}
		head, rest, ok := strings.Cut(rest, " -->")
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			return "", fmt.Errorf("matrix: the marks of %q are not closed", head)
		}
		names := strings.Split(head, " | ")
		table := tables[names[0]]
		if table == nil {
			return "", fmt.Errorf("matrix: the page has marks for %q, but no test filled a cell of it", names[0])
		}
		done[names[0]] = true
		fmt.Fprintf(&b, "%s%s -->\n\n", mark, head)
		table.Markdown(&b, names[1:]...)
		fmt.Fprintf(&b, "\n%s", end)
		page = after
	}
	for name := range tables {
		if !done[name] {
			return "", fmt.Errorf("matrix: the page has no marks for the table %q", name)
		}
	}
	return b.String(), nil
}
