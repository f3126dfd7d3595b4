package matrix_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/matrix"
)

func TestCell_FillsTheTableOfAPage(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MATRIX", dir)
	t.Run("good", func(t *testing.T) { matrix.Cell(t, "clients", "client 4.0", "connect") })
	t.Run("skipped", func(t *testing.T) {
		matrix.Cell(t, "clients", "client 4.8", "connect")
		t.Skip("a skipped test is no proof")
	})
	t.Run("skipped and good", func(t *testing.T) {
		matrix.Cell(t, "clients", "client 4.8", "connect")
		matrix.Cell(t, "clients", "client 4.8", "ack")
	})
	t.Run("no such thing", func(t *testing.T) {
		matrix.Nothing(t, "clients", "client 4.0", "ack", "It has none.")
	})
	tables, err := matrix.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	const other = "<!-- matrix: other -->\nof another run\n<!-- /matrix -->\n"
	got, err := tables.Fill("before\n\n<!-- matrix: clients |\nconnect -->\nold\n<!-- /matrix -->\nafter\n"+other, "Run today.")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Kept, []string{"other"}) || len(got.Tables) != 1 || !strings.HasPrefix(got.Tables[0], "clients:\n\n| | connect | ack |\n") {
		t.Errorf("kept %q and replaced %q", got.Kept, got.Tables)
	}
	const want = `before

<!-- matrix: clients |
connect -->

| | connect | ack |
|---|---|---|
| client 4.0 | yes | — (1) |
| client 4.8 | not run | yes |

1. It has none.

Run today.

<!-- /matrix -->
after
` + other
	if got.Page != want {
		t.Errorf("the page is:\n%s\nwant:\n%s", got.Page, want)
	}
	if failed := tables["clients"].Failed(); len(failed) != 0 {
		t.Errorf("failed cells: %q", failed)
	}
}

// The notes of a page have lines that fit its width.
func TestMarkdown_WrapsNotes(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MATRIX", dir)
	why := strings.TrimSpace(strings.Repeat("because ", 30))
	matrix.Nothing(t, "a", "r", "c", why)
	tables, err := matrix.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	tables["a"].Markdown(&b)
	_, note, _ := strings.Cut(b.String(), "\n1. ")
	for line := range strings.Lines(b.String()) {
		if len(line) > 120 {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
	if got := strings.Join(strings.Fields(note), " "); got != why {
		t.Errorf("the note is %q", got)
	}
}

func TestFill_AFailureWinsTheCell(t *testing.T) {
	dir := t.TempDir()
	results := `{"table":"a","row":"r","column":"c","outcome":"passed"}
{"table":"a","row":"r","column":"c","outcome":"failed"}
{"table":"a","row":"r","column":"c","outcome":"passed"}
`
	writeFile(t, dir, "1.jsonl", results)
	tables, err := matrix.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := tables["a"].Failed(); len(got) != 1 || got[0] != "r: c" {
		t.Errorf("failed cells: %q", got)
	}
	filled, err := tables.Fill("<!-- matrix: a --><!-- /matrix -->", "")
	if err != nil || !strings.Contains(filled.Page, "| r | **no** |") {
		t.Errorf("the page is %q, %v", filled.Page, err)
	}
}

func TestFill_Refuses(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "1.jsonl", `{"table":"a","row":"r","column":"c","outcome":"passed"}`+"\n")
	tables, err := matrix.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string]string{
		"a table without marks":  "text",
		"marks that do not end":  "<!-- matrix: a -->",
		"marks inside of others": "<!-- matrix: a --><!-- matrix: b --><!-- /matrix -->",
		"a mark that is not one": "<!-- matrix: a",
	} {
		if got, err := tables.Fill(page, ""); err == nil {
			t.Errorf("%s: no error, and the page %q", name, got.Page)
		}
	}
	if _, err := matrix.Read(t.TempDir()); err == nil {
		t.Error("Read of an empty directory returned no error")
	}
}
