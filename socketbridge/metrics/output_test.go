package metrics_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/metrics"
)

// N9: the output follows Prometheus' conventions.
func TestN9_Metrics_Lint(t *testing.T) {
	t.Parallel()
	store := newStore(t, fibersession.Config{})
	server := newServer(t, socketbridge.Config{})
	r := register(t, metrics.Config{Server: server, Sessions: store})
	server.On("e", func(p *socketbridge.Packet) error { return p.Ack(1) })
	p := join(t, server)
	p.call("e")
	p.send(`2["made up"]`)
	p.leave()
	shutdown(t, server)

	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, text.String(), "check", "metrics")
}

// N9: a program that does not import this package has nothing of Prometheus in its binary.
func TestN9_Metrics_NoDependencyUnlessImported(t *testing.T) {
	t.Parallel()
	const module = "github.com/fiberbridge/fiberbridge/"
	deps := func(pkgs ...string) string {
		cmd := exec.Command("go", append([]string{"list", "-deps"}, pkgs...)...)
		cmd.Dir = "../.."
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		return string(out)
	}
	for name, found := range map[string]bool{
		deps("./socketbridge", "./fibersession", "./storage/...", "./socketbridge/redisadapter", "./socketbridge/contribws", "./examples/quickstart", "./examples/chat"): false,
		deps("./socketbridge/metrics"): true,
	} {
		for _, dep := range []string{"github.com/prometheus/", "google.golang.org/protobuf/", module + "socketbridge/metrics", module + "socketbridge/internal/measure"} {
			if got := strings.Contains(name, "\n"+dep); got != found {
				t.Errorf("%s is among the dependencies: %v, want %v", dep, got, found)
			}
		}
	}
}
