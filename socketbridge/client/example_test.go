package client_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/client"
)

// socketbridge serves the script itself. Another server would serve it like this.
func Example() {
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache") // cached, but revalidated with the ETag
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
