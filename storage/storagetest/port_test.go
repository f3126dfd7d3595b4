package storagetest_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/fiberbridge/fiberbridge/storage/storagetest"
)

// A port that was given stays with the test: before its server listens, while it does,
// and after it has ended.
func TestFreePort(t *testing.T) {
	t.Parallel()
	port := storagetest.FreePort(t)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	others := func(when string) {
		t.Helper()
		for range 10_000 { // as many as Linux chooses among, or more
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			got := l.Addr().(*net.TCPAddr).Port
			_ = l.Close()
			if got == port {
				t.Fatalf("somebody else is given the port %s", when)
			}
		}
	}
	others("before its server listens")
	for range 2 { // a server that is started again
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		others("after its server has ended")
	}
	if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the port answers %v, %v, and nobody listens", c, err)
	}
}
