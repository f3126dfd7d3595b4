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

// The addresses in the two files, in whose place those of a setup are put.
const confFront = "127.0.0.1:3000"

var confNodes = []string{"127.0.0.1:3001", "127.0.0.1:3002", "127.0.0.1:3003"}

// proxyProgram is a proxy that can stand in front.
type proxyProgram struct {
	name, file string
	conf       *string
	check, run func(dir, file string) []string // arguments
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

// findProxy returns the proxy of that name, or with "" the first that is installed,
// and where it is; no path when there is none.
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

// findProgram looks where servers are installed, too, which is not in everybody's PATH.
func findProgram(name string) string {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

// prepare writes the proxy's file for a setup's addresses into dir, and has the
// program check it. It returns the file's path.
func (p proxyProgram) prepare(program, dir, front string, nodes []string) (string, error) {
	pairs := []string{confFront, front}
	for i, node := range nodes {
		pairs = append(pairs, confNodes[i], node)
	}
	file := filepath.Join(dir, p.file)
	if err := os.WriteFile(file, []byte(strings.NewReplacer(pairs...).Replace(*p.conf)), 0o644); err != nil {
		return "", err
	}
	if out, err := exec.Command(program, p.check(dir, file)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s refuses its configuration: %w\n%s", p.name, err, out)
	}
	return file, nil
}
