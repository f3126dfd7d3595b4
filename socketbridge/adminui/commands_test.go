package adminui_test

import (
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adminui"
)

// TestN8_AdminUIReadOnly: the server refuses commands, also those of a page that sends them
// nevertheless.
func TestN8_AdminUIReadOnly(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	site := newSite(t, options{admin: adminui.Config{Insecure: true, ReadOnly: true}})
	user := n.Connect(t, site.url, nodetest.Options{})
	user.MustNext("ready")
	admin := connect(t, n, site.url, nil)
	if got := admin.MustNext("config").String(); got != `[{"supportedFeatures":["AGGREGATED_EVENTS","ALL_EVENTS"]}]` {
		t.Errorf("config is %s", got)
	}
	id := user.State().ID
	for _, command := range [][]any{{"emit", "/", id, "hello"}, {"join", "/", "red", id}, {"leave", "/", id, id}, {"_disconnect", "/", true, id}} {
		if got := admin.MustCall(command[0], command[1:]...).String(); !strings.Contains(got, "read_only") {
			t.Errorf("%v is answered with %s", command, got)
		}
	}
	user.MustCall("chat") // it is connected, and everything sent before it has arrived
	if rooms := site.io.Of("/").Socket(id).Rooms(); len(rooms) != 1 || user.Waiting("hello") != 0 {
		t.Errorf("a command was carried out: rooms %q", rooms)
	}
	if !site.log.Has("notice=admin_command_refused") {
		t.Error("the log does not tell that commands were refused")
	}
}

// TestN8_AdminUIHostileCommands sends malformed commands, and commands for what is none of
// the UI's business. Nothing happens, and no connection ends.
func TestN8_AdminUIHostileCommands(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	site := newSite(t, options{admin: adminui.Config{Insecure: true}})
	user := n.Connect(t, site.url, nodetest.Options{})
	user.MustNext("ready")
	id := user.State().ID
	admin, second := connect(t, n, site.url, nil), connect(t, n, site.url, nil)
	namespaces := len(site.io.Namespaces())
	for _, command := range [][]any{
		{"emit"}, {"emit", nil, nil, nil}, {"emit", "/"}, {"emit", "/", id}, {"emit", "/", id, ""}, {"emit", "/", id, 1}, {"emit", "/", id, nil},
		{"emit", "/", []string{id}, "hello"}, {"emit", "/", map[string]any{}, "hello"}, {"emit", 1, id, "hello"}, {"emit", "/", id, "connect"},
		{"emit", "/", "fiberbridge:user:x", "hello"}, {"emit", "/nowhere", "", "hello"}, {"emit", "/admin", "", "server_stats", map[string]any{}},
		{"join"}, {"join", "/"}, {"join", "/", ""}, {"join", "/", nil, id}, {"join", "/", 5, id}, {"join", "/", "fiberbridge:x", id}, {"join", "/admin", "x"},
		{"join", "/", strings.Repeat("x", 300), id}, {"join", "/new", "x"}, {"join", "/", map[string]any{"a": []any{}}},
		{"leave"}, {"leave", "/", []any{}}, {"leave", "/", "fiberbridge:x", id},
		{"_disconnect"}, {"_disconnect", "/"}, {"_disconnect", "/", "yes"}, {"_disconnect", "/", nil, id}, {"_disconnect", "/", 1}, {"_disconnect", "/admin", true},
		{"_disconnect", "/", true, "fiberbridge:x"}, {"_disconnect", "/", true, []byte("x")},
	} {
		if got := admin.MustCall(command[0], command[1:]...).String(); !strings.Contains(got, `"error"`) {
			t.Errorf("%v is answered with %s", command, got)
		}
	}
	user.MustCall("chat")
	second.MustCall("leave", "/", "a room that does not exist")
	if rooms := site.io.Of("/").Socket(id).Rooms(); len(rooms) != 1 || user.Waiting("hello") != 0 || len(site.io.Namespaces()) != namespaces {
		t.Errorf("a command was carried out: rooms %q, %d namespaces", rooms, len(site.io.Namespaces()))
	}
	for range 3 { // the events of this test would hide a repeated server_stats
		if got := second.MustNext("server_stats").String(); !strings.Contains(got, "serverId") {
			t.Fatalf("another page got %s", got)
		}
	}
}

// TestN8_AdminUIProduction: in production mode, a page gets numbers only.
func TestN8_AdminUIProduction(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	site := newSite(t, options{admin: adminui.Config{Insecure: true, Production: true}})
	admin := connect(t, n, site.url, nil)
	if got := admin.MustNext("config").String(); strings.Contains(got, "ALL_EVENTS") || !strings.Contains(got, "AGGREGATED_EVENTS") {
		t.Errorf("config is %s", got)
	}
	user := n.Connect(t, site.url, nodetest.Options{Auth: map[string]any{"rooms": []string{"lobby"}}})
	user.MustCall("chat")
	type stats struct {
		AggregatedEvents []struct {
			Type  string `json:"type"`
			Count int    `json:"count"`
		} `json:"aggregatedEvents"`
	}
	counted := map[string]int{}
	until(t, admin, "server_stats", func(s stats) bool {
		for _, e := range s.AggregatedEvents {
			counted[e.Type] += e.Count
		}
		return counted["rawConnection"] > 0 && counted["packetsIn"] >= 2 && counted["bytesOut"] > 0
	})
	user.Close()
	until(t, admin, "server_stats", func(s stats) bool {
		for _, e := range s.AggregatedEvents {
			counted[e.Type] += e.Count
		}
		return counted["rawDisconnection"] > 0
	})
	for _, event := range []string{"all_sockets", "socket_connected", "socket_updated", "socket_disconnected", "room_joined", "room_left", "event_received", "event_sent"} {
		if admin.Waiting(event) != 0 {
			t.Errorf("the page got %s", event)
		}
	}
}
