package siopacket

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits bound the size of a received packet. A field that is not positive has its
// default.
type Limits struct {
	// MaxAttachments is the maximum number of attachments of a packet
	// (CVE-2026-33151).
	//
	// Optional. Default: 10
	MaxAttachments int
	// MaxAttachmentBytes is the maximum total size of a packet's attachments, in
	// bytes.
	//
	// Optional. Default: 1000000
	MaxAttachmentBytes int
	// MaxNamespace is the maximum length of a namespace's name, in bytes.
	//
	// Optional. Default: 256
	MaxNamespace int
	// MaxEventName is the maximum length of an event name, in bytes after unescaping.
	//
	// Optional. Default: 256
	MaxEventName int
	// MaxArgs is the maximum number of arguments of an event, not counting its name,
	// or of an ack.
	//
	// Optional. Default: 64
	MaxArgs int
	// MaxAuth is the maximum length of a CONNECT's payload, in bytes. The server keeps it as
	// long as the socket lives.
	//
	// Optional. Default: 16384
	MaxAuth int
	// MaxDepth is the maximum nesting depth of JSON; the array of arguments is 1.
	//
	// Optional. Default: 128
	MaxDepth int
}

func (l *Limits) attachments() int     { return orDefault(l.MaxAttachments, 10) }
func (l *Limits) attachmentBytes() int { return orDefault(l.MaxAttachmentBytes, 1_000_000) }
func (l *Limits) namespace() int       { return orDefault(l.MaxNamespace, 256) }
func (l *Limits) eventName() int       { return orDefault(l.MaxEventName, 256) }
func (l *Limits) args() int            { return orDefault(l.MaxArgs, 64) }
func (l *Limits) auth() int            { return orDefault(l.MaxAuth, 16<<10) }
func (l *Limits) depth() int           { return orDefault(l.MaxDepth, 128) }

func orDefault(n, def int) int {
	if n > 0 {
		return n
	}
	return def
}

// maxSkippedAttachments is the largest count of attachments that the Decoder skips after
// it has refused a packet. maxRefusedNamespace is the longest name of a namespace, in
// bytes, with which it refuses one. Beyond them, the text is malformed.
const (
	maxSkippedAttachments = 1000
	maxRefusedNamespace   = 4096
)

// Decoder decodes the messages of one connection: it decodes the text of packets
// and joins the binary messages that follow, the attachments, to them. Its zero
// value is ready to use with the default Limits. It is not safe for concurrent use.
//
// An error that wraps ErrLimit refuses one packet: the Decoder returns the packet's
// header with it, skips its attachments, and can decode the next packet. After any other
// error the connection should be closed, because the rest of the peer's input can no
// longer be interpreted.
type Decoder struct {
	// Limits may be set before the first message.
	Limits Limits

	namespace string   // of the last packet, so that repeating it does not allocate
	pending   *pending // the packet whose attachments are incomplete, or nil
	skip      int      // attachments of a refused packet that must follow
}

type pending struct {
	packet Packet
	bytes  int // total size of the attachments so far
}

// Pending reports whether a packet, or a refused packet, is waiting for attachments.
func (d *Decoder) Pending() bool { return d.pending != nil || d.skip > 0 }

// Text decodes a text message. If ok is true, p is a complete packet. If ok is false
// and err is nil, the packet's attachments must follow. Text does not retain data.
// Errors wrap ErrSyntax, ErrLimit or ErrSequence. With ErrLimit, p has the header of the
// refused packet and, for an event, its name, of which the first 256 bytes are kept.
func (d *Decoder) Text(data []byte) (p Packet, ok bool, err error) {
	if d.Pending() {
		d.pending, d.skip = nil, 0
		return Packet{}, false, errTextBeforeAttachments
	}
	attachments := 0
	if p, attachments, err = d.text(data); err != nil {
		if !errors.Is(err, ErrLimit) {
			return Packet{}, false, err
		}
		d.skip = attachments
		return Packet{Header: p.Header, Name: p.Name}, false, err
	}
	if attachments > 0 {
		p.Attachments = make([][]byte, 0, attachments)
		d.pending = &pending{packet: p}
		return Packet{}, false, nil
	}
	return p, true, nil
}

// Binary adds a binary message, the next attachment, to the pending packet. Its
// results are those of Text; ok is also false for an attachment that is skipped. A binary
// message without a pending packet is an error (CVE-2026-69185).
func (d *Decoder) Binary(data []byte) (p Packet, ok bool, err error) {
	if d.skip > 0 {
		d.skip--
		return Packet{}, false, nil
	}
	if d.pending == nil {
		return Packet{}, false, errUnexpectedAttachment
	}
	w := d.pending
	if w.bytes += len(data); w.bytes > d.Limits.attachmentBytes() {
		d.skip = cap(w.packet.Attachments) - len(w.packet.Attachments) - 1
		d.pending = nil
		return Packet{Header: w.packet.Header, Name: w.packet.Name}, false, errLargeAttachments
	}
	w.packet.Attachments = append(w.packet.Attachments, append([]byte{}, data...))
	if len(w.packet.Attachments) < cap(w.packet.Attachments) {
		return Packet{}, false, nil
	}
	d.pending = nil
	return w.packet, true, nil
}

