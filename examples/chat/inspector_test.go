package main

import (
	"net/http/httptest"
	"testing"

	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// TestInspector_WantsThePassword: without INSPECTOR_PASSWORD there is no inspector.
func TestInspector_WantsThePassword(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		password, given string
		want            int
	}{
		"not set":            {"", "", 404},
		"without a password": {"secret", "", 401},
		"another password":   {"secret", "guess", 401},
		"the password":       {"secret", "secret", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := newServer(nodeConfig{Name: "n1", InspectorPassword: tt.password}, memory.New())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Shutdown(t.Context()) })
			req := httptest.NewRequest("GET", "/inspector/", nil)
			if tt.given != "" {
				req.SetBasicAuth("ada", tt.given)
			}
			res, err := s.app.Test(req, 10_000)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != tt.want {
				t.Errorf("status %d, want %d", res.StatusCode, tt.want)
			}
		})
	}
}
