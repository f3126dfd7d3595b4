package socketbridge_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/fiberbridge/fiberbridge/"

// floors is the layering of packages: a package may import only packages of lower floors,
// and on its own floor only those listed in arrows.
var floors = map[string]int{
	"internal/clientaddr":                  0,
	"internal/setting":                     0,
	"internal/sitehost":                    1,
	"internal/throttle":                    0,
	"internal/notice":                      0,
	"internal/hooklist":                    0,
	"storage":                              0,
	"socketbridge/transport":               0,
	"socketbridge/adapter":                 0,
	"socketbridge/client":                  0,
	"socketbridge/internal/eiopacket":      0,
	"socketbridge/internal/httpbody":       1,
	"socketbridge/internal/siopacket":      0,
	"socketbridge/internal/wsframe":        0,
	"socketbridge/internal/inmemory":       1,
	"socketbridge/internal/presence":       1,
	"socketbridge/internal/serial":         0,
	"fibersession/internal/codec":          0,
	"storage/memory":                       1,
	"storage/redis":                        1,
	"storage/storagetest":                  1,
	"fibersession":                         1,
	"socketbridge/engineio":                1,
	"socketbridge/transport/transporttest": 1,
	"socketbridge/adapter/adaptertest":     1,
	"socketbridge/internal/msgpack":        1,
	"socketbridge/contract/internal/lint":  1,
	"socketbridge/redisadapter":            1,
	"fibersession/csrf":                    2,
	"socketbridge":                         2,
	"socketbridge/bridgetest":              3,
	"socketbridge/contract":                3,
	"socketbridge/contract/gen":            3,
	"socketbridge/contribws":               3,
	"socketbridge/emitter":                 3,
	"socketbridge/cmd/fiberbridge":         4,
	"socketbridge/otel":                    3,
	"socketbridge/internal/measure":        3,
	"socketbridge/metrics":                 3,
	"socketbridge/adminui":                 3,
	"socketbridge/inspector":               3,
	"examples":                             4,
}

var arrows = map[string][]string{
	"fibersession":              {"storage/memory", "internal/sitehost"},
	"socketbridge/engineio":     {"socketbridge/internal/httpbody", "socketbridge/internal/inmemory", "internal/sitehost"},
	"internal/notice":           {"internal/throttle"},
	"socketbridge/redisadapter": {"socketbridge/internal/msgpack"},
	"socketbridge/metrics":      {"socketbridge/internal/measure"},
	"socketbridge/otel":         {"socketbridge/internal/measure"},
}

// testOnly are packages that only tests and the Makefile use. They have no floor.
var testOnly = map[string]bool{
	"internal/faulty":            true,
	"internal/matrix":            true,
	"internal/matrix/render":     true,
	"internal/notice/noticetest": true,
	"internal/nodetest":          true,
	"internal/clustertest":       true,
	"internal/costs":             true,
	"internal/doccheck":          true,
	"internal/eventbench":        true,
	"internal/guards":            true,
	"internal/mutant":            true,
	"internal/redistest":         true,
	"internal/reliability":       true,
	"internal/servertest":        true,
	"internal/simulation":        true,
	"internal/testlog":           true,
	"internal/vulndb":            true,
	"internal/flakes":            true,
}

// forTests are packages for the tests of users and of this module: they import package testing. No
// package of a program may import them, but forTests may import each other.
var forTests = map[string]bool{
	"storage/storagetest":                  true,
	"socketbridge/transport/transporttest": true,
	"socketbridge/adapter/adaptertest":     true,
	"socketbridge/bridgetest":              true,
}

// heavy are modules that only the listed packages may import.
var heavy = map[string][]string{
	"github.com/redis/go-redis":            {"storage/redis", "socketbridge/redisadapter"},
	"github.com/gofiber/storage/redis":     {"storage/redis"},
	"github.com/gofiber/storage/memory":    {"storage/memory"},
	"github.com/gofiber/contrib/websocket": {"socketbridge/contribws"},
	"github.com/gofiber/contrib/socketio":  {"socketbridge/contribws"},
	"github.com/prometheus/":               {"socketbridge/metrics"},
	"go.opentelemetry.io":                  {"socketbridge/otel"},
	"github.com/go-playground/validator":   {"socketbridge/contract", "socketbridge/contract/gen", "socketbridge/contract/internal/lint"},
	"golang.org/x/crypto":                  {"socketbridge/adminui", "examples/dashboard"},
}

