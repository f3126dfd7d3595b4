// Growth measures how the costs of a server grow: with its connections, with the size of a room
// and with the number of nodes. It draws a plot of each, and writes the tables of
// docs/benchmarks.md. Run it with `make growth`; nothing else should run then.
//
// The servers are those of examples/benchserver, on core 0, and the clients are in this process,
// on core 1. Absolute times depend on the machine, and its speed changes, so each point is the
// median of several rounds, and the costs of an event beside idle connections are compared with
// a server that has none, in turns.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(log.Ltime)
	root := flag.String("root", "../..", "the folder of the repository")
	only := flag.Bool("draw", false, "draw the plots and write the tables of the last results, without measuring")
	sessions := flag.Bool("redis", true, "measure sessions on Redis (redis-server must be installed)")
	most := flag.Int("idle", 50_000, "the largest number of idle connections")
	rounds := flag.Int("rounds", 5, "rounds")
	flag.Parse()
	kept := filepath.Join(*root, "internal", "growth", "results.json")
	var r Results
	var err error
	if *only {
		r, err = readResults(kept)
	} else {
		r, err = measureAll(*root, *rounds, *most, *sessions)
		if err == nil {
			err = writeResults(kept, r)
		}
	}
	if err == nil {
		err = drawAll(filepath.Join(*root, "docs", "images"), r)
	}
	if err == nil {
		err = writeTables(filepath.Join(*root, "docs", "benchmarks.md"), r)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// Results are what a run has measured.
type Results struct {
	Date    string
	Rounds  int
	Load    string // the machine's load average before and after
	Events  []Point
	Idle    []Point
	Memory  []Point
	Rooms   []Point
	Emit    []Point
	Slow    []Point
	OnRedis []Point
}

// Point is one measured point. Each scenario uses some of the fields.
type Point struct {
	X       int     // connections, members of a room, or nodes
	PerSec  float64 `json:",omitempty"` // events or deliveries a second
	Micros  float64 `json:",omitempty"` // CPU time of the server for each, in µs
	P50     float64 `json:",omitempty"` // in µs
	P99     float64 `json:",omitempty"`
	Ratio   float64 `json:",omitempty"` // Micros, divided by that of a server without idle connections
	Bytes   float64 `json:",omitempty"` // resident memory for each connection
	Samples int     `json:",omitempty"` // rounds of which this is the median
}

func readResults(file string) (r Results, err error) {
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

func writeResults(file string, r Results) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
