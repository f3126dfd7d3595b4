package adminui_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/internal/redistest"
	"github.com/fiberbridge/fiberbridge/socketbridge/adminui"
)

// TestN8_AdminUIProtocol plays the same scene with the instrument() of the npm package and
// with Instrument, and compares the events that a page gets: their names, the number of their
// arguments, and the keys and types in them.
func TestN8_AdminUIProtocol(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t).URL() // first, so that it ends after Node, whose timers publish until then
	n := nodetest.StartAlone(t)
	site := newSite(t, options{admin: adminui.Config{PasswordHash: hashed(t), Arguments: []string{"*"}}})
	reference := n.Cluster(t, nodetest.ClusterOptions{Redis: redis})
	reference.Run(t, "/", instrument+`io.of("/").on("connection", (s) => { s.emit("ready"); s.on("chat", (a, b, ack) => { s.emit("reply", "an answer"); ack("ok"); }) })`, nil, hashed(t), "reference", false)

	want, got := shapes(t, n, reference.URL), shapes(t, n, site.url)
	for event, shape := range want {
		if got[event] != shape {
			t.Errorf("%s has another shape:\nreference %s\nadminui   %s", event, shape, got[event])
		}
	}
	for event := range got {
		if want[event] == "" {
			t.Errorf("the reference does not send %s", event)
		}
	}
}

// instrument is a script for a server on Node, with the arguments hash, serverId and readonly.
const instrument = `
	const { instrument } = await import("@socket.io/admin-ui");
	const [password, serverId, readonly] = args;
	instrument(io, { auth: { type: "basic", username: "admin", password }, serverId, readonly, mode: "development" });
	`

// shapes plays a scene and returns the shape of each event that a page gets.
func shapes(t *testing.T, n *nodetest.Node, url string) map[string]string {
	t.Helper()
	first := n.Connect(t, url, nodetest.Options{Auth: map[string]any{"rooms": []string{"lobby"}}})
	first.MustNext("ready")
	admin := connect(t, n, url, withPassword)
	all := map[string]string{}
	keep := func(event string, args nodetest.Args) { all[event] = shapeOf(t, event, args) }
	for _, event := range []string{"session", "config", "all_sockets"} {
		keep(event, admin.MustNext(event))
	}
	keep("server_stats", admin.MustNext("server_stats"))

	second := n.Connect(t, url, nodetest.Options{})
	id := second.State().ID
	for {
		args := admin.MustNext("socket_connected")
		if bind[socket](t, args).ID == id {
			keep("socket_connected", args)
			break
		}
	}
	second.MustCall("chat", "hello", map[string]any{"a": 1})
	next := func(event string, fits func([]string) bool) {
		t.Helper()
		for {
			if args := admin.MustNext(event); fits(texts(args)) {
				keep(event, args)
				return
			}
		}
	}
	ofSecond := func(args []string) bool { return slices.Contains(args, id) }
	next("event_received", ofSecond)
	next("event_sent", ofSecond)
	inRed := func(args []string) bool { return ofSecond(args) && slices.Contains(args, "red") }
	admin.Emit("join", "/", "red", id)
	next("room_joined", inRed)
	admin.Emit("leave", "/", "red", id)
	next("room_left", inRed)
	admin.Emit("emit", "/", id, "hello", 1, "two")
	if got := second.MustNext("hello").String(); got != `[1,"two"]` {
		t.Errorf("emit sent %s", got)
	}
	admin.Emit("_disconnect", "/", false, id)
	next("socket_disconnected", ofSecond)
	if got := second.MustNext(nodetest.Disconnected).String(); !strings.Contains(got, "io server disconnect") {
		t.Errorf("the socket was disconnected with %s", got)
	}
	return all
}

// open are the objects whose keys depend on the client or on chance.
var open = map[string]bool{"data": true, "headers": true, "query": true, "aggregatedEvents": true}

// shapeOf returns the keys and types of the arguments.
func shapeOf(t *testing.T, event string, args nodetest.Args) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(args.String()), &v); err != nil {
		t.Fatal(err)
	}
	if event == "all_sockets" {
		v = v.([]any)[0].([]any)[:1] // one is as good as many
	}
	return shape(v)
}

func shape(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var keys []string
		for key, value := range v {
			text := shape(value)
			if open[key] {
				text = fmt.Sprintf("%T", value)
			}
			keys = append(keys, key+":"+text)
		}
		sort.Strings(keys)
		return "{" + strings.Join(keys, " ") + "}"
	case []any:
		kinds := []string{}
		for _, e := range v {
			if text := shape(e); !slices.Contains(kinds, text) {
				kinds = append(kinds, text)
			}
		}
		return "[" + strings.Join(kinds, " ") + "]"
	}
	return fmt.Sprintf("%T", v)
}
