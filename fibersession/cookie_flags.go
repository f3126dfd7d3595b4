package fibersession

// cookieFlags is what a session remembers about its cookie. Bits that this version does not
// know are kept.
type cookieFlags byte

const (
	// cookiePlain marks a session that began on plain http.
	cookiePlain cookieFlags = 1 << 0
	// cookieKept and cookieDropped record Session.Remember: the browser keeps the cookie, or
	// drops it when it closes. Without either, Config.CookieSessionOnly decides.
	cookieKept    cookieFlags = 1 << 1
	cookieDropped cookieFlags = 1 << 2
)

// remembering returns flags with the choice of Session.Remember.
func (f cookieFlags) remembering(choice cookieFlags) cookieFlags {
	if choice == 0 {
		return f
	}
	return f&^(cookieKept|cookieDropped) | choice
}

func (f cookieFlags) has(flag cookieFlags) bool { return f&flag != 0 }

// encode returns the stored form, which is empty without flags.
func (f cookieFlags) encode() string {
	if f == 0 {
		return ""
	}
	return string([]byte{byte(f)})
}
