package doccheck_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// blocks returns the code blocks of a page in a language.
func blocks(t *testing.T, page, language string) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(read(t, page), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s has no block of %s", page, language)
	}
	return all
}

// shopProgram is what the Dockerfile and the manifests have to agree with.
type shopProgram struct {
	env      map[string]string // default of each environment variable
	routes   []string
	commands []string // arguments that the program compares os.Args[1] with
	seconds  map[string]time.Duration
}

// readShop reads the program of docs/docker.md.
func readShop(t *testing.T) shopProgram {
	t.Helper()
	p := shopProgram{env: map[string]string{}, seconds: map[string]time.Duration{}}
	file, err := parser.ParseFile(token.NewFileSet(), "main.go", blocks(t, "docs/docker.md", "go")[0], parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	text := func(e ast.Expr) string {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, _ := strconv.Unquote(lit.Value)
			return s
		}
		return ""
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			switch f := n.Fun.(type) {
			case *ast.Ident:
				if f.Name == "env" && len(n.Args) == 2 {
					p.env[text(n.Args[0])] = text(n.Args[1])
				}
			case *ast.SelectorExpr:
				if f.Sel.Name == "Get" && len(n.Args) == 2 {
					p.routes = append(p.routes, text(n.Args[0]))
				}
				if f.Sel.Name == "Getenv" && text(n.Args[0]) != "" {
					p.env[text(n.Args[0])] = ""
				}
			}
		case *ast.BinaryExpr:
			if i, ok := n.X.(*ast.IndexExpr); ok && n.Op == token.EQL {
				if s, ok := i.X.(*ast.SelectorExpr); ok && s.Sel.Name == "Args" {
					p.commands = append(p.commands, text(n.Y))
				}
			}
		case *ast.ValueSpec:
			if len(n.Values) != 1 {
				return true
			}
			if b, ok := n.Values[0].(*ast.BinaryExpr); ok && b.Op == token.MUL {
				if lit, ok := b.X.(*ast.BasicLit); ok {
					v, err := strconv.Atoi(lit.Value)
					if err != nil {
						t.Fatal(err)
					}
					p.seconds[n.Names[0].Name] = time.Duration(v) * time.Second
				}
			}
		}
		return true
	})
	if p.env["PORT"] == "" || len(p.routes) < 3 || len(p.commands) != 1 || p.seconds["shutdownTime"] == 0 || p.seconds["drainDelay"] == 0 {
		t.Fatalf("the program of docs/docker.md: %+v", p)
	}
	return p
}

// decodeAll decodes the documents of a YAML block. Two equal keys are an error.
func decodeAll(t *testing.T, text string) (all []yaml.Node) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc any
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var n yaml.Node
		if err := n.Encode(doc); err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// bytesOf returns a size such as "400MiB", "512Mi" or "512m".
