package clients_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// place is where clients run.
type place struct {
	versions []string // as Options.Version; the first is the one of a short run
	row      func(version string) string
	cannot   map[string]string // why the client cannot use a transport, by its name
	visit    func(t *testing.T, s *site, version string) visitor
}

// packages are the npm packages of the official client by version.
var packages = map[string]string{"4.8": "socket.io-client", "4.4": "socket.io-client-44", "4.0": "socket.io-client-40"}

// places starts all drivers.
func places(t *testing.T) []place {
	node := nodetest.Start(t)
	browser := node.Browser(t)
	python := nodetest.StartPython(t)
	golang := startGo(t)

	official := []string{"4.8", "4.4", "4.0"}
	pythons, gos := python.Versions(t), golang.Versions(t)
	library := map[string]string{"sync": "requests", "asyncio": "aiohttp"}
	const goClient = "github.com/zishang520/socket.io/clients/socket/v3"
	return []place{{
		versions: official,
		row: func(version string) string {
			return "Node " + major(node.Versions(t)["node"]) + ": socket.io-client " + npmVersion(t, packages[version])
		},
		visit: func(t *testing.T, s *site, version string) visitor {
			return newHeaderVisitor(t, s, node.Driver, version)
		},
	}, {
		versions: official,
		row: func(version string) string {
			return "Chromium " + major(browser.Version) + ": socket.io-client " + npmVersion(t, packages[version])
		},
		visit: func(t *testing.T, s *site, version string) visitor {
			context := browser.NewContext(nil)
			t.Cleanup(context.Close)
			return &pageVisitor{page: context.Open(s.url + "/page/" + packages[version])}
		},
	}, {
		versions: []string{"sync", "asyncio"},
		row: func(version string) string {
			return fmt.Sprintf("Python: python-socketio %s, %s (%s)", pythons["python-socketio"], version, library[version])
		},
		visit: func(t *testing.T, s *site, version string) visitor {
			v := &sessionVisitor{site: s, driver: python, version: version, session: python.NewHTTPSession(t, version)}
			v.http(t, "POST", "/visit")
			return v
		},
	}, {
		versions: []string{gos[goClient]},
		cannot: map[string]string{
			"polling": "The client sends nothing while a poll of its own is open: each event waits for the server's next " +
				"message, up to a ping interval (25 s). It does the same with Node's server.",
		},
		row: func(version string) string {
			return "Go: zishang520/socket.io " + strings.TrimPrefix(version, "v")
		},
		visit: func(t *testing.T, s *site, version string) visitor {
			return newHeaderVisitor(t, s, golang, version)
		},
	}}
}

// startGo builds and starts godriver.
func startGo(t *testing.T) *nodetest.Driver {
	program := filepath.Join(t.TempDir(), "godriver")
	if out, err := exec.Command("go", "build", "-o", program, "./godriver").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return nodetest.StartDriver(t, "go", exec.Command(program))
}

// npmVersion returns the installed version of an npm package.
func npmVersion(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(nodetest.Dir(t), "node_modules", name, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ Version string }
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	return p.Version
}

func major(version string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	return first
}

// bundle serves the browser's build of an npm package of the official client.
func bundle(c *fiber.Ctx) error {
	for _, name := range packages {
		if name == c.Params("package") {
			return c.SendFile(filepath.Join("..", "nodetest", "node_modules", name, "dist", "socket.io.js"))
		}
	}
	return fiber.ErrNotFound
}

// headerVisitor is a program that sends its cookie as a header that it sets.
type headerVisitor struct {
	site    *site
	driver  *nodetest.Driver
	version string
	client  *http.Client
}

func newHeaderVisitor(t *testing.T, s *site, d *nodetest.Driver, version string) *headerVisitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &headerVisitor{site: s, driver: d, version: version, client: &http.Client{Jar: jar, Transport: &http.Transport{}}}
	t.Cleanup(v.client.CloseIdleConnections)
	v.http(t, "POST", "/visit")
	return v
}

func (v *headerVisitor) dial(t *testing.T, o nodetest.Options) *nodetest.Client {
	o.Version, o.Cookie = v.version, v.cookie(t)
	return v.driver.Dial(t, v.site.url, o)
}

func (v *headerVisitor) http(t *testing.T, method, path string) string {
	t.Helper()
	request, err := http.NewRequest(method, v.site.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := v.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: status %d, %v", method, path, response.StatusCode, err)
	}
	return string(body)
}

func (v *headerVisitor) cookie(t testing.TB) string {
	u, err := url.Parse(v.site.url)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range v.client.Jar.Cookies(u) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

func (v *headerVisitor) renewed(t *testing.T, c *nodetest.Client) { c.SetHeader("Cookie", v.cookie(t)) }

// pageVisitor is a page in a browser.
type pageVisitor struct{ page *nodetest.Page }

func (v *pageVisitor) dial(t *testing.T, o nodetest.Options) *nodetest.Client {
	return v.page.In(t).Dial("/", o)
}

func (v *pageVisitor) http(t *testing.T, method, path string) string {
	t.Helper()
	var got struct {
		Status int
		Body   string
	}
	v.page.In(t).Eval(`
		const response = await fetch(arg.path, { method: arg.method });
		return { status: response.status, body: await response.text() };`,
		map[string]string{"method": method, "path": path}, &got)
	if got.Status != http.StatusOK {
		t.Fatalf("%s %s: status %d", method, path, got.Status)
	}
	return got.Body
}

func (v *pageVisitor) renewed(*testing.T, *nodetest.Client) {}

// sessionVisitor is a Python program whose HTTP library and sockets share a cookie jar.
type sessionVisitor struct {
	site    *site
	driver  *nodetest.Driver
	version string
	session *nodetest.HTTPSession
}

func (v *sessionVisitor) dial(t *testing.T, o nodetest.Options) *nodetest.Client {
	o.Version, o.Session = v.version, v.session
	return v.driver.Dial(t, v.site.url, o)
}

func (v *sessionVisitor) http(t *testing.T, method, path string) string {
	t.Helper()
	response := v.session.Fetch(t, method, v.site.url+path)
	if response.Status != http.StatusOK {
		t.Fatalf("%s %s: status %d", method, path, response.Status)
	}
	return string(response.Body)
}

func (v *sessionVisitor) renewed(*testing.T, *nodetest.Client) {}
