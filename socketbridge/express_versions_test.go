package socketbridge_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/matrix"
	"github.com/fiberbridge/fiberbridge/internal/nodetest"
)

// N7: a login is shared with each version of connect-redis and of its client.
func TestN7_Versions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ store, client string }{
		{"connect-redis", "redis"},
		{"connect-redis", "redis-6"},
		{"connect-redis-10", "redis"},
		{"connect-redis-10", "redis-6"},
	} {
		t.Run(tt.store+" over "+tt.client, func(t *testing.T) {
			t.Parallel()
			row := nodetest.Version(t, tt.store) + ", " + nodetest.Version(t, tt.client)
			w := newExpressSite(t, func(_ *options, e *nodetest.ExpressOptions) { e.Package, e.Client = tt.store, tt.client })
			cell := func(column string, test func(t *testing.T)) {
				t.Run(column, func(t *testing.T) {
					matrix.Cell(t, "express", row, column)
					test(t)
				})
			}
			cell("values →", func(t *testing.T) {
				a := w.agent()
				a.post("/set/fiber/1")
				equal(t, "the session in Express", fmt.Sprint(w.session(a).Session["fiber"]), "1")
			})
			cell("values ←", func(t *testing.T) {
				a := w.agent()
				w.askExpress(a, "POST", "/express/set", map[string]any{"text": "é😀", "list": []any{1, nil, "x"}})
				equal(t, "the text in Fiber", a.get("/get/text"), `"é😀"`)
				equal(t, "the list in Fiber", a.get("/get/list"), `[1,null,"x"]`)
				equal(t, "the text of a socket", call(t, w.socket(a), "get", "text"), `"é😀"`)
			})
			cell("login →", func(t *testing.T) {
				a := w.agent()
				w.askExpress(a, "POST", "/express/set", map[string]any{"cart": 3})
				a.post("/login/ada")
				s := w.session(a)
				equal(t, "user in Express", fmt.Sprint(s.Session["user"]), "ada")
				equal(t, "cart in Express", fmt.Sprint(s.Session["cart"]), "3")
			})
			cell("login ←", func(t *testing.T) {
				a := w.agent()
				w.askExpress(a, "POST", "/express/login/ada")
				equal(t, "user in Fiber", a.get("/user"), "ada")
				equal(t, "user of a socket", call(t, w.socket(a), "user"), `"ada"`)
			})
			cell("logout →", func(t *testing.T) {
				a := w.agent()
				w.askExpress(a, "POST", "/express/login/ada")
				live, id := w.socket(a), rawID(t, a)
				a.post("/logout")
				live.MustNext(nodetest.Disconnected)
				if w.storedFields(id) != nil {
					t.Error("the session is still stored")
				}
				equal(t, "user in Express", fmt.Sprint(w.session(a).Session["user"]), "<nil>")
			})
			cell("logout ←", func(t *testing.T) {
				a := w.agent()
				w.askExpress(a, "POST", "/express/login/ada")
				live := w.socket(a)
				equal(t, "user before", call(t, live, "user"), `"ada"`)
				w.askExpress(a, "POST", "/express/logout")
				live.MustNext(nodetest.Disconnected)
				equal(t, "user in Fiber", a.get("/user"), "")
			})
			cell("expiry ←", func(t *testing.T) {
				a := w.agent()
				w.askExpress(a, "POST", "/express/set", map[string]any{"user": "ada"})
				w.askExpress(a, "POST", "/express/maxage/7200000")
				a.post("/set/n/1")
				fields := w.storedFields(rawID(t, a))
				var cookie struct{ OriginalMaxAge float64 } // Express computes it from the clock, some ms later
				if err := json.Unmarshal(fields["cookie"], &cookie); err != nil {
					t.Fatal(err)
				}
				if cookie.OriginalMaxAge > 7_200_000 || cookie.OriginalMaxAge < 7_140_000 || string(fields["n"]) != `"1"` {
					t.Errorf("after a write in Fiber, the session is %s, want n = 1 and the maxAge of Express", fields)
				}
				equal(t, "user in Fiber", a.get("/user"), "ada")
			})
		})
	}
}
