package redisadapter

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/msgpack"
)

// The fields of an entry of the stream.
const (
	fieldUID       = "uid"
	fieldNamespace = "nsp"
	fieldType      = "type"
	fieldData      = "data"
	fieldLoopback  = "own"  // not in Node's format: the entry is delivered to its sender as well
	fieldBoth      = "both" // not in Node's format: a heartbeat of a node that also takes part in pub/sub
	fieldSignature = "sig"  // not in Node's format: see Config.Secrets
)

// streamEntry is an entry of the stream in the format of @socket.io/redis-streams-adapter:
// a cluster message with one field for each of its parts.
type streamEntry struct {
	uid, namespace string
	kind           int
	data           []byte // JSON, or MessagePack in base64, or empty
	loopback       bool   // the entry is delivered to its sender as well
	both           bool   // a heartbeat of a node that also takes part in pub/sub
	signature      string // in base64; "" if there is none
}

// values returns the fields as arguments of XADD.
func (e *streamEntry) values() []any {
	v := []any{fieldUID, e.uid, fieldNamespace, e.namespace, fieldType, strconv.Itoa(e.kind)}
	if len(e.data) > 0 {
		v = append(v, fieldData, e.data)
	}
	if e.loopback {
		v = append(v, fieldLoopback, "1")
	}
	if e.both {
		v = append(v, fieldBoth, "1")
	}
	if e.signature != "" {
		v = append(v, fieldSignature, e.signature)
	}
	return v
}

// signedParts returns what the signature of an entry covers: all other fields.
func (e *streamEntry) signedParts() [][]byte {
	return [][]byte{[]byte(e.uid), []byte(e.namespace), []byte(strconv.Itoa(e.kind)), e.data, fmt.Append(nil, e.loopback, e.both)}
}

func decodeEntry(values map[string]any) (*streamEntry, error) {
	text := func(name string) string { s, _ := values[name].(string); return s }
	e := &streamEntry{uid: text(fieldUID), namespace: text(fieldNamespace), data: []byte(text(fieldData)), loopback: text(fieldLoopback) != "", both: text(fieldBoth) != "", signature: text(fieldSignature)}
	var err error
	if e.kind, err = strconv.Atoi(text(fieldType)); err != nil {
		return nil, fmt.Errorf("%w: message type %q", errMalformed, text(fieldType))
	}
	return e, nil
}

// frame decodes an entry that is not a heartbeat.
func (e *streamEntry) frame() (*frame, error) {
	text, attachments, err := decodeBase64(string(e.data))
	if err != nil {
		return nil, err
	}
	var d clusterData
	if err := unmarshal(text, &d); err != nil {
		return nil, err
	}
	f, err := d.frame(e.uid, e.namespace, e.kind, attachments)
	if err != nil {
		return nil, err
	}
	f.entry = true
	return f, nil
}

// isReplayable reports whether a frame is an event that clients receive when they resume.
func (f *frame) isReplayable() bool {
	return f.message != nil && f.message.Kind == adapter.Broadcast && f.requestID == "" && !f.message.Volatile
}

// encodeBase64 returns JSON unchanged or, if there are attachments, MessagePack in base64.
func encodeBase64(text []byte, attachments [][]byte) ([]byte, error) {
	if len(attachments) == 0 {
		return text, nil
	}
	data, err := msgpack.Append(nil, text, attachments)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.AppendEncode(nil, data), nil
}

// decodeBase64 is the inverse of encodeBase64.
func decodeBase64(data string) (text []byte, attachments [][]byte, err error) {
	if strings.HasPrefix(data, "{") {
		return decode([]byte(data))
	}
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if text, attachments, err = msgpack.JSON(raw, msgpack.Limits{}); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return text, attachments, nil
}

// An entry's ID is "<milliseconds>-<sequence>". Its position (see adapter.Log) has both
// numbers in one uint64: the sequence, which counts the entries of one millisecond, in the
// lower seqBits. The milliseconds fit until the year 2109.
const seqBits = 22

// parseEntryID returns the position of an entry's ID. It reports whether the ID has one.
func parseEntryID(id string) (position uint64, ok bool) {
	ms, seq, ok := strings.Cut(id, "-")
	if !ok || !isDigits(ms) || !isDigits(seq) {
		return 0, false
	}
	high, err := strconv.ParseUint(ms, 10, 64-seqBits)
	if err != nil {
		return 0, false
	}
	low, err := strconv.ParseUint(seq, 10, seqBits)
	return high<<seqBits | low, err == nil
}

// entryTime returns the time in the ID of an entry, at which Redis added it.
func entryTime(position uint64) time.Time { return time.UnixMilli(int64(position >> seqBits)) }

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// formatEntryID is the inverse of parseEntryID.
func formatEntryID(position uint64) string {
	return strconv.FormatUint(position>>seqBits, 10) + "-" + strconv.FormatUint(position&(1<<seqBits-1), 10)
}
