package main

import (
	"context"
	"net"
	"testing"
)

// A signal can come before the apps have begun to serve.
func TestServe_EndsBeforeItHasBegun(t *testing.T) {
	t.Parallel()
	for range 20 {
		var ls []net.Listener
		for range 2 {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ls = append(ls, ln)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := serve(ctx, ls[0], ls[1]); err != nil {
			t.Fatal(err)
		}
	}
}