// Payload makes a packet of a header and a payload that arrived in another encoding than
// that of Text. The payload is checked like that of Text, and its errors are those of
// Text, except that placeholders that do not match the attachments are over a limit: a
// value of the peer looks like one. Payload retains payload and attachments.
func (d *Decoder) Payload(h Header, payload []byte, attachments [][]byte) (p Packet, err error) {
	p.Header = h
	switch {
	case h.Namespace == "" || h.Namespace[0] != '/' || strings.Contains(h.Namespace, ","):
		return Packet{}, errNamespace
	case h.Type == Ack && !h.HasID || h.ID >= 1e15:
		return Packet{}, errID
	case h.Type > ConnectError:
		return Packet{}, errType
	}
	size := 0
	for _, b := range attachments {
		size += len(b)
	}
	switch {
	case len(h.Namespace) > d.Limits.namespace():
		err = errLongNamespace
	case len(attachments) > d.Limits.attachments():
		err = ErrManyAttachments
	case size > d.Limits.attachmentBytes():
		err = errLargeAttachments
	default:
		p.Attachments = attachments
		err = d.payload(&p, payload, len(attachments), false)
		if err == errPlaceholder {
			err = errLooksLikePlaceholder
		}
		if err == nil {
			return p, nil
		}
	}
	if !errors.Is(err, ErrLimit) {
		return Packet{}, err
	}
	return Packet{Header: h, Name: p.Name}, err
}

// text decodes the text of a packet and returns the number of attachments that follow.
func (d *Decoder) text(data []byte) (p Packet, attachments int, err error) {
	if len(data) == 0 || data[0] < '0' || data[0] > '6' {
		return p, 0, errType
	}
	p.Type = Type(data[0] - '0')
	rest := data[1:]
	if p.Type == BinaryEvent || p.Type == BinaryAck {
		if attachments, rest, err = readAttachments(rest); err != nil {
			return p, 0, err
		}
		p.Type -= BinaryEvent - Event
	}
	if rest, err = d.readNamespace(&p, rest); err != nil {
		return p, attachments, err
	}
	if p.Type == Event || p.Type == Ack {
		if rest, err = readID(&p, rest); err != nil {
			return p, 0, err
		}
	}
	if attachments > d.Limits.attachments() {
		return p, attachments, d.refuse(&p, rest, ErrManyAttachments)
	}
	return p, attachments, d.payload(&p, rest, attachments, true)
}

// readAttachments reads `<count>-`. A count of 0 is an error, because a binary packet
// without attachments would leave the decoder waiting (CVE-2026-69185).
func readAttachments(data []byte) (n int, rest []byte, err error) {
	i := 0
	for ; i < len(data) && isDigit(data[i]); i++ {
		if n = n*10 + int(data[i]-'0'); n > maxSkippedAttachments {
			return 0, nil, errAttachments
		}
	}
	if i == 0 || data[0] == '0' || i == len(data) || data[i] != '-' {
		return 0, nil, errAttachments
	}
	return n, data[i+1:], nil
}

// readNamespace reads `/name,`. The comma may be missing at the end of the text.
// Older clients append a query to the name, which is ignored. The name of a namespace
// over the limit is returned with the error, so that its CONNECT can be answered.
func (d *Decoder) readNamespace(p *Packet, data []byte) (rest []byte, err error) {
	p.Namespace = "/"
	if len(data) == 0 || data[0] != '/' {
		return data, nil
	}
	longest := max(maxRefusedNamespace, d.Limits.namespace())
	limit := min(len(data), longest+1) // search for the comma only so far, however long the text is
	end := slices.Index(data[:limit], ',')
	switch {
	case end >= 0:
		rest = data[end+1:]
	case limit < len(data) || limit > longest:
		return nil, errNamespace
	default:
		end = len(data)
	}
	name := data[:end]
	if !utf8.Valid(name) {
		return nil, errUTF8
	}
	if end > d.Limits.namespace() {
		p.Namespace = string(name)
		return nil, errLongNamespace
	}
	if query := slices.Index(name, '?'); query >= 0 {
		name = name[:query]
	}
	switch string(name) {
	case "/":
	case d.namespace:
		p.Namespace = d.namespace
	default:
		d.namespace = string(name)
		p.Namespace = d.namespace
	}
	return rest, nil
}

