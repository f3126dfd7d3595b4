package fibersession

// cookieFlags is what a session remembers about its cookie. Bits that this version does not
// know are kept.
type cookieFlags byte

// cookiePlain marks a session that began on plain http.
const cookiePlain cookieFlags = 1 << 0

func (f cookieFlags) has(flag cookieFlags) bool { return f&flag != 0 }

// encode returns the stored form, which is empty without flags.
func (f cookieFlags) encode() string {
	if f == 0 {
		return ""
	}
	return string([]byte{byte(f)})
}
