package redistest_test

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/redistest"
)

// The port stays reserved before its server listens and after the server has ended.
func TestFreePort(t *testing.T) {
	t.Parallel()
	port := redistest.FreePort(t)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	checkReserved := func(when string) {
		t.Helper()
		for range 10_000 { // at least as many ports as Linux chooses among
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			got := l.Addr().(*net.TCPAddr).Port
			_ = l.Close()
			if got == port {
				t.Fatalf("another listener got the port %s", when)
			}
		}
	}
	checkReserved("before its server listens")
	for range 2 { // the server restarts
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		checkReserved("after its server has ended")
	}
	if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial = %v, %v with no listener, want ECONNREFUSED", c, err)
	}
}
