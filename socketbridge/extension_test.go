package socketbridge_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestN8_RoomHooks: RoomChanged hooks see the rooms of all namespaces, also of later ones,
// and nothing after stop.
func TestN8_RoomHooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{})
		io.Of("/before")
		seen := make(events, 64)
		stop := io.Observe(socketbridge.Trace{RoomChanged: func(e socketbridge.RoomEvent) {
			if e.Room == "r" {
				seen.add("%s %s", e.Namespace.Name(), e.Kind)
			}
		}})
		io.Of("/after")
		var sockets []*socketbridge.Socket
		for _, name := range []string{"/before", "/after"} {
			c := join(t, io, name)
			t.Cleanup(c.leave)
			synctest.Wait()
			s := io.Of(name).Sockets()[0]
			sockets = append(sockets, s)
			if err := s.Join("r"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			seen.expect(t, name+" create-room", name+" join-room")
		}
		sockets[0].Leave("r")
		synctest.Wait()
		seen.expect(t, "/before leave-room", "/before delete-room")
		stop()
		sockets[1].Leave("r")
		synctest.Wait()
		if len(seen) > 0 {
			t.Errorf("after stop came %s", <-seen)
		}
	})
}

// TestN8_Go: Shutdown cancels the context of what Go has started, and waits for it.
func TestN8_Go(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{})
		ended := false
		if err := io.Go(func(ctx context.Context) { <-ctx.Done(); ended = true }); err != nil {
			t.Fatal(err)
		}
		if err := io.Go(func(context.Context) { panic("a panic is logged") }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := io.Shutdown(t.Context()); err != nil || !ended {
			t.Errorf("Shutdown returned %v; ended %v", err, ended)
		}
		if err := io.Go(func(context.Context) { t.Error("it runs after Shutdown") }); !errors.Is(err, socketbridge.ErrShutdown) {
			t.Errorf("Go after Shutdown returned %v", err)
		}
	})
}

// TestN8_DescribeSockets: what FetchSockets shows has the described values, the keys of the
// data, and an ID of the client that its sockets share.
func TestN8_DescribeSockets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		io := newServer(t, socketbridge.Config{})
		io.Of("/b")
		calls := 0
		io.DescribeSockets("z", func(s *socketbridge.Socket) any { calls++; return s.ClientID() })
		io.DescribeSockets("broken", func(*socketbridge.Socket) any { return func() {} })
		io.DescribeSockets("panics", func(*socketbridge.Socket) any { panic("it is logged") })
		first, second := join(t, io, "/"), join(t, io, "/b")
		t.Cleanup(first.leave)
		t.Cleanup(second.leave)
		synctest.Wait()
		s := io.Sockets()[0]
		s.Data().Set("name", "Ada")
		if calls != 0 {
			t.Error("sockets are described although none was fetched")
		}
		all, err := io.FetchSockets(t.Context())
		if err != nil || len(all) != 1 {
			t.Fatalf("FetchSockets returned %v, %v", all, err)
		}
		for _, r := range []socketbridge.RemoteSocket{all[0], s.Describe()} {
			var id string
			if err := r.Data("z", &id); err != nil || id != s.ClientID() || !slices.Equal(r.DataKeys(), []string{"name", "z"}) {
				t.Errorf("described as %q with the keys %q, error %v", id, r.DataKeys(), err)
			}
		}
		if other := io.Of("/b").Sockets()[0].ClientID(); other == s.ClientID() || len(other) != 12 {
			t.Errorf("clients have the IDs %q and %q", other, s.ClientID())
		}
		if names := io.Namespaces(); len(names) != 2 || names[0].Name() != "/" || names[1].Name() != "/b" {
			t.Errorf("Namespaces returned %v", names)
		}
		s.Disconnect()
	})
}
