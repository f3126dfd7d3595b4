package socketbridge_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startNginx starts nginx with the given content of its http{} block, in which ADDR stands for
// the address to listen on, and returns its URL. If nginx is missing, the test fails if CI is
// set, and is skipped otherwise.
func startNginx(t *testing.T, http string) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal("nginx is not installed")
			}
			t.Skip("nginx is not installed")
		}
	}
	ln := listen(t)
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "nginx") // not TempDir: nginx refuses long paths of its pid file
	if err != nil {
		t.Fatal(err)
	}
	conf := `
worker_processes 1; pid nginx.pid; error_log stderr warn;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	map $http_upgrade $connection_upgrade { "" ""; default upgrade; }
	proxy_http_version 1.1;
	proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
	proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
	` + strings.ReplaceAll(http, "ADDR", addr) + `
}`
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-p", dir, "-c", file, "-e", "stderr", "-g", "daemon off;")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }() // the cleanup waits for it
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-exited
		_ = os.RemoveAll(dir)
	})
	waitFor(t, "nginx to listen", func() bool {
		select {
		case <-exited:
			t.Fatal("nginx has exited: see its output")
		default:
		}
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			_ = nc.Close()
		}
		return err == nil
	})
	return "http://" + addr
}
