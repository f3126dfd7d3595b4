package socketbridge_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// apiTable is docs/socketio-api.md: for each class the cells of its rows.
type apiTable map[string][][2]string

func readAPITable(t *testing.T) apiTable {
	t.Helper()
	page, err := os.ReadFile("../docs/socketio-api.md")
	if err != nil {
		t.Fatal(err)
	}
	table, class := apiTable{}, ""
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			class = heading
		}
		cells := strings.Split(line, " | ")
		if strings.HasPrefix(line, "| ") && len(cells) == 2 && !strings.HasPrefix(line, "| Socket.IO") {
			table[class] = append(table[class], [2]string{strings.TrimPrefix(cells[0], "| "), strings.TrimSuffix(cells[1], " |")})
		}
	}
	return table
}

var quotedName = regexp.MustCompile("`([^`]+)`")

// names returns the names that the rows of a class list, those of events with "event ".
func (table apiTable) names(class string) (names []string) {
	for _, row := range table[class] {
		prefix := ""
		if strings.HasPrefix(row[0], "event ") {
			prefix = "event "
		}
		for _, m := range quotedName.FindAllStringSubmatch(row[0], -1) {
			names = append(names, prefix+m[1])
		}
	}
	return names
}

// S2: each Go name in the table exists, and each row has one or says why there is none.
func TestS2_APITableGoNames(t *testing.T) {
	t.Parallel()
	roots := map[string]reflect.Type{
		"Server": reflect.TypeFor[*socketbridge.Server](), "Namespace": reflect.TypeFor[*socketbridge.Namespace](),
		"Socket": reflect.TypeFor[*socketbridge.Socket](), "Broadcast": reflect.TypeFor[socketbridge.Broadcast](),
		"RemoteSocket": reflect.TypeFor[socketbridge.RemoteSocket](), "Packet": reflect.TypeFor[*socketbridge.Packet](),
		"Config": reflect.TypeFor[socketbridge.Config](), "Handshake": reflect.TypeFor[transport.Handshake](),
	}
	exists := func(path string) (known, ok bool) {
		parts := strings.Split(path, ".")
		at := roots[parts[0]]
		if at == nil || len(parts) == 1 {
			return false, false
		}
		for i, name := range parts[1:] {
			if _, method := at.MethodByName(name); method {
				return true, i == len(parts)-2
			}
			if at.Kind() != reflect.Struct {
				return true, false
			}
			field, found := at.FieldByName(name)
			if !found {
				return true, false
			}
			at = field.Type
		}
		return true, true
	}
	for class, rows := range readAPITable(t) {
		for _, row := range rows {
			found := strings.HasPrefix(row[1], "none: ") || strings.HasPrefix(row[1], "see the class") || strings.Contains(row[1], "package `engineio`")
			for _, m := range quotedName.FindAllStringSubmatch(row[1], -1) {
				known, ok := exists(m[1])
				if known && !ok {
					t.Errorf("%s, %s: %s does not exist", class, row[0], m[1])
				}
				found = found || known
			}
			if !found {
				t.Errorf("%s, %s: the row names no Go name and no reason", class, row[0])
			}
		}
	}
	if known, ok := exists("Socket.NoSuchMethod"); !known || ok {
		t.Error("a method that does not exist is not noticed")
	}
}

// S2: the table lists every public name of the npm packages.
func TestS2_APITable(t *testing.T) {
	t.Parallel()
	modules := filepath.Join(nodetest.Dir(t), "node_modules")
	nodetest.Start(t) // skips the test if the packages are missing
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(modules, filepath.FromSlash(path)))
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(text), "")
	}
	member := regexp.MustCompile(`(?m)^    (?:(?:readonly|static|abstract|get|set) )*([a-zA-Z]\w*)[?(<:;]`)
	// declared returns the public names of a class or an interface.
	declared := func(path, kind, name string) (names []string) {
		t.Helper()
		text := read(path)
		start := regexp.MustCompile(kind + ` ` + name + `\b`).FindStringIndex(text)
		if start == nil {
			t.Fatalf("%s declares no %s %s", path, kind, name)
		}
		body, _, _ := strings.Cut(text[start[0]:], "\n}")
		for _, m := range member.FindAllStringSubmatch(body, -1) {
			if m[1] != "constructor" {
				names = append(names, m[1])
			}
		}
		return names
	}
	// emitted returns the events that a script emits on this.
	emitted := func(path string) (events []string) {
		for _, m := range regexp.MustCompile(`\bthis\.emit\("(\w+)"`).FindAllStringSubmatch(read(path), -1) {
			events = append(events, "event "+m[1])
		}
		return events
	}
	asEvents := func(names []string) []string {
		for i, name := range names {
			names[i] = "event " + name
		}
		return names
	}
	// Node's own class, of which there is no declaration in these packages.
	emitter := []string{"addListener", "eventNames", "getMaxListeners", "listenerCount", "off", "prependListener", "prependOnceListener",
		"rawListeners", "removeAllListeners", "removeListener", "setMaxListeners"}
	server, ns := "socket.io/dist/index.d.ts", "socket.io/dist/namespace.d.ts"
	connection := asEvents(declared(ns, "interface", "NamespaceReservedEventsMap"))
	table := readAPITable(t)
	for class, want := range map[string][]string{
		"Server":             slices.Concat(declared(server, "class", "Server"), connection, asEvents(declared(ns, "interface", "ServerReservedEventsMap"))),
		"Namespace":          slices.Concat(declared(ns, "class", "Namespace"), connection),
		"ParentNamespace":    declared("socket.io/dist/parent-namespace.d.ts", "class", "ParentNamespace"),
		"Socket":             slices.Concat(declared("socket.io/dist/socket.d.ts", "class", "Socket"), asEvents(declared("socket.io/dist/socket-types.d.ts", "interface", "SocketReservedEventsMap"))),
		"BroadcastOperator":  declared("socket.io/dist/broadcast-operator.d.ts", "class", "BroadcastOperator"),
		"RemoteSocket":       declared("socket.io/dist/broadcast-operator.d.ts", "class", "RemoteSocket"),
		"StrictEventEmitter": slices.Concat(declared("socket.io/dist/typed-events.d.ts", "class", "StrictEventEmitter"), emitter, asEvents(declared("socket.io/dist/socket-types.d.ts", "interface", "EventEmitterReservedEventsMap"))),
		"Engine": slices.Concat(declared("engine.io/build/server.d.ts", "class", "BaseServer"), declared("engine.io/build/server.d.ts", "class", "Server"),
			emitted("engine.io/build/server.js"), []string{"event drain", "event flush"}), // the last two by the socket
		"EngineSocket": slices.Concat(declared("engine.io/build/socket.d.ts", "class", "Socket"), emitted("engine.io/build/socket.js")),
	} {
		slices.Sort(want)
		want = slices.Compact(want)
		got := table.names(class)
		slices.Sort(got)
		if len(want) < 2 {
			t.Errorf("%s: only %q are declared", class, want)
		}
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("%s: the table misses %s", class, name)
			}
		}
		for _, name := range got {
			if !slices.Contains(want, name) {
				t.Errorf("%s: the table has %s, which the package does not", class, name)
			}
		}
		if len(slices.Compact(got)) != len(table.names(class)) {
			t.Errorf("%s: the table has a name twice", class)
		}
	}
}