func TestFloors(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() != ".." && (d.Name() == "testdata" || d.Name() == "node_modules" || strings.ContainsRune("._", rune(d.Name()[0]))) {
			return filepath.SkipDir
		}
		if d.IsDir() && strings.HasPrefix(filepath.ToSlash(file), "../internal/") && isModule(file) {
			return filepath.SkipDir // it has tests only
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel("..", file)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(path.Dir(filepath.ToSlash(rel)))
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		seen[pkg] = true
		checkImports(t, pkg, file, src)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range floors {
		if pkg != "examples" && !seen[pkg] {
			t.Errorf("floors names %s, which does not exist", pkg)
		}
	}
}

// isModule reports whether a folder is a Go module of its own.
func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// checkImports reports imports of a file that break the rules of its package.
func checkImports(t *testing.T, pkg, file string, src []byte) {
	t.Helper()
	key := pkg
	if strings.HasPrefix(pkg, "examples/") {
		key = "examples"
	}
	floor, known := floors[key]
	if !known && !testOnly[pkg] {
		t.Errorf("%s: package %s has no floor: give it one here and in docs/architecture.md", file, pkg)
		return
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		imp := strings.Trim(spec.Path.Value, `"`)
		if problem := refusal(key, floor, imp); problem != "" && !testOnly[pkg] {
			t.Errorf("%s: %s", file, problem)
		}
	}
}

// refusal returns why pkg may not import imp, or "" if it may.
func refusal(pkg string, floor int, imp string) string {
	for mod, who := range heavy {
		if strings.HasPrefix(imp, mod) && floor < 4 && !contains(who, pkg) {
			return pkg + " imports " + imp
		}
	}
	if own, ok := strings.CutPrefix(imp, module); ok {
		below, known := floors[own]
		switch {
		case forTests[own] && !forTests[pkg]:
			return pkg + " imports " + own + ", which is for tests"
		case !known:
			return pkg + " imports " + own + ", which has no floor"
		case below < floor, contains(arrows[pkg], own):
			return ""
		default:
			return pkg + " imports " + own + ", which is not below it"
		}
	}
	if floor == 0 && strings.Contains(strings.Split(imp, "/")[0], ".") {
		return pkg + " imports " + imp + ": floor 0 imports the standard library only"
	}
	return ""
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// TestFloors_RejectForbiddenImports checks that the rules reject forbidden imports.
func TestFloors_RejectForbiddenImports(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, pkg, imp string }{
		{"the session store imports Redis", "fibersession", module + "storage/redis"},
		{"the core imports Redis", "socketbridge", "github.com/redis/go-redis/v9"},
		{"the core imports contrib/socketio", "socketbridge", "github.com/gofiber/contrib/socketio"},
		{"the core imports Prometheus", "socketbridge", "github.com/prometheus/client_golang/prometheus"},
		{"what all systems of metrics share imports Prometheus", "socketbridge/internal/measure", "github.com/prometheus/client_golang/prometheus"},
		{"the core imports a package above it", "socketbridge", module + "socketbridge/contribws"},
		{"a codec imports a module", "socketbridge/internal/siopacket", "github.com/gofiber/fiber/v2"},
		{"the engine imports the core", "socketbridge/engineio", module + "socketbridge"},
		{"storage imports a driver", "storage", module + "storage/memory"},
		{"an unknown package", "socketbridge", module + "elsewhere"},
		{"a program imports the test kit", "examples", module + "socketbridge/bridgetest"},
		{"the core imports a conformance suite", "socketbridge", module + "socketbridge/transport/transporttest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if refusal(tt.pkg, floors[tt.pkg], tt.imp) == "" {
				t.Errorf("%s may import %s, want a refusal", tt.pkg, tt.imp)
			}
		})
	}
	if got := refusal("socketbridge", 2, module+"fibersession"); got != "" {
		t.Errorf("got %q, want socketbridge to import fibersession", got)
	}
}
