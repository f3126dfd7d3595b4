package adminui_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adminui"
)

// TestN8_AdminUIShowsNoSecrets collects all that a page gets while clients with secrets in
// their cookies, headers, query, auth, session, data and events connect, talk and leave.
func TestN8_AdminUIShowsNoSecrets(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	site := newSite(t, options{admin: adminui.Config{Insecure: true, Arguments: []string{"listed"}}})
	cookie, _ := sessionOf(t, site, "boss") // its user and session have rooms of the bridge
	value := cookie[strings.Index(cookie, "=")+1:]
	admin := connect(t, n, site.url, nil)
	admin.MustNext("config")
	user := n.Connect(t, site.url, nodetest.Options{
		Cookie: cookie, Header: map[string]string{"Authorization": "Bearer SECRET", "X-Api-Key": "SECRET"},
		Auth: map[string]any{"token": "SECRET"}, Query: map[string]string{"token": "SECRET"},
	})
	user.MustNext("ready")
	id, engine := user.State().ID, user.State().Engine
	user.Emit("chat", "SECRET", map[string]any{"password": "SECRET"})
	user.Emit("unhandled", "SECRET", []byte("SECRET"))
	user.Emit("fiberbridge:cookie", "SECRET")
	user.Emit("listed", "shown", strings.Repeat("SECRET", 1000))
	args := make([]any, 40)
	user.Emit("many", args...)
	user.MustCall("chat")
	connectedAt := admin.MustNext("socket_connected")
	seen := connectedAt.String()
	wants := map[string]string{
		"chat":               `["chat","[hidden]","[hidden]"]`,
		"unhandled":          `["unhandled","[hidden]","[hidden]"]`,
		"fiberbridge:cookie": `["fiberbridge:cookie","[hidden]"]`,
		"listed":             `["listed","shown","[6002 bytes]"]`,
		"many":               `["many",` + strings.Repeat(`"[hidden]",`, 16) + `"[24 more]"]`,
	}
	for range 6 {
		got := admin.MustNext("event_received")
		seen += got.String()
		for event, want := range wants {
			if strings.HasPrefix(string(got[2]), `["`+event+`"`) {
				if string(got[2]) != want {
					t.Errorf("an event is shown as %s, want %s", got[2], want)
				}
				delete(wants, event)
			}
		}
	}
	if len(wants) > 0 {
		t.Errorf("these events are not shown: %v", wants)
	}
	user.Close()
	for {
		got := admin.MustNext("socket_disconnected")
		seen += got.String()
		if strings.Contains(got.String(), id) {
			break
		}
	}
	late := connect(t, n, site.url, nil)
	seen += late.MustNext("all_sockets").String() + late.MustNext("server_stats").String()
	for _, event := range []string{"event_sent", "room_joined", "room_left", "socket_updated", "server_stats"} {
		for admin.Waiting(event) > 0 {
			seen += admin.MustNext(event).String()
		}
	}
	for _, secret := range []string{"SECRET", value, "fiberbridge:user", "fiberbridge:session", "authorization", `"cookie"`, engine} {
		if strings.Contains(seen, secret) {
			t.Errorf("the page gets %q: %s", secret, seen)
		}
	}
	if strings.Contains(seen, `"/admin"`) {
		t.Errorf("the admin namespace is shown: %s", seen)
	}
}

// TestN8_AdminUIBounds: above the limits, a page gets a part of the sockets and of the events,
// and the server tells so.
func TestN8_AdminUIBounds(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	site := newSite(t, options{admin: adminui.Config{Insecure: true}, bridge: unlimited(), bare: true})
	const sockets, events = 1100, 2000
	leave := join(t, site.io, sockets)
	began := time.Now()
	admin := connect(t, n, site.url, nil)
	if got := bind[[]socket](t, admin.MustNext("all_sockets")); len(got) != 1000 {
		t.Errorf("the page gets %d sockets, want 1000", len(got))
	}
	talker := n.Connect(t, site.url, nodetest.Options{})
	talker.MustNext("ready")
	leave() // the page gets those that were hidden
	until(t, admin, "socket_connected", func(s socket) bool { return s.ID == talker.State().ID })
	for i := range events {
		talker.Emit("chat", i)
	}
	talker.MustCall("chat")
	for !site.log.Has("notice=admin_events_dropped") {
		admin.MustNext("server_stats")
	}
	got := admin.Waiting("event_received") + admin.Waiting("event_sent")
	if most := 200 + int(100*time.Since(began).Seconds()); got > most { // 100 a second, after a burst of 200
		t.Errorf("the page got %d of %d events, want at most %d", got, 2*events, most)
	}
	if !site.log.Has("notice=admin_sockets_hidden") {
		t.Error("the log does not tell that sockets are hidden")
	}
	if n := site.ui.Stats().Notices["admin_events_dropped"]; n == 0 {
		t.Error(fmt.Sprint("dropped events are not counted: ", site.ui.Stats()))
	}
}
