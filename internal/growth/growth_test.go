package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var sample = Results{
	Date: "2026-01-02", Rounds: 3, Load: "0.1, 1.2",
	Events:  []Point{{X: 1, PerSec: 30_000, Micros: 20, P50: 25, P99: 80}, {X: 10_000, PerSec: 1_234_567, Micros: 9.876, P50: 1500, P99: 9000}},
	Idle:    []Point{{X: 0, Micros: 10, Ratio: 1}, {X: 10_000, Micros: 11, Ratio: 1.1}},
	Memory:  []Point{{X: 1000, Bytes: 12_800}, {X: 10_000, Bytes: 10_240}},
	Rooms:   []Point{{X: 10, PerSec: 100_000, Micros: 5}, {X: 1000, PerSec: 200_000, Micros: 4}},
	Slow:    []Point{{X: 0, PerSec: 1000, P99: 2000}, {X: 1, PerSec: 1000, P99: 2000}},
	OnRedis: []Point{{X: 1, PerSec: 20_000, Micros: 50}, {X: 3, PerSec: 50_000, Micros: 60}},
}

func TestTables(t *testing.T) {
	t.Parallel()
	page, err := replaceTables("before\n"+begin+"old\n"+end+"after\n", sample)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before\n" + begin, end + "after\n",
		"| clients | events/s | CPU µs/event | p50, ms | p99, ms |\n| ---: | ---: | ---: | ---: | ---: |\n| 1 | 30,000 | 20.00 | 0.03 | 0.08 |\n| 10,000 | 1,234,567 | 9.88 | 1.50 | 9.00 |\n",
		"| 10,000 | 11.00 | 1.10 |", "| 10,000 | 10.0 |\n", "![Broadcasts to a room, one under way](images/growth-rooms.svg)",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "old") {
		t.Error("the old tables are still there")
	}
	again, err := replaceTables(page, sample)
	if err != nil || again != page {
		t.Errorf("the second time, the page is another: %v", err)
	}
	for _, page := range []string{"", begin, end} {
		if _, err := replaceTables(page, sample); err == nil {
			t.Errorf("no error for a page that is %q", page)
		}
	}
}

func TestCharts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := drawAll(dir, sample); err != nil {
		t.Fatal(err)
	}
	for _, c := range charts(sample) {
		b, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		texts := ""
		for d := xml.NewDecoder(strings.NewReader(string(b))); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s is no XML: %v", c.file, err)
			}
			if text, ok := token.(xml.CharData); ok {
				texts += string(text)
			}
		}
		for _, want := range []string{c.title, c.x, c.y, thousands(c.points[len(c.points)-1].X)} {
			if !strings.Contains(texts, want) {
				t.Errorf("%s has no text %q", c.file, want)
			}
		}
	}
}

// The page and the plots are those of the results that are kept.
func TestPageHasTheResults(t *testing.T) {
	t.Parallel()
	r, err := readResults("results.json")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	want, err := replaceTables(string(b), r)
	if err != nil {
		t.Fatal(err)
	}
	if want != string(b) {
		t.Error("docs/benchmarks.md has other tables than results.json: go run . -draw")
	}
	dir := t.TempDir()
	if err := drawAll(dir, r); err != nil {
		t.Fatal(err)
	}
	for _, c := range charts(r) {
		drawn, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := os.ReadFile(filepath.Join("../../docs/images", c.file)); err != nil || string(kept) != string(drawn) {
			t.Errorf("docs/images/%s is not that of results.json: go run . -draw (%v)", c.file, err)
		}
	}
}

// The scenarios work: a short run of each, with few connections.
func TestScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	t.Parallel()
	binary, err := buildServer("../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := startServer(binary, "0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	before, err := s.memory()
	if err != nil || before == 0 {
		t.Fatal(before, err)
	}
	clients, err := connectAll(s.addr, 20)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(clients)
	for name, w := range map[string]workload{
		"echo": ask(clients, `4270["echo",1]`), "incr": ask(clients, `4270["incr",1]`), "cast": cast(clients, 10), "large casts": cast(clients, 2000),
	} {
		p, err := run(s, w)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p.PerSec <= 0 || p.P50 <= 0 || p.P99 < p.P50 || p.P99 > float64(patience.Microseconds()) {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if s.cpu() < 10*time.Millisecond {
		t.Error("the server has used no CPU time")
	}
}
