package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The database has the files, and in them the fields, that govulncheck asks for.
func TestWrite(t *testing.T) {
	t.Parallel()
	reports, out := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"GO-1.json": `{"id":"GO-1","modified":"0001-01-01T00:00:00Z","aliases":["CVE-1"],"affected":[
			{"package":{"name":"example.com/a"},"ranges":[{"events":[{"introduced":"0"},{"fixed":"1.2.0"}]}]},
			{"package":{"name":"example.com/a"},"ranges":[{"events":[{"introduced":"0"},{"fixed":"1.2.0"}]}]},
			{"package":{"name":"example.com/b"},"ranges":[{"events":[{"introduced":"0"}]}]}]}`,
		"GO-2.json": `{"id":"GO-2","affected":[{"package":{"name":"example.com/a"}}]}`,
		"GO-3.json": `{"id":"GO-3","withdrawn":"2026-01-01T00:00:00Z","affected":[{"package":{"name":"example.com/a"}}]}`,
	} {
		if err := os.WriteFile(filepath.Join(reports, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n, err := write(out, reports, time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC))
	if n != 2 || err != nil {
		t.Fatalf("write returned %d and %v, want 2 reports", n, err)
	}
	for file, want := range map[string]string{
		"index/db.json": `{"modified":"2026-11-05T00:00:00Z"}`,
		"index/modules.json": `[{"path":"example.com/a","vulns":[{"id":"GO-1","modified":"2026-11-05T00:00:00Z","fixed":"1.2.0"},` +
			`{"id":"GO-2","modified":"2026-11-05T00:00:00Z"}]},` +
			`{"path":"example.com/b","vulns":[{"id":"GO-1","modified":"2026-11-05T00:00:00Z"}]}]`,
		"index/vulns.json": `[{"id":"GO-1","modified":"2026-11-05T00:00:00Z","aliases":["CVE-1"]},{"id":"GO-2","modified":"2026-11-05T00:00:00Z"}]`,
	} {
		if got, err := os.ReadFile(filepath.Join(out, file)); string(got) != want {
			t.Errorf("%s is %s (%v), want %s", file, got, err, want)
		}
	}
	b, err := os.ReadFile(filepath.Join(out, "ID", "GO-1.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct{ Modified time.Time }
	if err := json.Unmarshal(b, &report); err != nil || report.Modified.Year() != 2026 {
		t.Errorf("GO-1 was modified in %d (%v), want 2026", report.Modified.Year(), err)
	}
}

func TestWrite_NoReports(t *testing.T) {
	t.Parallel()
	if _, err := write(t.TempDir(), t.TempDir(), time.Now()); err == nil {
		t.Error("write accepted an empty folder")
	}
}
