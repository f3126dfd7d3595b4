package doccheck_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	requirement = regexp.MustCompile(`(?m)^\s*([a-z][\w./-]+\.[\w./-]+) v([^\s/]+)`)
	versionRow  = regexp.MustCompile("^\\| (`?)([^`|]+?)`? \\| (.+?) \\| (.+?) \\|$")
)

// versionsOf returns the versions that the tests of the repository use: of each Go module and
// npm package, sorted.
func versionsOf(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	add := func(name, version string) {
		if !slices.Contains(all[name], version) {
			all[name] = append(all[name], version)
		}
	}
	for _, file := range []string{"go.mod", "internal/drivers/go.mod"} {
		for _, m := range requirement.FindAllStringSubmatch(read(t, file), -1) {
			add(m[1], m[2])
		}
	}
	var p struct{ DevDependencies map[string]string }
	if err := json.Unmarshal([]byte(read(t, "internal/nodetest/package.json")), &p); err != nil {
		t.Fatal(err)
	}
	for name, version := range p.DevDependencies {
		if real, ok := strings.CutPrefix(version, "npm:"); ok { // an alias of another version
			at := strings.LastIndex(real, "@")
			name, version = real[:at], real[at+1:]
		}
		add(name, version)
	}
	oldest, minor := oldestGo(t)
	all["Go"] = []string{oldest, fmt.Sprintf("1.%d", minor+1)} // TestRepository_Workflows holds the workflows to them
	all["Node.js"] = []string{oldestNode(t)}
	for _, versions := range all {
		slices.SortFunc(versions, compareVersions)
	}
	return all
}

// compareVersions compares numbers separated by dots.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	return slices.CompareFunc(as, bs, func(x, y string) int {
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		return strings.Compare(x, y)
	})
}

// TestVersionsThatWorkTogether: the table of docs/compatibility.md has the versions with which
// the tests run, all of them and no other.
func TestVersionsThatWorkTogether(t *testing.T) {
	t.Parallel()
	_, table, found := strings.Cut(read(t, "docs/compatibility.md"), "\n## Versions that work together\n")
	if !found {
		t.Fatal("docs/compatibility.md has no table of versions")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	versions := versionsOf(t)
	listed := map[string]bool{}
	for line := range strings.Lines(table) {
		m := versionRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || m[2] == "---" {
			continue
		}
		name, cell := m[2], m[4]
		if listed[name] {
			t.Errorf("the table lists %s twice", name)
		}
		listed[name] = true
		if name == "Redis" || name == "Valkey" { // a server that the machine has
			continue
		}
		want, known := versions[name]
		if !known {
			t.Errorf("the table lists %s, which no go.mod or package.json names", name)
		} else if cell != strings.Join(want, ", ") {
			t.Errorf("the table has %s %s, the tests run with %s", name, cell, strings.Join(want, ", "))
		}
	}
	for _, name := range []string{"Go", "Redis", "Valkey", "Node.js", "github.com/gofiber/fiber/v2", "github.com/redis/go-redis/v9"} {
		if !listed[name] {
			t.Errorf("the table does not list %s", name)
		}
	}
	// What an app shares a cluster, a page or a session with.
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		shared := strings.HasPrefix(name, "@socket.io/") || strings.HasPrefix(name, "github.com/gofiber/") ||
			slices.Contains([]string{"socket.io", "socket.io-client", "express", "express-session", "connect-redis", "redis", "ioredis"}, name)
		if shared && !strings.HasPrefix(name, "github.com/gofiber/utils") && !listed[name] {
			t.Errorf("the table does not list %s %s", name, strings.Join(versions[name], ", "))
		}
	}
}
