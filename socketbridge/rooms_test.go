package socketbridge

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRoomsModel runs random operations against a naive model of rooms.
func TestRoomsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const limit = 4
		var r roomIndex
		var sockets []*Socket
		model := map[*Socket]map[string]bool{} // added sockets and their rooms
		var list, copied []*Socket             // the list that a broadcast iterates, and its copy
		for i := range 5 {
			sockets = append(sockets, &Socket{id: fmt.Sprint("s", i)})
		}
		names := []string{"a", "b", "c", "d", "e", "f", "s0", "s1"}
		socket := rapid.SampledFrom(sockets)
		some := rapid.SliceOfN(rapid.SampledFrom(names), 0, 5)
		in := func(s *Socket, name string) bool { return model[s] != nil && (model[s][name] || s.id == name) }

		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				s := socket.Draw(t, "socket")
				if model[s] == nil {
					model[s] = map[string]bool{}
					r.addSocket(s)
				}
			},
			"join": func(t *rapid.T) {
				s, rooms := socket.Draw(t, "socket"), some.Draw(t, "rooms")
				err := r.join(s, rooms, limit)
				union := map[string]bool{}
				for name := range model[s] {
					union[name] = true
				}
				for _, name := range rooms {
					union[name] = true
				}
				switch {
				case model[s] == nil:
					if !errors.Is(err, ErrDisconnected) {
						t.Fatalf("join of a socket that was not added: got error %v, want ErrDisconnected", err)
					}
				case len(union) > limit:
					if !errors.Is(err, ErrTooManyRooms) {
						t.Fatalf("join over the limit: got error %v, want ErrTooManyRooms", err)
					}
				default:
					if err != nil {
						t.Fatal(err)
					}
					model[s] = union
				}
			},
			"leave": func(t *rapid.T) {
				s, rooms := socket.Draw(t, "socket"), some.Draw(t, "rooms")
				r.leave(s, rooms)
				for _, name := range rooms {
					delete(model[s], name)
				}
			},
			"leaveAll": func(t *rapid.T) {
				s := socket.Draw(t, "socket")
				r.removeSocket(s)
				delete(model, s)
			},
			"lend": func(t *rapid.T) {
				list = r.in(rapid.SampledFrom(names).Draw(t, "room"))
				copied = slices.Clone(list)
			},
			"": func(t *rapid.T) {
				if !slices.Equal(list, copied) {
					t.Fatalf("the socket list %v of a broadcast was changed, want %v", list, copied)
				}
				to, except := some.Draw(t, "to"), some.Draw(t, "except")
				var want []string
				for s := range model {
					hit := len(to) == 0 || slices.ContainsFunc(to, func(n string) bool { return in(s, n) })
					if hit && !slices.ContainsFunc(except, func(n string) bool { return in(s, n) }) {
						want = append(want, s.id)
					}
				}
				var got []string
				for _, s := range r.find(to, except) {
					got = append(got, s.id)
				}
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Fatalf("find(%v, %v) = %v, want %v", to, except, got, want)
				}
				count := len(model)
				seen := map[string]bool{}
				for _, rooms := range model {
					for name := range rooms {
						seen[name] = true
					}
				}
				if sockets, rooms := r.counts(); sockets != count || rooms != count+len(seen) {
					t.Fatalf("counts = %d, %d, want %d, %d", sockets, rooms, count, count+len(seen))
				}
			},
		})
	})
}

func TestRoomNames(t *testing.T) {
	t.Parallel()
	var r roomIndex
	s := &Socket{id: "me"}
	r.addSocket(s)
	long := string(make([]byte, maxRoomName+1))
	for _, tt := range []struct {
		name, room string
		want       error
	}{
		{"empty", "", ErrRoomName},
		{"longest", long[1:], nil},
		{"too long", long, ErrRoomName},
		{"the bridge's own", emptyRoom, ErrRoomName},
		{"not UTF-8", "\xff", ErrRoomName}, // all invalid bytes would become the same name in messages to other nodes
	} {
		if err := r.join(s, []string{tt.room}, 10); !errors.Is(err, tt.want) {
			t.Errorf("%s: got error %v, want %v", tt.name, err, tt.want)
		}
	}
	if err := r.join(s, []string{"b", "a", "b"}, 10); err != nil {
		t.Fatal(err)
	}
	if err := r.join(s, []string{"c", "d"}, 4); !errors.Is(err, ErrTooManyRooms) {
		t.Errorf("a fourth and a fifth room of 4: got error %v, want ErrTooManyRooms", err)
	}
	if _, n := r.counts(); n != 4 {
		t.Errorf("got %d rooms, want the socket's own and 3", n)
	}
	if got := r.names(s, false); !slices.Equal(got, []string{"me", long[1:], "a", "b"}) {
		t.Errorf("got names %q, want the socket's own room and then sorted ones", got)
	}
	r.leave(s, []string{"a", "b", long[1:]})
	if _, n := r.counts(); n != 1 || len(r.members) != 0 {
		t.Errorf("got %d rooms and %d entries, want the socket's own room and none", n, len(r.members))
	}
}
