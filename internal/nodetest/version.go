package nodetest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Version returns the name and the version of an installed package, such as "redis 6.3.1" for
// the name redis-6 in package.json.
func Version(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(Dir(t), "node_modules", name, "package.json"))
	if err != nil {
		missing(t, "the npm package "+name+" (run `make deps`)", err)
	}
	var p struct{ Name, Version string }
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	return p.Name + " " + p.Version
}
