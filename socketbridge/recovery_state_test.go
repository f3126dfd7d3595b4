package socketbridge

import (
	"encoding/json"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
)

// Values of basic types keep their types. Other nodes see plain JSON.
func TestData_EncodeKeepsTypes(t *testing.T) {
	t.Parallel()
	type role string
	values := map[string]any{
		"string": "ä", "bool": true, "int": 1, "int8": int8(-2), "int16": int16(3), "int32": int32(4), "int64": int64(math.MinInt64),
		"uint": uint(5), "uint8": uint8(6), "uint16": uint16(7), "uint32": uint32(8), "uint64": uint64(math.MaxUint64), "uintptr": uintptr(9),
		"float32": float32(1.5), "float64": 2.0,
	}
	var d Data
	for key, value := range values {
		d.Set(key, value)
	}
	d.Set("role", role("admin"))
	d.Set("local", make(chan int))
	d.Set("NaN", math.NaN())
	if err := d.Share("shared", map[string]any{"n": 1}); err != nil {
		t.Fatal(err)
	}
	text, typed := d.encode()
	const want = `{"bool":true,"float32":1.5,"float64":2,"int":1,"int16":3,"int32":4,"int64":-9223372036854775808,"int8":-2,"role":"admin",` +
		`"shared":{"n":1},"string":"ä","uint":5,"uint16":7,"uint32":8,"uint64":18446744073709551615,"uint8":6,"uintptr":9}`
	if string(text) != want || string(d.public()) != want {
		t.Errorf("got %s for other nodes, want %s", text, want)
	}
	got, err := decodeData(text, typed)
	if err != nil {
		t.Fatal(err)
	}
	values["role"], values["shared"] = "admin", map[string]any{"n": 1.0}
	if !reflect.DeepEqual(got.m, values) {
		t.Errorf("decoded values: got %v, want %v", got.m, values)
	}
	if string(got.public()) != want {
		t.Errorf("after decoding: got %s for other nodes, want %s", got.public(), want)
	}
	if got, err := decodeData(text, nil); err != nil || !reflect.DeepEqual(got.m["int8"], -2.0) {
		t.Errorf("without types: got %v and error %v, want the float64 -2", got.m["int8"], err)
	}
}

