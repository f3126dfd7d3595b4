package engineio_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
)

const hello = "Hello, world!"

const (
	kosme   = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5" // a Greek word with characters of 2 and 3 octets
	notUTF8 = kosme + "\xed\xa0\x80edited"                   // the octets before "edited" are a surrogate
)

// autobahnFraming returns the cases 1.*: messages of all lengths that a frame encodes
// differently.
func autobahnFraming() (cases []autobahnCase) {
	for category, kind := range []struct {
		op   wsframe.Opcode
		name string
		fill string
	}{{text, "text", "*"}, {bin, "binary", "\xfe"}} {
		for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
			data := strings.Repeat(kind.fill, n)
			about, writes := fmt.Sprintf("%s of %d octets", kind.name, n), inOne(whole(kind.op, data))
			if i == 7 {
				about, writes = about+" in chops of 997", chops(997, writes[0])
			}
			cases = append(cases, good(fmt.Sprintf("1.%d.%d", category+1, i+1), about, writes, frame{kind.op, data}))
		}
	}
	return cases
}

// autobahnPings returns the cases 2.*.
func autobahnPings() []autobahnCase {
	octets := strings.Repeat("\xfe", 125)
	var ten []string
	var pongs []frame
	for i := range 10 {
		data := fmt.Sprintf("payload-%d", i)
		ten, pongs = append(ten, whole(ping, data)), append(pongs, frame{pong, data})
	}
	return []autobahnCase{
		good("2.1", "a ping without payload", inOne(whole(ping, "")), frame{pong, ""}),
		good("2.2", "a ping with text", inOne(whole(ping, hello)), frame{pong, hello}),
		good("2.3", "a ping with octets that are not text", inOne(whole(ping, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff")), frame{pong, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"}),
		good("2.4", "a ping of 125 octets", inOne(whole(ping, octets)), frame{pong, octets}),
		bad(1002, "2.5", "a ping of 126 octets", inOne(whole(ping, octets+"\xfe"))),
		good("2.6", "a ping of 125 octets, octet-wise", octetwise(whole(ping, octets)), frame{pong, octets}),
		good("2.7", "a pong that answers nothing", inOne(whole(pong, ""))),
		good("2.8", "a pong with payload that answers nothing", inOne(whole(pong, "unsolicited"))),
		good("2.9", "such a pong, then a ping", inOne(whole(pong, "unsolicited"), whole(ping, "ping")), frame{pong, "ping"}),
		good("2.10", "ten pings", inOne(ten...), pongs...),
		good("2.11", "ten pings, octet-wise", octetwise(ten...), pongs...),
	}
}

// autobahnReserved returns the cases 3.* and 4.*: reserved bits and opcodes. A message before
// such a frame is echoed, a ping after it is not answered.
func autobahnReserved() (cases []autobahnCase) {
	message, echo, after := whole(text, hello), frame{text, hello}, whole(ping, "")
	cases = []autobahnCase{
		bad(1002, "3.1", "RSV3 of text", inOne(reserve(1, message))),
		bad(1002, "3.2", "RSV2 after a message", inOne(message, reserve(2, message), after), echo),
		bad(1002, "3.3", "RSV2 and RSV3 after a message, frame-wise", framewise(message, reserve(3, message), after), echo),
		bad(1002, "3.4", "RSV1 after a message, octet-wise", octetwise(message, reserve(4, message), after), echo),
		bad(1002, "3.5", "RSV1 and RSV3 of binary", inOne(reserve(5, whole(bin, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff")))),
		bad(1002, "3.6", "RSV1 and RSV2 of a ping", inOne(reserve(6, whole(ping, hello)))),
		bad(1002, "3.7", "all reserved bits of a close frame", inOne(reserve(7, clientClose))),
	}
	for i, first := range []wsframe.Opcode{3, 11} {
		number := func(n int) string { return fmt.Sprintf("4.%d.%d", i+1, n) }
		about := func(op wsframe.Opcode, rest string) string { return fmt.Sprintf("opcode %d%s", op, rest) }
		cases = append(cases,
			bad(1002, number(1), about(first, ""), inOne(whole(first, ""))),
			bad(1002, number(2), about(first+1, " with payload"), inOne(whole(first+1, "reserved"))),
			bad(1002, number(3), about(first+2, " after a message"), inOne(message, whole(first+2, ""), after), echo),
			bad(1002, number(4), about(first+3, " with payload after a message"), inOne(message, whole(first+3, hello), after), echo),
			bad(1002, number(5), about(first+4, " with payload after a message, octet-wise"), octetwise(message, whole(first+4, hello), after), echo),
		)
	}
	return cases
}

// autobahnFragments returns the cases 5.*.
func autobahnFragments() (cases []autobahnCase) {
	a, b, message := begin(text, "fragment1"), end("fragment2"), whole(text, hello)
	joined, between := frame{text, "fragment1fragment2"}, whole(ping, "ping payload")
	cases = []autobahnCase{
		bad(1002, "5.1", "a ping in two fragments", inOne(begin(ping, "fragment1"), b)),
		bad(1002, "5.2", "a pong in two fragments", inOne(begin(pong, "fragment1"), b)),
	}
	// Each of these is sent in three ways.
	for i, c := range []struct {
		about   string
		code    uint16
		frames  []string
		answers []frame
	}{
		{"text in two fragments", 1000, []string{a, b}, []frame{joined}},
		{"a ping between two fragments", 1000, []string{a, between, b}, []frame{{pong, "ping payload"}, joined}},
		{"a last fragment of no message", 1002, []string{end("nothing to continue"), message}, nil},
		{"a fragment of no message", 1002, []string{more("nothing to continue"), message}, nil},
	} {
		for way, writes := range [][]string{inOne(c.frames...), framewise(c.frames...), octetwise(c.frames...)} {
			about := c.about + []string{", in one", ", frame-wise", ", octet-wise"}[way]
			cases = append(cases, bad(c.code, fmt.Sprintf("5.%d", 3+3*i+way), about, writes, c.answers...))
		}
	}
	part := func(n int) string { return fmt.Sprintf("fragment%d", n) }
	five := exchange{inOne(a, more(part(2)), whole(ping, "pongme 1!")), []frame{{pong, "pongme 1!"}}}
	rest := []string{more(part(3)), more(part(4)), whole(ping, "pongme 2!"), end(part(5))}
	answers := []frame{{pong, "pongme 2!"}, {text, part(1) + part(2) + part(3) + part(4) + part(5)}}
	return append(cases,
		bad(1002, "5.15", "a fragment of no message after a joined message", inOne(a, b, more(part(3)), whole(text, part(4))), joined),
		bad(1002, "5.16", "twice a fragment of no message, then text in two fragments", slices.Repeat([]string{more(part(1)), begin(text, part(2)), end(part(3))}, 2)),
		bad(1002, "5.17", "twice a last fragment of no message, then text in two fragments", slices.Repeat([]string{end(part(1)), begin(text, part(2)), end(part(3))}, 2)),
		bad(1002, "5.18", "a message inside another", inOne(a, whole(text, part(2)))),
		good("5.19", "five fragments with pings between, the second part after the first pong", inOne(rest...), answers...).after(five),
		good("5.20", "the same, frame-wise", framewise(rest...), answers...).after(exchange{framewise(a, more(part(2)), whole(ping, "pongme 1!")), five.answers}),
	)
}

// autobahnClose returns the cases 7.*.
func autobahnClose() (cases []autobahnCase) {
	code := func(c uint16) string { return string(binary.BigEndian.AppendUint16(nil, c)) }
	normal, large := code(1000), strings.Repeat("BAsd7&jh23", 26215)[:256<<10]
	cases = []autobahnCase{
		good("7.1.1", "a message, then close", inOne(whole(text, hello)), frame{text, hello}),
		ends(1000, "7.1.2", "close twice", inOne(clientClose, clientClose)),
		ends(1000, "7.1.3", "a ping after close", inOne(clientClose, whole(ping, ""))),
		ends(1000, "7.1.4", "text after close", inOne(clientClose, whole(text, hello))),
		ends(1000, "7.1.5", "close inside a fragmented message", inOne(begin(text, "fragment1"), clientClose, end("fragment2"))),
		ends(1000, "7.1.6", "256 KiB and a message, then close and a ping", inOne(whole(text, large), whole(text, hello), clientClose, whole(ping, "")),
			frame{text, large}, frame{text, hello}),
		ends(wsframe.NoStatus, "7.3.1", "close without payload", inOne(whole(closing, ""))),
		ends(1002, "7.3.2", "close with one octet", inOne(whole(closing, "a"))),
		ends(1000, "7.3.3", "close with a code", inOne(whole(closing, normal))),
		ends(1000, "7.3.4", "close with a code and a reason", inOne(whole(closing, normal+hello))),
		ends(1000, "7.3.5", "close with a reason of 123 octets", inOne(whole(closing, normal+strings.Repeat("*", 123)))),
		ends(1002, "7.3.6", "close with a reason of 124 octets", inOne(whole(closing, normal+strings.Repeat("*", 124)))),
		ends(1007, "7.5.1", "close with a reason that is not UTF-8", inOne(whole(closing, normal+notUTF8))),
	}
	for i, c := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		cases = append(cases, ends(c, fmt.Sprintf("7.7.%d", i+1), fmt.Sprintf("close code %d", c), inOne(whole(closing, code(c)))))
	}
	for i, c := range []uint16{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		cases = append(cases, ends(1002, fmt.Sprintf("7.9.%d", i+1), fmt.Sprintf("close code %d, which must not be sent", c), inOne(whole(closing, code(c)))))
	}
	return append(cases,
		ends(1002, "7.13.1", "close code 5000, which RFC 6455 does not define", inOne(whole(closing, code(5000)))),
		ends(1002, "7.13.2", "close code 65535, which RFC 6455 does not define", inOne(whole(closing, code(65535)))),
	)
}

// autobahnLimits returns the cases 9.*.
func autobahnLimits() (cases []autobahnCase) {
	const kib, mib = 1 << 10, 1 << 20
	for i, kind := range []struct {
		op   wsframe.Opcode
		name string
		data string // repeated
	}{{text, "text", "BAsd7&jh23"}, {bin, "binary", "\x00\xfe\x23\xfa\xf0"}} {
		data := strings.Repeat(kind.data, autobahnPayload/len(kind.data)+1)[:autobahnPayload]
		add := func(code uint16, category, n int, about string, writes []string, answers ...frame) {
			cases = append(cases, bad(code, fmt.Sprintf("9.%d.%d", category+i, n), kind.name+" "+about, writes, answers...))
		}
		for n, size := range []int{16 * kib, 64 * kib, 256 * kib, mib, 2 * mib, 4 * mib} {
			about := fmt.Sprintf("of %d KiB", size/kib)
			if size > autobahnPayload { // the header is enough, so the client sends little more
				h := wsframe.Header{Fin: true, Op: kind.op, Masked: true, Length: uint64(size)}
				add(1009, 1, n+1, about, []string{string(wsframe.AppendHeader(nil, h)) + data[:kib]})
				continue
			}
			add(1000, 1, n+1, about, inOne(whole(kind.op, data[:size])), frame{kind.op, data[:size]})
		}
		for n, size := range []int{16, 64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib} {
			about, parts := fmt.Sprintf("of 1 MiB in fragments of %d", size), chops(size, data)
			if len(parts) > 4096 { // refused with the first fragment above the limit, so the client sends no more
				add(1008, 3, n+1, about, fragments(kind.op, parts[:4098]))
				continue
			}
			add(1000, 3, n+1, about, fragments(kind.op, parts), frame{kind.op, data})
		}
		for n, size := range []int{64, 128, 256, 512, 1024, 2048} {
			add(1000, 5, n+1, fmt.Sprintf("in chops of %d", size), chops(size, whole(kind.op, data[:64*kib])), frame{kind.op, data[:64*kib]})
		}
		for n, size := range []int{0, 16, 64, 256, 1024, 4096} {
			one := exchange{inOne(whole(kind.op, data[:size])), []frame{{kind.op, data[:size]}}}
			cases = append(cases, autobahnCase{
				fmt.Sprintf("9.%d.%d", 7+i, n+1), fmt.Sprintf("%s of %d octets, a hundred in turn", kind.name, size),
				append(slices.Repeat([]exchange{one}, 100), exchange{inOne(clientClose), nil}), wsframe.NormalClosure,
			})
		}
	}
	return cases
}

// fragments returns a message in the given fragments, as one write.
func fragments(op wsframe.Opcode, parts []string) []string {
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			op = wsframe.Continuation
		}
		b.WriteString(clientFrame(i == len(parts)-1, op, p))
	}
	return []string{b.String()}
}
