package siopacket

// scanner validates JSON without decoding it: the grammar of RFC 8259 and the depth
// of nesting. Its methods take the index of a value's first byte and return the
// index after its last. The caller checks UTF-8 separately, once for the whole text.
type scanner struct {
	data     []byte
	maxDepth int

	// attachments is the number of attachments of the packet. If it is positive,
	// the scanner looks for placeholders and appends them to found, in order.
	attachments int
	found       []placeholder
}

// placeholder is the position of an attachment: the object data[start:end].
type placeholder struct{ start, end, num int }

// value checks the value that begins at i, nested depth levels deep.
func (s *scanner) value(i, depth int) (int, error) {
	if i >= len(s.data) {
		return i, errJSON
	}
	switch c := s.data[i]; {
	case c == '"':
		return s.str(i)
	case c == '{':
		return s.object(i, depth+1)
	case c == '[':
		end, _, err := s.array(i, depth+1)
		return end, err
	case c == '-' || isDigit(c):
		return s.number(i)
	case c == 't':
		return s.literal(i, "true")
	case c == 'f':
		return s.literal(i, "false")
	case c == 'n':
		return s.literal(i, "null")
	}
	return i, errJSON
}

// array checks the array that begins at i and returns its number of elements.
func (s *scanner) array(i, depth int) (end, n int, err error) {
	if depth > s.maxDepth {
		return i, 0, ErrDeep
	}
	if i = skipSpace(s.data, i+1); i < len(s.data) && s.data[i] == ']' {
		return i + 1, 0, nil
	}
	for {
		if i, err = s.value(i, depth); err != nil {
			return i, n, err
		}
		n++
		i = skipSpace(s.data, i)
		if i >= len(s.data) {
			return i, n, errJSON
		}
		switch s.data[i] {
		case ',':
			i = skipSpace(s.data, i+1)
		case ']':
			return i + 1, n, nil
		default:
			return i, n, errJSON
		}
	}
}

func (s *scanner) object(i, depth int) (int, error) {
	if depth > s.maxDepth {
		return i, ErrDeep
	}
	start := i
	var ph placeholderFields
	if i = skipSpace(s.data, i+1); i < len(s.data) && s.data[i] == '}' {
		return i + 1, nil
	}
	for {
		if i >= len(s.data) || s.data[i] != '"' {
			return i, errJSON
		}
		key := i
		keyEnd, err := s.str(i)
		if err != nil {
			return keyEnd, err
		}
		if i = skipSpace(s.data, keyEnd); i >= len(s.data) || s.data[i] != ':' {
			return i, errJSON
		}
		val := skipSpace(s.data, i+1)
		if i, err = s.value(val, depth); err != nil {
			return i, err
		}
		if s.attachments > 0 {
			ph.add(s.data[key:keyEnd], s.data[val:i])
		}
		i = skipSpace(s.data, i)
		if i >= len(s.data) {
			return i, errJSON
		}
		switch s.data[i] {
		case ',':
			i = skipSpace(s.data, i+1)
		case '}':
			i++
			if ph.marked {
				return i, s.addPlaceholder(ph, start, i)
			}
			return i, nil
		default:
			return i, errJSON
		}
	}
}

// str checks the string that begins at i.
func (s *scanner) str(i int) (int, error) {
	for i++; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			return i + 1, nil
		case c < 0x20:
			return i, errJSON
		case c == '\\':
			if i++; i >= len(s.data) {
				return i, errJSON
			}
			switch s.data[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if i+4 >= len(s.data) || !isHex4(s.data[i+1:i+5]) {
					return i, errJSON
				}
				i += 4
			default:
				return i, errJSON
			}
		}
	}
	return i, errJSON
}

func (s *scanner) number(i int) (int, error) {
	if s.data[i] == '-' {
		i++
	}
	first := i
	if i = s.digits(i); i == first || s.data[first] == '0' && i > first+1 {
		return i, errJSON
	}
	if i < len(s.data) && s.data[i] == '.' {
		frac := i + 1
		if i = s.digits(frac); i == frac {
			return i, errJSON
		}
	}
	if i < len(s.data) && s.data[i]|0x20 == 'e' {
		exp := i + 1
		if exp < len(s.data) && (s.data[exp] == '+' || s.data[exp] == '-') {
			exp++
		}
		if i = s.digits(exp); i == exp {
			return i, errJSON
		}
	}
	return i, nil
}

func (s *scanner) digits(i int) int {
	for i < len(s.data) && isDigit(s.data[i]) {
		i++
	}
	return i
}

func (s *scanner) literal(i int, word string) (int, error) {
	if end := i + len(word); end <= len(s.data) && string(s.data[i:end]) == word {
		return end, nil
	}
	return i, errJSON
}

// placeholderFields holds what was seen of {"_placeholder":true,"num":N} in an object.
type placeholderFields struct {
	keys   int
	marked bool   // has "_placeholder":true, which makes it a placeholder to the JavaScript parser
	num    []byte // the raw value of "num"
}

func (f *placeholderFields) add(key, val []byte) {
	f.keys++
	switch {
	case keyIs(key, "_placeholder"):
		f.marked = f.marked || string(val) == "true"
	case keyIs(key, "num"):
		f.num = val
	}
}

// addPlaceholder records a placeholder. It accepts only the exact object that
// clients send, with a unique number that is less than the number of attachments:
// implementations disagree on how to interpret any other number (CVE-2022-2421).
func (s *scanner) addPlaceholder(f placeholderFields, start, end int) error {
	if f.keys != 2 || len(f.num) == 0 || len(f.num) > 9 || f.num[0] == '0' && len(f.num) > 1 {
		return errPlaceholder
	}
	num := 0
	for _, c := range f.num {
		if !isDigit(c) {
			return errPlaceholder
		}
		num = num*10 + int(c-'0')
	}
	if num >= s.attachments {
		return errPlaceholder
	}
	for _, p := range s.found { // never longer than the number of attachments
		if p.num == num {
			return errPlaceholder
		}
	}
	s.found = append(s.found, placeholder{start, end, num})
	return nil
}

// keyIs reports whether the quoted key, which is valid JSON, equals plain. plain
// consists of letters and underscores, which JSON can escape only as \u00XX.
func keyIs(quoted []byte, plain string) bool {
	i := 1
	for _, want := range []byte(plain) {
		c := quoted[i]
		if i++; c == '\\' {
			if quoted[i] != 'u' || quoted[i+1] != '0' || quoted[i+2] != '0' {
				return false
			}
			c = unhex(quoted[i+3])<<4 | unhex(quoted[i+4])
			i += 5
		}
		if c != want {
			return false // also at the closing quote, so i stays in range
		}
	}
	return quoted[i] == '"'
}

// skipValue returns the index after the value that begins at i in valid JSON. For
// invalid input it returns some index within data.
func skipValue(data []byte, i int) int {
	depth := 0
	for i < len(data) {
		switch data[i] {
		case '"':
			i = skipString(data, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r':
			i++
			continue
		default: // a number or a literal
			for i < len(data) && !isDelimiter(data[i]) {
				i++
			}
		}
		if depth <= 0 {
			return i
		}
	}
	return i
}

func skipString(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(data)
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && isSpace(data[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func isDigit(c byte) bool { return c-'0' < 10 }

func isDelimiter(c byte) bool { return c == ',' || c == ']' || c == '}' || isSpace(c) }

func isHex4(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) && (c|0x20)-'a' > 5 {
			return false
		}
	}
	return true
}

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func hasEscape(b []byte) bool {
	for _, c := range b {
		if c == '\\' {
			return true
		}
	}
	return false
}
