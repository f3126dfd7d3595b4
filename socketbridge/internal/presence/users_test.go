package presence_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/presence"
	"github.com/fiberbridge/fiberbridge/storage"
)

// S7: Users yields the users of all nodes, more than are read at once, each once and without those
// who have just left.
func TestS7_Users(t *testing.T) {
	t.Parallel()
	st := storage.From(&clockStorage{items: map[string]clockItem{}}).(presence.Storage)
	defer st.Close()
	r := presence.New(presence.Config{Storage: st, Prefix: prefix})
	add := func(node, user string, record bool) {
		t.Helper()
		err := errors.Join(st.AddMember(t.Context(), prefix+"nodes", node, 0), st.AddMember(t.Context(), prefix+"of:"+node, "p-"+user, 0))
		if record {
			err = errors.Join(err, st.Set(prefix+"u:p-"+user, fmt.Appendf(nil, `{"user":%q,"nodes":["x"]}`, user), 0))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	for i := range 200 {
		user := fmt.Sprintf("u%03d", i)
		want = append(want, user)
		add("a", user, true)
		if i%2 == 0 {
			add("b", user, true)
		}
	}
	add("b", "only b", true)
	add("b", "left", false)
	want = append(want, "only b")
	var got []string
	for user, err := range r.Users(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, user)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %d users: %s", len(got), strings.Join(got, " "))
	}
	for range r.Users(t.Context()) {
		break
	}
}
