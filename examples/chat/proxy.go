package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var (
	//go:embed nginx.conf
	nginxConf string
	//go:embed haproxy.cfg
	haproxyCfg string
)

// The addresses in the two configuration files. writeConfig replaces them.
const confProxyAddr = "127.0.0.1:3000"

var confNodeAddrs = []string{"127.0.0.1:3001", "127.0.0.1:3002", "127.0.0.1:3003"}

// proxyProgram describes a supported proxy.
type proxyProgram struct {
	name, file string
	conf       *string
	check, run func(dir, file string) []string // the program's arguments
}

var proxyPrograms = []proxyProgram{
	{
		name: "nginx", file: "nginx.conf", conf: &nginxConf,
		check: func(dir, file string) []string { return []string{"-p", dir, "-c", file, "-e", "stderr", "-t", "-q"} },
		run: func(dir, file string) []string {
			return []string{"-p", dir, "-c", file, "-e", "stderr", "-g", "daemon off;"}
		},
	},
	{
		name: "haproxy", file: "haproxy.cfg", conf: &haproxyCfg,
		check: func(_, file string) []string { return []string{"-c", "-q", "-f", file} },
		run:   func(_, file string) []string { return []string{"-db", "-f", file} },
	},
}

// findProxy returns the proxy with that name and the path of its program. For "", it returns
// the first one that is installed. The path is "" if none is.
func findProxy(name string) (p proxyProgram, path string) {
	for _, p := range proxyPrograms {
		if name != "" && name != p.name {
			continue
		}
		if path := findProgram(p.name); path != "" {
			return p, path
		}
	}
	return proxyProgram{name: name}, ""
}

// findProgram returns the path of a program, or "". It also looks in the sbin folders, which
// are often not in a user's PATH.
func findProgram(name string) string {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

// writeConfig writes the proxy's configuration into dir, with the given addresses, and lets
// the program check it. It returns the file's path.
func (p proxyProgram) writeConfig(program, dir, addr string, nodes []string) (string, error) {
	pairs := []string{confProxyAddr, addr}
	for i, node := range nodes {
		pairs = append(pairs, confNodeAddrs[i], node)
	}
	file := filepath.Join(dir, p.file)
	if err := os.WriteFile(file, []byte(strings.NewReplacer(pairs...).Replace(*p.conf)), 0o644); err != nil {
		return "", err
	}
	if out, err := exec.Command(program, p.check(dir, file)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s rejects its configuration: %w\n%s", p.name, err, out)
	}
	return file, nil
}
