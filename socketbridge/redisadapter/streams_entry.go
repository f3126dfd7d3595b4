package redisadapter

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
)

// The message types by which nodes count each other.
const (
	clusterHello = 1 // a node has come: the others are to say that they are there
	clusterBeat  = 2
	clusterBye   = 13
)

// The fields of an entry of the stream.
const (
	fieldUID       = "uid"
	fieldNamespace = "nsp"
	fieldType      = "type"
	fieldData      = "data"
	fieldOwn       = "own" // ours: who wrote it wants to be delivered it too
)

// entry is an entry of the stream, in the format of @socket.io/redis-streams-adapter:
// the parts of a cluster message in a field each.
type entry struct {
	uid, namespace string
	kind           int
	data           []byte // JSON, or MessagePack in base64, or nothing
	own            bool
}

// values are the fields as XADD takes them.
func (e *entry) values() []any {
	v := []any{fieldUID, e.uid, fieldNamespace, e.namespace, fieldType, strconv.Itoa(e.kind)}
	if len(e.data) > 0 {
		v = append(v, fieldData, e.data)
	}
	if e.own {
		v = append(v, fieldOwn, "1")
	}
	return v
}

func readEntry(values map[string]any) (*entry, error) {
	text := func(name string) string { s, _ := values[name].(string); return s }
	e := &entry{uid: text(fieldUID), namespace: text(fieldNamespace), data: []byte(text(fieldData)), own: text(fieldOwn) != ""}
	var err error
	if e.kind, err = strconv.Atoi(text(fieldType)); err != nil {
		return nil, fmt.Errorf("%w: message type %q", errWire, text(fieldType))
	}
	return e, nil
}

// frame reads what an entry says that is more than a sign of life.
func (e *entry) frame() (*frame, error) {
	text, attachments, err := parse64(string(e.data))
	if err != nil {
		return nil, err
	}
	var d clusterData
	if err := unmarshal(text, &d); err != nil {
		return nil, err
	}
	return d.frame(e.uid, e.namespace, e.kind, attachments)
}

// keeps says whether a frame is an event that who comes back is sent again.
func (f *frame) keeps() bool {
	return f.message != nil && f.message.Kind == adapter.Broadcast && f.requestID == "" && !f.message.Volatile
}

// pack64 writes JSON as it is, or as MessagePack in base64 when it has attachments.
func pack64(text []byte, attachments [][]byte) ([]byte, error) {
	if len(attachments) == 0 {
		return text, nil
	}
	data, err := msgpack.Append(nil, text, attachments)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.AppendEncode(nil, data), nil
}

// parse64 reads what pack64 wrote.
func parse64(data string) (text []byte, attachments [][]byte, err error) {
	if strings.HasPrefix(data, "{") {
		return parse([]byte(data))
	}
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errWire, err)
	}
	if text, attachments, err = msgpack.JSON(raw, msgpack.Limits{}); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errWire, err)
	}
	return text, attachments, nil
}

// seqBits are the bits of a place for the second part of an ID, which counts the
// entries of one millisecond. The first part fits until the year 2109.
const seqBits = 22

// placeOf makes a place of an entry's ID.
func placeOf(id string) (uint64, bool) {
	a, b, ok := strings.Cut(id, "-")
	if !ok || !digits(a) || !digits(b) {
		return 0, false
	}
	ms, err := strconv.ParseUint(a, 10, 64-seqBits)
	if err != nil {
		return 0, false
	}
	seq, err := strconv.ParseUint(b, 10, seqBits)
	return ms<<seqBits | seq, err == nil
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// idOf makes an entry's ID of a place.
func idOf(place uint64) string {
	return strconv.FormatUint(place>>seqBits, 10) + "-" + strconv.FormatUint(place&(1<<seqBits-1), 10)
}
