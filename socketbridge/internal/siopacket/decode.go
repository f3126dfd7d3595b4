package siopacket

import (
	"encoding/json"
	"slices"
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
func (l *Limits) depth() int           { return orDefault(l.MaxDepth, 128) }

func orDefault(n, def int) int {
	if n > 0 {
		return n
	}
	return def
}

// Decoder decodes the messages of one connection: it decodes the text of packets
// and joins the binary messages that follow, the attachments, to them. Its zero
// value is ready to use with the default Limits. It is not safe for concurrent use.
//
// After an error the Decoder discards the pending packet, and the connection should
// be closed, because the rest of the peer's input can no longer be interpreted.
type Decoder struct {
	// Limits may be set before the first message.
	Limits Limits

	namespace string   // of the last packet, so that repeating it does not allocate
	pending   *pending // the packet whose attachments are incomplete, or nil
}

type pending struct {
	packet Packet
	bytes  int // total size of the attachments so far
}

// Pending reports whether a packet is waiting for attachments.
func (d *Decoder) Pending() bool { return d.pending != nil }

// Text decodes a text message. If ok is true, p is a complete packet. If ok is false
// and err is nil, the packet's attachments must follow. Text does not retain data.
// Errors wrap ErrSyntax, ErrLimit or ErrSequence.
func (d *Decoder) Text(data []byte) (p Packet, ok bool, err error) {
	if d.pending != nil {
		d.pending = nil
		return Packet{}, false, errTextBeforeAttachments
	}
	attachments := 0
	if p, attachments, err = d.text(data); err != nil {
		return Packet{}, false, err
	}
	if attachments > 0 {
		p.Attachments = make([][]byte, 0, attachments)
		d.pending = &pending{packet: p}
		return Packet{}, false, nil
	}
	return p, true, nil
}

// Binary adds a binary message, the next attachment, to the pending packet. Its
// results are those of Text. A binary message without a pending packet is an error
// (CVE-2026-69185).
func (d *Decoder) Binary(data []byte) (p Packet, ok bool, err error) {
	if d.pending == nil {
		return Packet{}, false, errUnexpectedAttachment
	}
	w := d.pending
	if w.bytes += len(data); w.bytes > d.Limits.attachmentBytes() {
		d.pending = nil
		return Packet{}, false, errLargeAttachments
	}
	w.packet.Attachments = append(w.packet.Attachments, append([]byte{}, data...))
	if len(w.packet.Attachments) < cap(w.packet.Attachments) {
		return Packet{}, false, nil
	}
	d.pending = nil
	return w.packet, true, nil
}

// text decodes the text of a packet and returns the number of attachments that follow.
func (d *Decoder) text(data []byte) (p Packet, attachments int, err error) {
	if len(data) == 0 || data[0] < '0' || data[0] > '6' {
		return p, 0, errType
	}
	p.Type = Type(data[0] - '0')
	rest := data[1:]
	if p.Type == BinaryEvent || p.Type == BinaryAck {
		if attachments, rest, err = d.attachments(rest); err != nil {
			return p, 0, err
		}
		p.Type -= BinaryEvent - Event
	}
	if rest, err = d.readNamespace(&p, rest); err != nil {
		return p, 0, err
	}
	if p.Type == Event || p.Type == Ack {
		if rest, err = readID(&p, rest); err != nil {
			return p, 0, err
		}
	}
	return p, attachments, d.payload(&p, rest, attachments)
}

// attachments reads `<count>-`. A count of 0 is an error, because a binary packet
// without attachments would leave the decoder waiting (CVE-2026-69185).
func (d *Decoder) attachments(data []byte) (n int, rest []byte, err error) {
	i := 0
	for ; i < len(data) && isDigit(data[i]); i++ {
		if n = n*10 + int(data[i]-'0'); n > d.Limits.attachments() {
			return 0, nil, errManyAttachments
		}
	}
	if i == 0 || data[0] == '0' || i == len(data) || data[i] != '-' {
		return 0, nil, errAttachments
	}
	return n, data[i+1:], nil
}

// readNamespace reads `/name,`. The comma may be missing at the end of the text.
// Older clients append a query to the name, which is ignored.
func (d *Decoder) readNamespace(p *Packet, data []byte) (rest []byte, err error) {
	p.Namespace = "/"
	if len(data) == 0 || data[0] != '/' {
		return data, nil
	}
	// Search for the comma only up to the limit, however long the text is.
	limit := min(len(data), d.Limits.namespace()+1)
	end := slices.Index(data[:limit], ',')
	switch {
	case end >= 0:
		rest = data[end+1:]
	case limit < len(data) || limit > d.Limits.namespace():
		return nil, errLongNamespace
	default:
		end = len(data)
	}
	name := data[:end]
	if !utf8.Valid(name) {
		return nil, errUTF8
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

// payload validates the JSON at the end of the text and copies it to p.
func (d *Decoder) payload(p *Packet, data []byte, attachments int) error {
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
		return errManyArgs
	}
	p.Data = append([]byte(nil), data...)
	if p.Type == Event {
		return d.readName(p)
	}
	return nil
}

// readName reads the name of an event, the first element of its array. It must be a
// string (CVE-2023-32695). The JavaScript parser also accepts numbers, which no
// client of this protocol version sends.
func (d *Decoder) readName(p *Packet) error {
	start := skipSpace(p.Data, 1)
	if p.Data[start] != '"' {
		return errEventName
	}
	end := skipString(p.Data, start)
	// An escape sequence has at most six bytes per byte of the name.
	if end-start-2 > 6*d.Limits.eventName() {
		return errLongEventName
	}
	p.Name = p.Data[start+1 : end-1 : end-1]
	if hasEscape(p.Name) {
		var name string
		if json.Unmarshal(p.Data[start:end], &name) != nil {
			return errEventName
		}
		p.Name = []byte(name)
	}
	switch {
	case len(p.Name) == 0:
		return errEventName
	case len(p.Name) > d.Limits.eventName():
		return errLongEventName
	case Reserved(string(p.Name)):
		return errReserved
	}
	return nil
}
