package matrix

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
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
		fmt.Fprintf(w, "%d. %s\n", i+1, wrap(note))
	}
}

// wrap breaks a note into lines of at most 115 characters, indented as the item of a list.
func wrap(note string) string {
	var b strings.Builder
	length := 0
	for i, word := range strings.Fields(note) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case length+1+n > 115:
			b.WriteString("\n   ")
			length = 0
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += n
	}
	return b.String()
}

// mark and end enclose a table in a page. mark may list the columns that come first:
// <!-- matrix: clients | connect | login -->
const (
	mark = "<!-- matrix: "
	end  = "<!-- /matrix -->"
)

// Filled is a page whose tables have been replaced.
type Filled struct {
	Page   string
	Tables []string // the tables that were replaced, each after its name
	Kept   []string // the names of those that stayed as they were
}

// Fill replaces the tables between their marks, each with the line about below it. Tables of
// the page that have no results stay as they are. Fill fails if a table has no marks.
func (tables Tables) Fill(page, about string) (f Filled, err error) {
	var b strings.Builder
	done := make(map[string]bool)
	for {
		before, rest, found := strings.Cut(page, mark)
		b.WriteString(before)
		if !found {
			break
		}
		head, rest, ok := strings.Cut(rest, " -->")
		text, after, closed := strings.Cut(rest, end)
		if !ok || !closed || strings.Contains(text, mark) {
			return Filled{}, fmt.Errorf("matrix: the marks of %q are not closed", head)
		}
		page = after
		names := strings.Split(strings.Join(strings.Fields(head), " "), " | ") // a long mark has several lines
		name, first := names[0], names[1:]
		if table := tables[name]; table != nil {
			var made strings.Builder
			table.Markdown(&made, first...)
			text = fmt.Sprintf("\n\n%s\n%s\n\n", made.String(), about)
			f.Tables = append(f.Tables, name+":\n\n"+made.String())
			done[name] = true
		} else {
			f.Kept = append(f.Kept, name)
		}
		fmt.Fprintf(&b, "%s%s -->%s%s", mark, head, text, end)
	}
	for name := range tables {
		if !done[name] {
			return Filled{}, fmt.Errorf("matrix: the page has no marks for the table %q", name)
		}
	}
	f.Page = b.String()
	return f, nil
}
