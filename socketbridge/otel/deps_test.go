package bridgeotel_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// dependencies returns all packages that a program with the given packages contains.
func dependencies(t *testing.T, packages ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, packages...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// N9: an app that does not import this package has no OpenTelemetry in its binary, and one that
// does has the API but no SDK and no exporter.
func TestN9_OtelDependencies(t *testing.T) {
	t.Parallel()
	const root = "github.com/fiberbridge/fiberbridge/"
	isOtel := func(pkg string) bool { return strings.HasPrefix(pkg, "go.opentelemetry.io/") }
	all := dependencies(t, root+"socketbridge", root+"socketbridge/redisadapter", root+"socketbridge/contribws", root+"fibersession/csrf", root+"storage/memory", root+"storage/redis")
	if i := slices.IndexFunc(all, isOtel); i >= 0 {
		t.Errorf("an app without this package contains %s", all[i])
	}
	with := dependencies(t, ".")
	if !slices.ContainsFunc(with, isOtel) {
		t.Error("an app with this package contains no OpenTelemetry: the test finds nothing")
	}
	for _, pkg := range with {
		if strings.HasPrefix(pkg, "go.opentelemetry.io/otel/sdk") || strings.HasPrefix(pkg, "go.opentelemetry.io/otel/exporters") {
			t.Errorf("this package imports %s", pkg)
		}
	}
}