// A state that cannot be decoded returns an error, so that its client gets a new socket.
// This includes the form in which "types" is an object with the types of the values.
func TestSharedLog_Decode(t *testing.T) {
	t.Parallel()
	s := New(Config{Logger: slog.New(slog.DiscardHandler), Recovery: Recovery{Window: time.Minute}})
	defer func() { _ = s.Shutdown(t.Context()) }()
	log := &sharedLog{recoveryBase: s.recovery, ns: s.root}
	st := &savedState{pid: "p", ns: s.root, owner: owner{session: "s", user: "ann"}, id: "id", data: &Data{},
		positions: positions{Joined: 1, Confirmed: 2, Queued: 3, Left: 4}, expires: time.UnixMilli(5)}
	st.data.Set("n", 7)
	st.setRooms([]string{"id", "a", reservedPrefix + "user:x"})
	rs, err := st.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := log.decode(rs, "p", st.owner)
	if err != nil {
		t.Fatal(err)
	}
	if got.data.Get("n") != 7 || got.positions != st.positions || !got.expires.Equal(st.expires) || got.foreign ||
		!reflect.DeepEqual(got.rooms, []string{"a"}) || !reflect.DeepEqual(got.addressed, st.addressed) || got.owner != st.owner {
		t.Errorf("got %+v, want %+v", got, st)
	}
	var fields map[string]any
	if err := json.Unmarshal(rs.State, &fields); err != nil || len(fields) != 6 || fields["since"] != 1.0 || fields["base"] != 2.0 || fields["placed"] != 3.0 || fields["left"] != 4.0 {
		t.Errorf("got stored state %s and error %v, want 6 fields with the positions 1 to 4", rs.State, err)
	}
	for name, change := range map[string]func(rs *adapter.RecoveryState){
		"types as an object":      func(rs *adapter.RecoveryState) { rs.State = []byte(`{"since":1,"types":{"n":"int"},"expires":5}`) },
		"values cut off":          func(rs *adapter.RecoveryState) { rs.State = []byte(`{"types":"AQ","expires":5}`) },
		"values malformed":        func(rs *adapter.RecoveryState) { rs.State = []byte(`{"types":"/////w==","expires":5}`) },
		"no JSON":                 func(rs *adapter.RecoveryState) { rs.State = []byte(`{`) },
		"data without JSON":       func(rs *adapter.RecoveryState) { rs.Data = []byte(`x`) },
		"data that is no object":  func(rs *adapter.RecoveryState) { rs.Data = []byte(`[1]`) },
		"no ID":                   func(rs *adapter.RecoveryState) { rs.ID = "" },
		"a reserved ID":           func(rs *adapter.RecoveryState) { rs.ID = reservedPrefix + "x" },
		"a room with a long name": func(rs *adapter.RecoveryState) { rs.Rooms = []string{string(make([]byte, maxRoomName+1))} },
		"too many rooms":          func(rs *adapter.RecoveryState) { rs.Rooms = manyNames(s.cfg.Limits.MaxRooms + 1) },
	} {
		other := *rs
		change(&other)
		if _, err := log.decode(&other, "p", st.owner); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
	foreign := &adapter.RecoveryState{ID: "id", Rooms: []string{"id", "a", reservedPrefix + "user:x"}, Data: []byte(`{"n":1}`)}
	if got, err := log.decode(foreign, "p", owner{session: noSession}); err != nil || !got.foreign || got.addressed[reservedPrefix+"user:x"] || got.data.Get("n") != 1.0 {
		t.Errorf("a state of a Node.js server: got %+v and error %v, want it foreign, with its data", got, err)
	}
}

func manyNames(n int) (names []string) {
	for i := range n {
		names = append(names, string(rune('a'+i%26))+string(rune('0'+i/26)))
	}
	return names
}

// Values that are too large for Typed keep the types of JSON.
func TestData_EncodeLargeValues(t *testing.T) {
	t.Parallel()
	d := &Data{}
	large := strings.Repeat("x", 5<<20)
	for key, value := range map[string]any{"large": large, "int8": int8(1), "int16": int16(2), "int32": int32(3)} {
		d.Set(key, value)
	}
	got, err := decodeData(d.encode())
	if err != nil {
		t.Fatal(err)
	}
	if got.Get("large") != large {
		t.Error("the large value was lost")
	}
}

// States are dropped when they expire, when there are more than MaxSockets, and on close. A
// state that is saved again keeps its expiry.
func TestMemoryStates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ns := &Namespace{}
		o := owner{session: "s"}
		m := &memoryStates{cfg: Recovery{Window: time.Minute, MaxSockets: 3}}
		save := func(pid string) *savedState {
			st := &savedState{pid: pid, ns: ns, owner: o, expires: time.Now().Add(time.Minute)}
			m.save(st)
			return st
		}
		a := save("a")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		save("b")
		if m.restore("a", ns, owner{session: "t"}) != nil || m.restore("a", &Namespace{}, o) != nil || m.restore("a", ns, o) != a || m.restore("a", ns, o) != nil {
			t.Error("a state must be restored once, and only to its owner and namespace")
		}
		for range 100 { // put back after each refusal
			m.save(a)
			if m.restore("a", ns, o) != a || len(m.order) != m.len() {
				t.Fatalf("%d states are kept in order, %d can be restored", len(m.order), m.len())
			}
		}
		m.save(a)
		m.save(a)
		time.Sleep(39 * time.Second)
		synctest.Wait()
		if got := m.len(); got != 2 {
			t.Errorf("got %d states, want 2", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := m.len(); got != 1 {
			t.Errorf("got %d states, want 1: a has expired", got)
		}
		m.save(a)
		if got := m.len(); got != 1 {
			t.Errorf("got %d states, want 1: a was saved after it had expired", got)
		}
		for _, pid := range []string{"c", "d", "e"} {
			save(pid)
		}
		if got := m.len(); got != 3 || m.restore("b", ns, o) != nil {
			t.Errorf("got %d states, want the last 3", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := m.len(); got != 0 || m.timer != nil {
			t.Errorf("got %d states, want none, and no timer", got)
		}
		save("f")
		m.close()
		save("g")
		if got := m.len(); got != 0 {
			t.Errorf("got %d states after close, want 0", got)
		}
	})
}