// readID reads an acknowledgement ID, which is optional except in an Ack.
func readID(p *Packet, data []byte) (rest []byte, err error) {
	i := 0
	for ; i < len(data) && isDigit(data[i]); i++ {
		if i == 15 {
			return nil, errID
		}
		p.ID = p.ID*10 + uint64(data[i]-'0')
	}
	if p.HasID = i > 0; !p.HasID && p.Type == Ack {
		return nil, errID
	}
	return data[i:], nil
}

// payload validates the JSON at the end of the text and stores it in p: a copy of it if
// shared is set, because the caller may reuse its memory.
func (d *Decoder) payload(p *Packet, data []byte, attachments int, shared bool) error {
	if len(data) == 0 {
		if p.Type == Connect || p.Type == Disconnect {
			return nil
		}
		return errPayload
	}
	switch c := data[0]; p.Type {
	case Connect:
		if c != '{' {
			return errPayload
		}
		if len(data) > d.Limits.auth() {
			return errLargeAuth
		}
	case ConnectError:
		if c != '{' && c != '"' {
			return errPayload
		}
	case Disconnect:
		return errPayload
	default:
		if c != '[' {
			return errPayload
		}
	}
	if !utf8.Valid(data) {
		return errUTF8
	}

	s := scanner{data: data, maxDepth: d.Limits.depth(), attachments: attachments}
	var end int
	var err error
	if data[0] == '[' {
		end, p.args, err = s.array(0, 1)
	} else {
		end, err = s.value(0, 0)
	}
	if err == ErrDeep {
		return d.refuse(p, data, ErrDeep)
	}
	if err != nil {
		return err
	}
	if end != len(data) {
		return errJSON
	}
	if len(s.found) != attachments {
		return errPlaceholder
	}
	if p.Type == Event {
		if p.args--; p.args < 0 {
			return errEventName
		}
	}
	if p.args > d.Limits.args() {
		return d.refuse(p, data, errManyArgs)
	}
	if shared {
		data = append([]byte(nil), data...)
	}
	p.Data = data
	if p.Type == Event {
		p.Name, err = d.eventName(data)
	}
	return err
}

// refuse returns err, with which a packet over a limit is refused, after it has stored the
// event's name in p. The rest of data may be malformed.
func (d *Decoder) refuse(p *Packet, data []byte, err error) error {
	if p.Type != Event {
		return err
	}
	name, bad := d.eventName(data)
	if bad != nil && bad != errLongEventName {
		return bad
	}
	p.Name = slices.Clone(name)
	return err
}

// eventName returns the name of an event, the first element of the array in data. It must
// be a string or a number (CVE-2023-32695). A number is the string that JavaScript makes
// of it, as in the event emitters of the reference: on("1") handles both. The name may
// share memory with data. With errLongEventName, it is the beginning of the name.
func (d *Decoder) eventName(data []byte) (name []byte, err error) {
	start := min(1, len(data))
	if start = skipSpace(data, start); start == len(data) {
		return nil, errEventName
	}
	s := scanner{data: data}
	limit := d.Limits.eventName()
	switch c := data[start]; {
	case c == '"':
		end, err := s.str(start)
		if err != nil {
			return nil, err
		}
		name = data[start+1 : end-1 : end-1]
		// An escape sequence has at most six bytes per byte of the name.
		if len(name) > 6*limit {
			return slices.Clone(name[:limit]), errLongEventName
		}
		if hasEscape(name) {
			var text string
			if json.Unmarshal(data[start:end], &text) != nil {
				return nil, errEventName
			}
			name = []byte(text)
		}
		if Reserved(string(name)) {
			return nil, errReserved
		}
	case c == '-' || isDigit(c):
		end, err := s.number(start)
		if err != nil {
			return nil, err
		}
		if end-start > limit {
			return slices.Clone(data[start : start+limit]), errLongEventName
		}
		name = numberName(data[start:end:end])
	default:
		return nil, errEventName
	}
	if len(name) > limit {
		return slices.Clone(name[:limit]), errLongEventName
	}
	return name, nil
}

// numberName returns what String returns in JavaScript for a number in JSON.
func numberName(number []byte) []byte {
	digits := number
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) <= 15 && (digits[0] != '0' || len(number) == 1) && onlyDigits(digits) {
		return number
	}
	f, _ := strconv.ParseFloat(string(number), 64) // infinite if out of range, as in JavaScript
	switch {
	case f == 0:
		return []byte("0") // also for -0
	case math.IsInf(f, 1):
		return []byte("Infinity")
	case math.IsInf(f, -1):
		return []byte("-Infinity")
	}
	text, err := json.Marshal(f) // formats numbers as ECMAScript does
	if err != nil {
		return number
	}
	return text
}

func onlyDigits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return true
}
