package engineio_test

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// autobahnUTF8 returns the cases 6.*. The groups 6.5 to 6.23 are those of the UTF-8 decoder
// stress test by Markus Kuhn, one text message each.
func autobahnUTF8() []autobahnCase {
	const half1, half2 = "Hello-µ@ßöä", "üàá-UTF-8!!"
	const greeting = half1 + half2
	const beyond = kosme + "\xf4\x90\x80\x80edited" // wrong at octet 12: it is above U+10FFFF
	octetFragments := func(s string) []string { return fragments(text, chops(1, s)) }
	// The pong shows that the server has accepted the first fragment.
	accepted := func(s string) exchange {
		return exchange{inOne(begin(text, s), whole(ping, "")), []frame{{pong, ""}}}
	}
	asFrame := whole(text, beyond)
	head := len(asFrame) - len(beyond)
	cases := []autobahnCase{
		good("6.1.1", "empty text", inOne(whole(text, "")), frame{text, ""}),
		good("6.1.2", "three empty fragments", inOne(begin(text, ""), more(""), end("")), frame{text, ""}),
		good("6.1.3", "a fragment between two empty ones", inOne(begin(text, ""), more("middle"), end("")), frame{text, "middle"}),
		good("6.2.1", "valid text", inOne(whole(text, greeting)), frame{text, greeting}),
		good("6.2.2", "two fragments, cut between characters", inOne(begin(text, half1), end(half2)), frame{text, greeting}),
		good("6.2.3", "every octet a fragment", octetFragments(greeting), frame{text, greeting}),
		good("6.2.4", "every octet a fragment, Greek", octetFragments(kosme), frame{text, kosme}),
		bad(1007, "6.3.1", "a surrogate", inOne(whole(text, notUTF8))),
		bad(1007, "6.3.2", "a surrogate, every octet a fragment", octetFragments(notUTF8)),
		// The message does not end: the server must not wait for its end.
		bad(1007, "6.4.1", "the second fragment has a character above U+10FFFF", inOne(more(beyond[11:15]))).after(accepted(beyond[:11])),
		bad(1007, "6.4.2", "the second fragment is the octet that makes it invalid", inOne(more(beyond[12:13]))).after(accepted(beyond[:12])),
		bad(1007, "6.4.3", "as 6.4.1, in three chops of one frame", []string{asFrame[:head+11], asFrame[head+11 : head+15], asFrame[head+15:]}),
		bad(1007, "6.4.4", "as 6.4.2, in three chops of one frame", []string{asFrame[:head+12], asFrame[head+12 : head+13], asFrame[head+13:]}),
	}
	for i, group := range utf8Groups() {
		for n, s := range group.texts {
			number, about := fmt.Sprintf("6.%d.%d", i+5, n+1), group.about
			if len(s) <= 20 {
				about += fmt.Sprintf(" %x", s)
			}
			if group.valid[min(n, len(group.valid)-1)] == '+' {
				cases = append(cases, good(number, about, inOne(whole(text, s)), frame{text, s}))
			} else {
				cases = append(cases, bad(1007, number, about, inOne(whole(text, s))))
			}
		}
	}
	return cases
}

type utf8Group struct {
	about string
	valid string // "+" or "-" for each text; the last sign stands for all that follow
	texts []string
}

func utf8Groups() []utf8Group {
	var prefixes []string
	for n := 1; n <= len(kosme); n++ {
		prefixes = append(prefixes, kosme[:n])
	}
	// The last two code points of each plane.
	nonCharacters := []string{"\xef\xbf\xbe", "\xef\xbf\xbf"}
	for r := rune(0x1FFFE); r <= utf8.MaxRune; r += 0x10000 {
		nonCharacters = append(nonCharacters, string(r), string(r+1))
	}
	// all returns the octets from first up to last, each followed by after.
	all := func(first, last byte, after string) string {
		var b strings.Builder
		for c := first; c <= last; c++ {
			b.WriteString(string([]byte{c}) + after)
		}
		return b.String()
	}
	incomplete := []string{
		"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf",
	}
	return []utf8Group{
		{"characters of 1 to 4 octets", "+", []string{"hello$world", "hello¢world", "hello€world", "hello\xf0\xa4\xad\xa2world", kosme}},
		{"a prefix", "-+--+-+-+-+", prefixes},
		{"the first character of its length", "+", []string{"\x00", "\u0080", "\u0800", "\U00010000"}},
		{"the first sequence of 5 and 6 octets", "-", []string{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
		{"the last character of its length", "+", []string{"\x7f", "\u07ff", "\uffff", "\U0010ffff"}},
		{"the last sequence of 4 to 6 octets", "-", []string{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"}},
		{"around the surrogates and the end", "++++-", []string{"\ud7ff", "\ue000", "\ufffd", "\U0010ffff", "\xf4\x90\x80\x80"}},
		{"continuation octets alone", "-", []string{
			"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", all(0x80, 0xbe, ""),
		}},
		{"first octets alone", "-", []string{
			all(0xc0, 0xde, " "), all(0xe0, 0xee, " "), all(0xf0, 0xf6, " "), all(0xf8, 0xfa, " "), all(0xfc, 0xfc, " "),
		}},
		{"the last octet is missing", "-", incomplete},
		{"all of these", "-", []string{strings.Join(incomplete, "")}},
		{"octets that never occur", "-", []string{"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
		{"a slash, overlong", "-", []string{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"}},
		{"the largest that is overlong", "-", []string{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"}},
		{"NUL, overlong", "-", []string{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"}},
		{"a surrogate", "-", []string{
			"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf",
		}},
		{"a pair of surrogates", "-", []string{
			"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf",
			"\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf",
		}},
		{"no character, but valid", "+", nonCharacters},
		{"a special, also U+FFFD", "+", []string{"\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff"}},
	}
}
