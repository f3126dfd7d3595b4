package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// The tables stand between these lines of the page.
const (
	begin = "<!-- growth: make growth writes what follows -->\n"
	end   = "<!-- growth: end -->\n"
)

// writeTables replaces the tables in a page.
func writeTables(page string, r Results) error {
	b, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	next, err := replaceTables(string(b), r)
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(next), 0o644)
}

func replaceTables(page string, r Results) (string, error) {
	before, rest, found := strings.Cut(page, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return "", errors.New("the lines between which the tables stand are missing")
	}
	return before + begin + tables(r) + end + after, nil
}

// column is a column of a table.
type column struct {
	name string
	cell func(Point) string
}

func tables(r Results) string {
	x := func(name string) column { return column{name, func(p Point) string { return thousands(p.X) }} }
	perSec := func(name string) column {
		return column{name, func(p Point) string { return thousands(int(p.PerSec)) }}
	}
	micros := func(name string) column {
		return column{name, func(p Point) string { return fmt.Sprintf("%.2f", p.Micros) }}
	}
	p50 := column{"p50, ms", func(p Point) string { return fmt.Sprintf("%.2f", p.P50/1000) }}
	p99 := column{"p99, ms", func(p Point) string { return fmt.Sprintf("%.2f", p.P99/1000) }}
	var b strings.Builder
	fmt.Fprintf(&b, "\nMeasured on %s; medians of %d rounds of 1 s, memory once.\nLoad average of the machine before and after: %s.\n", r.Date, r.Rounds, r.Load)
	for _, t := range []struct {
		title, image string
		points       []Point
		columns      []column
	}{
		{"Echoes of 1 to 10,000 clients, each with one under way", "growth-events.svg", r.Events, []column{x("clients"), perSec("events/s"), micros("CPU µs/event"), p50, p99}},
		{"Echoes of 64 clients beside idle connections", "growth-idle.svg", r.Idle, []column{x("idle"), micros("CPU µs/event"), {"by that of a server without idle ones, in turns", func(p Point) string { return fmt.Sprintf("%.2f", p.Ratio) }}, p50, p99}},
		{"Memory of idle connections, each with a session", "growth-memory.svg", r.Memory, []column{x("connections"), {"resident KB each", func(p Point) string { return fmt.Sprintf("%.1f", p.Bytes/1024) }}}},
		{"Broadcasts to a room, one under way", "growth-rooms.svg", r.Rooms, []column{x("members"), perSec("deliveries/s"), micros("CPU µs/delivery"), p50, p99}},
		{"Broadcasts of 2 KB to 1,000, beside clients that read nothing", "", r.Slow, []column{x("that read nothing"), perSec("deliveries/s"), micros("CPU µs/delivery"), p50, p99}},
		{"Session changes on Redis: 192 clients, nodes, Redis and clients on two cores", "growth-redis.svg", r.OnRedis, []column{x("nodes"), perSec("events/s"), micros("CPU µs/event, of all nodes"), p50, p99}},
	} {
		if len(t.points) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n\n", t.title)
		if t.image != "" {
			fmt.Fprintf(&b, "![%s](images/%s)\n\n", t.title, t.image)
		}
		row(&b, t.columns, func(c column) string { return c.name })
		row(&b, t.columns, func(column) string { return "---:" })
		for _, p := range t.points {
			row(&b, t.columns, func(c column) string { return c.cell(p) })
		}
	}
	b.WriteByte('\n')
	return b.String()
}

func row(b *strings.Builder, columns []column, cell func(column) string) {
	for _, c := range columns {
		fmt.Fprintf(b, "| %s ", cell(c))
	}
	b.WriteString("|\n")
}
