package client_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/client"
)

// The bridge serves the script by itself; this is how another server would.
func Example() {
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache") // kept, and asked about again
		w.Header().Set("ETag", client.ETag)
		http.ServeContent(w, r, "fiberbridge.mjs", time.Time{}, bytes.NewReader(client.Script))
	}

	first := httptest.NewRecorder()
	serve(first, httptest.NewRequest(http.MethodGet, "/fiberbridge.mjs", nil))
	again := httptest.NewRequest(http.MethodGet, "/fiberbridge.mjs", nil)
	again.Header.Set("If-None-Match", first.Header().Get("ETag"))
	second := httptest.NewRecorder()
	serve(second, again)
	fmt.Println(first.Code, second.Code)
	// Output: 200 304
}
