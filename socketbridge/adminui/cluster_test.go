package adminui_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adminui"
)

// TestN8_AdminUICluster runs two nodes on Go and a server on Node with the package's
// instrument() in one cluster. A page sees all three, their sockets and what happens to them,
// whichever it is connected to, and its commands reach the sockets of the others.
func TestN8_AdminUICluster(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t).URL() // first, so that it ends after Node, whose timers publish until then
	n := nodetest.StartAlone(t)
	config := func(id string) adminui.Config {
		return adminui.Config{PasswordHash: hashed(t), ServerID: id, Arguments: []string{"chat"}}
	}
	one := newSite(t, options{storage: redis, admin: config("go-1")})
	two := newSite(t, options{storage: redis, admin: config("go-2")})
	node := n.Cluster(t, nodetest.ClusterOptions{Redis: redis})
	node.Run(t, "/", instrument, nil, hashed(t), "node-1", false)

	urls := map[string]string{"go-1": one.url, "go-2": two.url, "node-1": node.URL}
	names := []string{"go-1", "go-2", "node-1"}
	clients := map[string]*nodetest.Client{}
	ids := map[string]string{}
	for _, name := range names {
		clients[name] = n.Connect(t, urls[name], nodetest.Options{Cookie: "session_of_somebody=SECRET", Auth: map[string]any{"rooms": []string{"at " + name}, "token": "SECRET"}})
		clients[name].MustNext("ready")
		ids[name] = clients[name].State().ID
	}

	for _, at := range names {
		admin := connect(t, n, urls[at], withPassword)
		args := admin.MustNext("all_sockets")
		if at != "node-1" && strings.Contains(strings.ReplaceAll(args.String(), "session_of_somebody", ""), "SECRET") {
			t.Errorf("%s sends a secret: %s", at, args)
		}
		all := bind[[]socket](t, args)
		for _, name := range names {
			i := slices.IndexFunc(all, func(s socket) bool { return s.ID == ids[name] })
			switch {
			case i < 0:
				t.Errorf("the page at %s does not see the socket at %s: %s", at, name, args)
			case all[i].Transport == "" || all[i].ClientID == "" || !slices.Contains(all[i].Rooms, "at "+name):
				t.Errorf("the page at %s sees the socket at %s as %+v", at, name, all[i])
			case strings.HasPrefix(name, "go-") && (all[i].Handshake.Headers["cookie"] != "" || len(all[i].Data) != 1):
				t.Errorf("the page at %s sees secrets of the socket at %s: %+v", at, name, all[i])
			}
		}
		if len(all) != len(slices.CompactFunc(slices.SortedFunc(slices.Values(all), func(a, b socket) int { return strings.Compare(a.Nsp+a.ID, b.Nsp+b.ID) }), func(a, b socket) bool { return a.Nsp == b.Nsp && a.ID == b.ID })) {
			t.Errorf("the page at %s sees sockets twice: %s", at, args)
		}

		missing := slices.Clone(names)
		until(t, admin, "server_stats", func(s struct {
			ServerID string `json:"serverId"`
		}) bool {
			missing = slices.DeleteFunc(missing, func(name string) bool { return name == s.ServerID })
			return len(missing) == 0
		})
		for _, name := range names {
			room := at + " for " + name
			admin.Emit("join", "/", room, ids[name])
			for {
				if got := texts(admin.MustNext("room_joined")); slices.Contains(got, room) && slices.Contains(got, ids[name]) {
					break
				}
			}
			late := n.Connect(t, urls[name], nodetest.Options{})
			late.MustNext("ready")
			id := late.State().ID
			until(t, admin, "socket_connected", func(s socket) bool { return s.ID == id })
			late.Emit("chat", "hello from "+room)
			for {
				if got := admin.MustNext("event_received").String(); strings.Contains(got, "hello from "+room) {
					break
				}
			}
			late.Close()
			for {
				if got := texts(admin.MustNext("socket_disconnected")); slices.Contains(got, id) {
					break
				}
			}
		}
		admin.Close()
	}
}
