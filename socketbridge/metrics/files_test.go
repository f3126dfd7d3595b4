package metrics_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v2"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/measure"
	"github.com/fiberbridge/fiberbridge/socketbridge/metrics"
)

// described are the labels of each metric that a collector describes, by the metric's name.
func described(t *testing.T) map[string][]string {
	t.Helper()
	m := metrics.New(metrics.Config{Server: newServer(t, socketbridge.Config{}), Sessions: newStore(t, fibersession.Config{})})
	t.Cleanup(m.Close)
	ch := make(chan *prometheus.Desc, 1000)
	m.Describe(ch)
	close(ch)
	pattern := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{([^}]*)\}`)
	all := map[string][]string{}
	for desc := range ch {
		match := pattern.FindStringSubmatch(desc.String())
		if match == nil {
			t.Fatalf("cannot read the description %s", desc)
		}
		all[match[1]] = strings.FieldsFunc(match[2], func(r rune) bool { return r == ',' })
	}
	return all
}

// N9: the collector describes the instruments that all systems of metrics have.
func TestN9_Metrics_AllInstruments(t *testing.T) {
	t.Parallel()
	got := described(t)
	for _, i := range measure.All() {
		if labels, ok := got[i.Prometheus()]; !ok || !slices.Equal(labels, i.Labels) && len(labels)+len(i.Labels) > 0 {
			t.Errorf("%s: described with %v, want the labels %v", i.Prometheus(), labels, i.Labels)
		}
		delete(got, i.Prometheus())
	}
	if len(got) > 0 {
		t.Errorf("unknown metrics: %v", got)
	}
}

var (
	selector  = regexp.MustCompile(`(fiberbridge_\w+)(\{[^}]*\})?`)
	matcher   = regexp.MustCompile(`(\w+)\s*[=!]~?\s*"`)
	histogram = regexp.MustCompile(`_(bucket|count|sum)$`)
)

// checkQuery checks the metrics and labels of a query, and adds the metrics to used.
func checkQuery(t *testing.T, all map[string][]string, query string, used map[string]bool) {
	t.Helper()
	found := selector.FindAllStringSubmatch(query, -1)
	if len(found) == 0 {
		t.Errorf("%s names no metric", query)
	}
	for _, match := range found {
		name := match[1]
		if _, ok := all[name]; !ok && strings.HasSuffix(histogram.ReplaceAllString(name, ""), "_seconds") {
			name = histogram.ReplaceAllString(name, "")
		}
		labels, ok := all[name]
		if !ok {
			t.Errorf("%s names %s, which does not exist", query, match[1])
		}
		for _, label := range matcher.FindAllStringSubmatch(match[2], -1) {
			if !slices.Contains(append([]string{"job", "instance"}, labels...), label[1]) {
				t.Errorf("%s: %s has no label %s", query, name, label[1])
			}
		}
		used[name] = true
	}
}

// dashboard is the part of dashboard.json that the tests need.
type dashboard struct {
	Panels []struct {
		ID          int
		Type, Title string
		Datasource  struct{ UID string }
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Name, Type string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// N9: the dashboard queries metrics and labels that exist, shows every metric, and needs nothing
// but a data source. Panels do not overlap.
func TestN9_Metrics_Dashboard(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	all, used := described(t), map[string]bool{}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q: the ID %d is used twice", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q overlaps with %q, or is too wide", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("panel %q has the data source %q and %d queries", p.Title, p.Datasource.UID, len(p.Targets))
		}
		for _, q := range p.Targets {
			checkQuery(t, all, q.Expr, used)
			if !strings.Contains(q.Expr, `job=~"$job",instance=~"$instance"`) {
				t.Errorf("panel %q ignores the variables: %s", p.Title, q.Expr)
			}
		}
	}
	for name := range all {
		if !used[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
	if v := d.Templating.List; len(v) == 0 || v[0].Name != "datasource" || v[0].Type != "datasource" {
		t.Errorf("variables: %v, want the data source first", v)
	}
}

// rules is the part of alerts.yml that the tests need.
type rules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr         string
			Labels, Annotations map[string]string
		}
	}
}

