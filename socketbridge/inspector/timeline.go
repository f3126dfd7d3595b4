package inspector

import (
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxRecords     = 20_000
	maxRecordBytes = 4 << 20
	recordSize     = 256 // bytes of a record without its texts
	maxShownKeys   = 16  // names of keys in a record
	maxTold        = 32  // sockets in a record
)

// Kinds of records.
const (
	kindConnected    = "connected"
	kindDisconnected = "disconnected"
	kindReport       = "report"      // something was refused, dropped, closed or failed
	kindFailed       = "failed"      // an event ended with an error
	kindChanged      = "changed"     // of a session: keys were set or deleted
	kindRegenerated  = "regenerated" // of a session: it has a new ID
	kindEnded        = "ended"       // of a session
	kindUnsaved      = "unsaved"     // a change of a session was not stored
	kindTold         = "told"        // sockets were told of a change of their session
	kindHandled      = "handled"     // an event, of a user that a page shows
	kindSent         = "sent"        // an event to a user that a page shows
	kindAction       = "action"      // an administrator ended something
)

// record is an entry of the time line. It is never modified.
type record struct {
	Time      int64             `json:"time"` // in milliseconds since 1970
	Kind      string            `json:"kind"`
	Node      string            `json:"node,omitempty"` // set when it is shown
	Namespace string            `json:"namespace,omitempty"`
	Event     string            `json:"event,omitempty"`   // that caused it
	Request   string            `json:"request,omitempty"` // that caused it
	Session   string            `json:"session,omitempty"` // pseudonym
	User      string            `json:"user,omitempty"`
	Socket    string            `json:"socket,omitempty"`
	Notice    string            `json:"notice,omitempty"`
	Level     string            `json:"level,omitempty"` // of the notice
	Text      string            `json:"text,omitempty"`
	Keys      []string          `json:"keys,omitempty"`
	Values    map[string]string `json:"values,omitempty"` // of the keys in Config.Values
	Told      []string          `json:"told,omitempty"`   // IDs of sockets
	More      int               `json:"more,omitempty"`   // keys or sockets that are left out
	Took      int64             `json:"took,omitempty"`   // in microseconds
}

func (r *record) size() int {
	n := recordSize + len(r.Namespace) + len(r.Event) + len(r.Request) + len(r.User) + len(r.Text)
	for _, s := range r.Keys {
		n += 16 + len(s)
	}
	for k, v := range r.Values {
		n += 48 + len(k) + len(v)
	}
	return n + 40*len(r.Told)
}

// timeline keeps the latest records of this node. The zero value is empty.
type timeline struct {
	mu    sync.Mutex
	ring  []*record
	next  int // index of the oldest record if the ring is full
	count int
	bytes int
}

// add appends a record, and drops the oldest ones while there are too many. It cuts texts that
// clients choose.
func (t *timeline) add(r *record) {
	if r.Time == 0 {
		r.Time = time.Now().UnixMilli()
	}
	r.Event, r.User, r.Text = cut(r.Event, 128), cut(r.User, 256), cut(r.Text, 600)
	if extra := len(r.Keys) - maxShownKeys; extra > 0 {
		r.Keys, r.More = r.Keys[:maxShownKeys], extra
	}
	for k, key := range r.Keys {
		if len(key) > 128 {
			r.Keys = slices.Clone(r.Keys)
			r.Keys[k] = cut(key, 128)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.append(r)
}

func (t *timeline) append(r *record) {
	if t.ring == nil {
		t.ring = make([]*record, maxRecords)
	}
	t.bytes += r.size()
	for t.count == maxRecords || t.count > 0 && t.bytes > maxRecordBytes {
		oldest := (t.next - t.count + maxRecords) % maxRecords
		t.bytes -= t.ring[oldest].size()
		t.ring[oldest] = nil
		t.count--
	}
	t.ring[t.next] = r
	t.next = (t.next + 1) % maxRecords
	t.count++
}

// tell records that a socket was told of a change. Sockets that are told of the same change
// share a record.
func (t *timeline) tell(r *record) {
	if r.Time == 0 {
		r.Time = time.Now().UnixMilli()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for back := 1; back <= min(t.count, 16); back++ {
		at := (t.next - back + maxRecords) % maxRecords
		old := t.ring[at]
		if old.Kind != kindTold || old.Session != r.Session || old.Text != r.Text || r.Time-old.Time > 250 || !slices.Equal(old.Keys, r.Keys) || slices.Contains(old.Told, r.Told[0]) {
			continue
		}
		merged := *old
		if len(old.Told) < maxTold {
			merged.Told = append(slices.Clone(old.Told), r.Told...)
		} else {
			merged.More++
		}
		t.bytes += merged.size() - old.size()
		t.ring[at] = &merged
		return
	}
	t.append(r)
}

// filter selects records. An empty field selects all.
type filter struct {
	User    string   `json:"user,omitempty"`
	Session string   `json:"session,omitempty"`
	Socket  string   `json:"socket,omitempty"`
	Notice  string   `json:"notice,omitempty"`
	Kinds   []string `json:"kinds,omitempty"`
	Text    string   `json:"text,omitempty"`   // in lower case, in any of the record's texts
	Before  int64    `json:"before,omitempty"` // milliseconds since 1970
}

func (f *filter) selects(r *record) bool {
	switch {
	case f.User != "" && r.User != f.User,
		f.Session != "" && r.Session != f.Session,
		f.Socket != "" && r.Socket != f.Socket && !slices.Contains(r.Told, f.Socket),
		f.Notice != "" && r.Notice != f.Notice,
		f.Before > 0 && r.Time >= f.Before,
		len(f.Kinds) > 0 && !slices.Contains(f.Kinds, r.Kind):
		return false
	}
	if f.Text == "" {
		return true
	}
	for _, s := range [...]string{r.User, r.Event, r.Request, r.Notice, r.Text, r.Namespace, r.Session, r.Socket, strings.Join(r.Keys, " ")} {
		if strings.Contains(strings.ToLower(s), f.Text) {
			return true
		}
	}
	return false
}

// find returns the latest records that f selects, the latest first.
func (t *timeline) find(f filter, limit int) []*record {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := []*record{}
	for back := 1; back <= t.count && len(found) < limit; back++ {
		if r := t.ring[(t.next-back+maxRecords)%maxRecords]; f.selects(r) {
			found = append(found, r)
		}
	}
	return found
}

// cut returns the first n bytes of s, as valid UTF-8.
func cut(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "�")
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
