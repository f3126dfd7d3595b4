// Command vulndb turns the reports of golang.org/x/vulndb into a database that govulncheck
// reads with -db file://OUT, so that a check needs the module proxy only, or nothing at all:
//
//	go run ./internal/vulndb [-reports FOLDER] OUT
//
// Without -reports it downloads the newest version of the module golang.org/x/vulndb. A
// FOLDER holds the reports as JSON files in the OSV format, as data/osv of that module does.
// The layout of a database is described at https://go.dev/doc/security/vuln/database.
package main

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("vulndb: ")
	reports := flag.String("reports", "", "`folder` of OSV reports")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: vulndb [-reports FOLDER] OUT")
	}
	dir, modified := *reports, time.Now().UTC()
	if dir == "" {
		var err error
		if dir, modified, err = download(); err != nil {
			log.Fatal(err)
		}
	}
	n, err := write(flag.Arg(0), dir, modified.Truncate(time.Second))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("vulndb: %d reports, as of %s\n", n, modified.Format(time.DateOnly))
}

// download returns the folder of the newest reports in the module cache, and their time.
func download() (string, time.Time, error) {
	out, err := exec.Command("go", "mod", "download", "-json", "golang.org/x/vulndb@latest").Output()
	var mod struct{ Dir, Info, Error string }
	if jsonErr := json.Unmarshal(out, &mod); jsonErr != nil || mod.Error != "" {
		return "", time.Time{}, fmt.Errorf("download golang.org/x/vulndb: %s (%w)", mod.Error, cmp.Or(err, jsonErr))
	}
	info, err := os.ReadFile(mod.Info)
	if err != nil {
		return "", time.Time{}, err
	}
	var version struct{ Time time.Time }
	err = json.Unmarshal(info, &version)
	return filepath.Join(mod.Dir, "data", "osv"), version.Time, err
}

// report has the fields of an OSV report that the index needs.
type report struct {
	ID        string     `json:"id"`
	Aliases   []string   `json:"aliases"`
	Withdrawn *time.Time `json:"withdrawn"`
	Affected  []struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Events []struct {
				Fixed string `json:"fixed"`
			} `json:"events"`
		} `json:"ranges"`
	} `json:"affected"`
}

type (
	indexedModule struct {
		Path  string       `json:"path"`
		Vulns []moduleVuln `json:"vulns"`
	}
	moduleVuln struct {
		ID       string    `json:"id"`
		Modified time.Time `json:"modified"`
		Fixed    string    `json:"fixed,omitempty"`
	}
	indexedVuln struct {
		ID       string    `json:"id"`
		Modified time.Time `json:"modified"`
		Aliases  []string  `json:"aliases,omitempty"`
	}
)

// write makes the database and returns the number of its reports. The reports in the module
// have no time of their own, so each gets modified.
func write(out, reports string, modified time.Time) (int, error) {
	files, err := filepath.Glob(filepath.Join(reports, "*.json"))
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		return 0, fmt.Errorf("no reports in %s", reports)
	}
	var vulns []indexedVuln
	modules := make(map[string][]moduleVuln)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		var r report
		var all map[string]any
		if err := cmp.Or(json.Unmarshal(b, &r), json.Unmarshal(b, &all)); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		if r.Withdrawn != nil {
			continue
		}
		all["modified"] = modified
		if err := writeJSON(filepath.Join(out, "ID", r.ID+".json"), all); err != nil {
			return 0, err
		}
		vulns = append(vulns, indexedVuln{r.ID, modified, r.Aliases})
		for _, a := range r.Affected {
			v := moduleVuln{ID: r.ID, Modified: modified}
			for _, ranges := range a.Ranges {
				for _, e := range ranges.Events {
					v.Fixed = cmp.Or(e.Fixed, v.Fixed)
				}
			}
			if same := modules[a.Package.Name]; len(same) == 0 || same[len(same)-1].ID != r.ID {
				modules[a.Package.Name] = append(same, v)
			}
		}
	}
	index := make([]indexedModule, 0, len(modules))
	for path, v := range modules {
		index = append(index, indexedModule{path, v})
	}
	slices.SortFunc(index, func(a, b indexedModule) int { return cmp.Compare(a.Path, b.Path) })
	return len(vulns), cmp.Or(
		writeJSON(filepath.Join(out, "index", "db.json"), map[string]time.Time{"modified": modified}),
		writeJSON(filepath.Join(out, "index", "modules.json"), index),
		writeJSON(filepath.Join(out, "index", "vulns.json"), vulns),
	)
}

func writeJSON(file string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}
