package redis_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/storage"
	"github.com/fiberbridge/fiberbridge/storage/redis"
	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// socketPath returns a path that is short enough for the address of a Unix socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "r")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "redis socket")
}

func TestSuiteOnUnixSocket(t *testing.T) {
	path := socketPath(t)
	redistest.Start(t, "--unixsocket", path)
	storagetest.Run(t, opener("unix://"+(&url.URL{Path: path}).EscapedPath()+"?db=1", "app:"))
}

// A user, a password and a database apply on a Unix socket too.
func TestUnixSocketWithUser(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	server := redistest.Start(t, "--unixsocket", path)
	const password = "p@ss/w#rd?:%"
	server.Do("acl", "setuser", "shop", "on", ">"+password, "~shop:*", "&shop:*", "+@all")
	server.Do("acl", "setuser", "default", "off")
	socket := (&url.URL{Path: path}).EscapedPath()

	s := open(t, "unix://shop:"+url.PathEscape(password)+"@"+socket+"?db=1&prefix=shop:")
	if err := s.Set("k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	client := s.(*redis.Storage).Conn()
	if user := client.Do(t.Context(), "acl", "whoami").Val(); user != "shop" {
		t.Errorf("the user is %v, want shop", user)
	}
	info := fmt.Sprint(client.Do(t.Context(), "client", "info").Val())
	if !strings.Contains(info, "db=1") || !strings.Contains(info, path) {
		t.Errorf("the connection is %q, want database 1 over %s", info, path)
	}

	for name, wrong := range map[string]string{
		"no user":        "unix://" + socket,
		"wrong password": "unix://shop:" + secret + "@" + socket,
		"no socket":      "unix://shop:" + secret + "@" + socket + ".none",
	} {
		_, err := storage.Open(wrong)
		if !errors.Is(err, storage.ErrUnavailable) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error %v, want ErrUnavailable without the password", name, err)
		}
	}
	if _, err := storage.Open("unix://shop:" + password + "@" + socket); !errors.Is(err, storage.ErrBadURL) || strings.Contains(err.Error(), "w#rd") {
		t.Errorf("password not encoded: error %v, want ErrBadURL without the password", err)
	}
}