func bytesOf(t *testing.T, size string) int {
	t.Helper()
	m := regexp.MustCompile(`^(\d+)(Mi|MiB|m)$`).FindStringSubmatch(size)
	if m == nil {
		t.Fatalf("%q is no size in MiB", size)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n << 20
}

// checkMemory: the collector's limit is 10 to 30 % below that of the container.
func checkMemory(t *testing.T, soft, hard string) {
	t.Helper()
	if s, h := bytesOf(t, soft), bytesOf(t, hard); s*10 > h*9 || s*10 < h*7 {
		t.Errorf("GOMEMLIMIT is %s, and the container's limit %s", soft, hard)
	}
}

// TestContainers_Docker: the Dockerfile and the Compose file of docs/docker.md agree with its
// program and with each other.
func TestContainers_Docker(t *testing.T) {
	t.Parallel()
	shop := readShop(t)
	file := blocks(t, "docs/docker.md", "dockerfile")[0]
	oldest, _ := oldestGo(t)
	for _, want := range []string{
		"FROM golang:" + oldest + " AS build\n",
		"RUN CGO_ENABLED=0 go build -trimpath",
		"-o /shop .\n",
		"COPY --from=build /shop /shop\n",
		"USER 65532:65532\n",
		"EXPOSE " + shop.env["PORT"] + "\n",
		`CMD ["/shop", "` + shop.commands[0] + `"]`,
		`ENTRYPOINT ["/shop"]`,
	} {
		if !strings.Contains(file, want) {
			t.Errorf("the Dockerfile has no %q", want)
		}
	}
	type compose struct {
		Services map[string]struct {
			Build, Image, Restart string
			Command, Ports        []string
			Volumes               []string
			Environment           map[string]string
			DependsOn             map[string]struct{ Condition string } `yaml:"depends_on"`
			Grace                 string                                `yaml:"stop_grace_period"`
			MemLimit              string                                `yaml:"mem_limit"`
			ReadOnly              bool                                  `yaml:"read_only"`
			CapDrop               []string                              `yaml:"cap_drop"`
			SecurityOpt           []string                              `yaml:"security_opt"`
			Healthcheck           map[string]any
		}
		Volumes map[string]any
	}
	var c compose
	decoder := yaml.NewDecoder(strings.NewReader(blocks(t, "docs/docker.md", "yaml")[0]))
	decoder.KnownFields(true)
	if err := decoder.Decode(&c); err != nil {
		t.Fatal(err)
	}
	s, redis := c.Services["shop"], c.Services["redis"]
	for name := range s.Environment {
		if _, ok := shop.env[name]; !ok && name != "GOMEMLIMIT" {
			t.Errorf("Compose sets %s, which the program does not read", name)
		}
	}
	if port := shop.env["PORT"]; len(s.Ports) != 1 || !strings.HasSuffix(s.Ports[0], ":"+port+":"+port) {
		t.Errorf("Compose publishes %v, and the program listens on %s", s.Ports, port)
	}
	if s.Environment["STORAGE"] != "redis://redis:6379/0" || s.DependsOn["redis"].Condition != "service_healthy" || redis.Healthcheck == nil {
		t.Errorf("Compose: the storage is %q, and the shop depends on %v", s.Environment["STORAGE"], s.DependsOn)
	}
	if !slices.Contains(redis.Command, "noeviction") || !strings.HasPrefix(redis.Volumes[0], "redis:") || c.Volumes["redis"] == nil {
		t.Errorf("Compose: Redis runs as %v with %v", redis.Command, redis.Volumes)
	}
	checkMemory(t, s.Environment["GOMEMLIMIT"], s.MemLimit)
	if grace, err := time.ParseDuration(s.Grace); err != nil || grace <= shop.seconds["shutdownTime"] {
		t.Errorf("Compose kills after %s, and the program takes %v", s.Grace, shop.seconds["shutdownTime"])
	}
}

type probe struct {
	HTTPGet          struct{ Path, Port string } `yaml:"httpGet"`
	PeriodSeconds    int                         `yaml:"periodSeconds"`
	TimeoutSeconds   int                         `yaml:"timeoutSeconds"`
	FailureThreshold int                         `yaml:"failureThreshold"`
}

type selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

// object is the part of a Kubernetes object that these tests read.
type object struct {
	Kind     string
	Metadata struct {
		Name        string
		Annotations map[string]string
	}
	Spec yaml.Node
}

// TestContainers_Kubernetes: the manifest of docs/kubernetes.md is YAML, its objects fit each
// other, and its probes, ports, environment and times fit the program of docs/docker.md.
func TestContainers_Kubernetes(t *testing.T) {
	t.Parallel()
	shop := readShop(t)
	objects := map[string]object{}
	for _, doc := range decodeAll(t, blocks(t, "docs/kubernetes.md", "yaml")[0]) {
		var o object
		if err := doc.Decode(&o); err != nil {
			t.Fatal(err)
		}
		objects[o.Kind+" "+o.Metadata.Name] = o
	}
	want := []string{"Deployment shop", "Ingress shop", "NetworkPolicy redis", "NetworkPolicy shop", "PodDisruptionBudget shop", "Service shop"}
	if got := slices.Sorted(maps.Keys(objects)); !slices.Equal(got, want) {
		t.Fatalf("the manifest has %v, want %v", got, want)
	}
	spec := func(name string, v any) {
		t.Helper()
		node := objects[name].Spec
		if err := node.Decode(v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}

	var deployment struct {
		Replicas int
		Selector selector
		Strategy struct {
			RollingUpdate struct {
				MaxUnavailable int `yaml:"maxUnavailable"`
				MaxSurge       int `yaml:"maxSurge"`
			} `yaml:"rollingUpdate"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Grace           int `yaml:"terminationGracePeriodSeconds"`
				SecurityContext struct {
					RunAsNonRoot bool `yaml:"runAsNonRoot"`
					RunAsUser    int  `yaml:"runAsUser"`
				} `yaml:"securityContext"`
				Containers []struct {
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					}
					Env []struct {
						Name, Value string
						ValueFrom   struct {
							SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
						} `yaml:"valueFrom"`
					}
					Lifecycle      any
					ReadinessProbe probe `yaml:"readinessProbe"`
					LivenessProbe  probe `yaml:"livenessProbe"`
					Resources      struct{ Requests, Limits map[string]string }
				}
			}
		}
	}
	spec("Deployment shop", &deployment)
	pod := deployment.Template.Spec
	c := pod.Containers[0]
	port := strconv.Itoa(c.Ports[0].ContainerPort)
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
		if _, ok := shop.env[e.Name]; !ok && e.Name != "GOMEMLIMIT" {
			t.Errorf("the manifest sets %s, which the program does not read", e.Name)
		}
		if s := e.ValueFrom.SecretKeyRef; e.Name == "STORAGE" &&
			!strings.Contains(read(t, "docs/kubernetes.md"), "kubectl create secret generic "+s.Name+" --from-literal="+s.Key+"='redis://") {
			t.Errorf("the page does not create the secret %s with the key %s", s.Name, s.Key)
		}
	}
	if env["PORT"] != port {
		t.Errorf("PORT is %s, and the container's port %s", env["PORT"], port)
	}
	for name, p := range map[string]probe{"/readyz": c.ReadinessProbe, "/livez": c.LivenessProbe} {
		if p.HTTPGet.Path != name || p.HTTPGet.Port != c.Ports[0].Name || !slices.Contains(shop.routes, name) {
			t.Errorf("a probe asks %+v; want %s on %s, which the program serves: %v", p.HTTPGet, name, c.Ports[0].Name, shop.routes)
		}
	}
	// The drain may begin when proxies have noticed: the probe's period does not matter for a pod
	// that ends, but the delay should cover the same time for other reasons to be not ready.
	notice := time.Duration(c.ReadinessProbe.PeriodSeconds*c.ReadinessProbe.FailureThreshold+c.ReadinessProbe.TimeoutSeconds) * time.Second
	if delay := shop.seconds["drainDelay"]; delay < notice {
		t.Errorf("the drain begins after %v, and the readiness probe takes up to %v", delay, notice)
	}
	if grace := time.Duration(pod.Grace) * time.Second; grace < shop.seconds["shutdownTime"]+10*time.Second || c.Lifecycle != nil {
		t.Errorf("the pod is killed after %v, and its shutdown takes %v (preStop: %v)", grace, shop.seconds["shutdownTime"], c.Lifecycle)
	}
	if r := deployment.Strategy.RollingUpdate; r.MaxUnavailable != 0 || r.MaxSurge < 1 || deployment.Replicas < 2 {
		t.Errorf("%d replicas, rolled with %+v", deployment.Replicas, r)
	}
	checkMemory(t, env["GOMEMLIMIT"], c.Resources.Limits["memory"])
	if user := strconv.Itoa(pod.SecurityContext.RunAsUser); !pod.SecurityContext.RunAsNonRoot ||
		!strings.Contains(blocks(t, "docs/docker.md", "dockerfile")[0], "USER "+user+":") {
		t.Errorf("the pod runs as %+v, and the image as another user", pod.SecurityContext)
	}

	var service struct {
		Selector map[string]string
		Ports    []struct {
			Name       string
			TargetPort string `yaml:"targetPort"`
		}
	}
	spec("Service shop", &service)
	if service.Ports[0].TargetPort != c.Ports[0].Name || objects["Service shop"].Metadata.Annotations["haproxy.org/cookie-persistence"] == "" {
		t.Errorf("the Service sends to %q, or has no affinity", service.Ports[0].TargetPort)
	}

	var ingress struct {
		TLS   []struct{ Hosts []string }
		Rules []struct {
			Host string
			HTTP struct {
				Paths []struct {
					Path    string
					Backend struct {
						Service struct {
							Name string
							Port struct{ Name string }
						}
					}
				}
			}
		}
	}
	spec("Ingress shop", &ingress)
	rule := ingress.Rules[0]
	if b := rule.HTTP.Paths[0].Backend.Service; b.Name != "shop" || b.Port.Name != service.Ports[0].Name || rule.Host != ingress.TLS[0].Hosts[0] {
		t.Errorf("the Ingress of %s sends to %+v", rule.Host, b)
	}
	timeout, err := time.ParseDuration(objects["Ingress shop"].Metadata.Annotations["haproxy.org/timeout-server"])
	if err != nil || timeout <= 45*time.Second {
		t.Errorf("the Ingress cuts quiet connections after %v, and pings take 45 s", timeout)
	}

	var budget struct{ Selector selector }
	spec("PodDisruptionBudget shop", &budget)
	type policy struct {
		PodSelector selector `yaml:"podSelector"`
		Ingress     []struct {
			From []struct {
				PodSelector selector `yaml:"podSelector"`
			}
			Ports []struct{ Port int }
		}
	}
	var ofRedis, ofShop policy
	spec("NetworkPolicy redis", &ofRedis)
	spec("NetworkPolicy shop", &ofShop)
	labels := deployment.Template.Metadata.Labels
	for name, got := range map[string]map[string]string{
		"the Deployment's selector":         deployment.Selector.MatchLabels,
		"the Service":                       service.Selector,
		"the PodDisruptionBudget":           budget.Selector.MatchLabels,
		"the policy of the app":             ofShop.PodSelector.MatchLabels,
		"the policy of Redis, as a client,": ofRedis.Ingress[0].From[0].PodSelector.MatchLabels,
	} {
		if !maps.Equal(got, labels) {
			t.Errorf("%s selects %v, and the pods have %v", name, got, labels)
		}
	}
	if ofRedis.Ingress[0].Ports[0].Port != 6379 || strconv.Itoa(ofShop.Ingress[0].Ports[0].Port) != port {
		t.Errorf("the policies open %d and %d", ofRedis.Ingress[0].Ports[0].Port, ofShop.Ingress[0].Ports[0].Port)
	}
}