func readAlerts(t *testing.T) (r rules) {
	t.Helper()
	text, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &r); err != nil && !strings.Contains(err.Error(), "not found in type") {
		t.Fatal(err)
	}
	if len(r.Groups) != 1 || len(r.Groups[0].Rules) == 0 {
		t.Fatalf("alerts.yml has %d groups", len(r.Groups))
	}
	return r
}

// N9: alerts query metrics and labels that exist, and notices that exist; each has a severity,
// a cure, a test and a row in docs/metrics.md.
func TestN9_Metrics_Alerts(t *testing.T) {
	t.Parallel()
	page, tests, notices := read(t, "../../docs/metrics.md"), read(t, "testdata/alerts_test.yml"), read(t, "../../docs/troubleshooting.md")
	all := described(t)
	quoted := regexp.MustCompile(`notice=~?"([^"]+)"`)
	listed := rows(page, "Fiberbridge")
	for _, r := range readAlerts(t).Groups[0].Rules {
		checkQuery(t, all, r.Expr, map[string]bool{})
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s lacks a summary or a description", r.Alert)
		}
		for _, match := range quoted.FindAllStringSubmatch(r.Expr, -1) {
			for name := range strings.SplitSeq(match[1], "|") {
				if !regexp.MustCompile("`" + name + "` \\|").MatchString(notices) {
					t.Errorf("%s queries the notice %s, which docs/troubleshooting.md does not have", r.Alert, name)
				}
			}
		}
		if !strings.Contains(tests, "name: "+r.Alert+" fires") || !strings.Contains(tests, "name: "+r.Alert+" is silent") {
			t.Errorf("%s has no tests in testdata/alerts_test.yml", r.Alert)
		}
		if !listed[r.Alert] {
			t.Errorf("docs/metrics.md does not list %s", r.Alert)
		}
		delete(listed, r.Alert)
	}
	for name := range listed {
		t.Errorf("docs/metrics.md lists %s, which alerts.yml does not have", name)
	}
}

// N9: docs/metrics.md lists every metric, with its labels, and no other.
func TestN9_Metrics_Page(t *testing.T) {
	t.Parallel()
	page := read(t, "../../docs/metrics.md")
	all, listed := described(t), rows(page, "fiberbridge_")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		labels := ""
		if len(all[name]) > 0 {
			labels = "`" + strings.Join(all[name], "`, `") + "`"
		}
		if row := fmt.Sprintf("| `%s` | %s |", name, labels); !strings.Contains(page, row) && !strings.Contains(page, strings.ReplaceAll(row, "  ", " ")) {
			t.Errorf("docs/metrics.md lacks the row %s", row)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("docs/metrics.md lists %s, which does not exist", name)
	}
}

// rows returns the names in the first column of a page's tables that begin with prefix.
func rows(page, prefix string) map[string]bool {
	all := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `("+prefix+"\\w+)` \\|").FindAllStringSubmatch(page, -1) {
		all[match[1]] = true
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool runs Prometheus' own tool. Without it the test fails if CI is set, and is skipped
// otherwise.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatalf("promtool is missing although CI is set (make deps installs it): %v", err)
	case err != nil:
		t.Skip("promtool is not installed (Debian's package prometheus)")
	}
	cmd := exec.Command(tool, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// N9: Prometheus accepts the alerts, and each fires when it must and only then.
func TestN9_Metrics_PromtoolAlerts(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", "alerts.yml")
	promtool(t, "", "test", "rules", filepath.Join("testdata", "alerts_test.yml"))
}

// N9: Prometheus accepts the queries of the dashboard.
func TestN9_Metrics_PromtoolDashboard(t *testing.T) {
	t.Parallel()
	type rule struct{ Record, Expr string }
	var all []rule
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*").Replace(q.Expr)
			all = append(all, rule{fmt.Sprintf("query_%d", len(all)), expr})
		}
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": all}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}
