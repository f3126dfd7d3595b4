package dropin_test

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/session"

	"github.com/fiberbridge/fiberbridge/fibersession"
)

// Config has all fields of Fiber's session.Config, and a Store has them too. Session and Store
// have all methods of Fiber's types, with the same signatures.
func TestF1_Surface(t *testing.T) {
	t.Parallel()
	for _, ours := range []reflect.Type{reflect.TypeFor[fibersession.Config](), reflect.TypeFor[fibersession.Store]()} {
		for _, f := range reflect.VisibleFields(reflect.TypeFor[session.Config]()) {
			if !f.IsExported() {
				continue
			}
			g, ok := ours.FieldByName(f.Name)
			if !ok || g.Type != f.Type || g.Anonymous {
				t.Errorf("%v.%s: got type %v, want %v", ours, f.Name, g.Type, f.Type)
			}
			if m, ok := reflect.PointerTo(ours).MethodByName(f.Name); ok {
				t.Errorf("%v.%s is a method, %v: it hides the field", ours, m.Name, m.Type)
			}
		}
	}
	signature := func(m reflect.Method) string {
		var s []string
		for i := 1; i < m.Type.NumIn(); i++ {
			s = append(s, m.Type.In(i).String())
		}
		s = append(s, "->")
		for i := range m.Type.NumOut() {
			s = append(s, strings.ReplaceAll(m.Type.Out(i).String(), "fibersession.", "session."))
		}
		return strings.Join(s, " ")
	}
	for theirs, ours := range map[reflect.Type]reflect.Type{
		reflect.TypeFor[*session.Session](): reflect.TypeFor[*fibersession.Session](),
		reflect.TypeFor[*session.Store]():   reflect.TypeFor[*fibersession.Store](),
	} {
		for i := range theirs.NumMethod() {
			m := theirs.Method(i)
			n, ok := ours.MethodByName(m.Name)
			if !ok || signature(m) != signature(n) {
				t.Errorf("%v.%s: found %t, want the signature %s", ours, m.Name, ok, signature(m))
			}
		}
	}
	_ = []fibersession.Source{fibersession.SourceCookie, fibersession.SourceHeader, fibersession.SourceURLQuery}
	if got, want := fibersession.ConfigDefault.Expiration, session.ConfigDefault.Expiration; got != want {
		t.Errorf("the default of Expiration: got %v, want Fiber's %v", got, want)
	}
}

// A Store can be written as a literal.
func TestF1_StoreLiteral(t *testing.T) {
	t.Parallel()
	store := fibersession.Store{Config: fibersession.Config{Expiration: time.Hour, KeyLookup: "cookie:sid"}}
	t.Cleanup(func() { must(t, store.Close()) })
	app := fiber.New()
	app.Get("/", func(c *fiber.Ctx) error {
		sess, err := store.Get(c)
		if err != nil {
			return err
		}
		sess.Set("n", 1)
		return sess.Save()
	})
	res, err := app.Test(httptest.NewRequest("GET", "/", nil), -1)
	must(t, err)
	if res.StatusCode != 200 || len(res.Cookies()) != 1 || res.Cookies()[0].Name != "sid" {
		t.Errorf("got %s with the cookies %v, want 200 and the cookie sid", res.Status, res.Cookies())
	}
	if store.Expiration != time.Hour {
		t.Errorf("got the expiration %v, want an hour", store.Expiration)
	}
}
