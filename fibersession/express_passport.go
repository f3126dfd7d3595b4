package fibersession

// Passport, the login of many Express apps, keeps the user in a field of one value:
// {"passport":{"user":5}}.
const (
	passportKey  = "passport"
	passportUser = "user"
)

// passport says whether the user is kept so.
func (s *Store) passport() bool { return s.cfg.Express != nil && s.cfg.UserKey == passportKey }

// withUser returns the value of Config.UserKey with this user; old is what it was.
func (s *Store) withUser(old, userID any) any {
	if !s.passport() {
		return userID
	}
	m, ok := old.(map[string]any)
	if !ok {
		m = make(map[string]any, 1)
	}
	m[passportUser] = userID
	return m
}

// withoutUser returns what stays of the value of Config.UserKey without its user; nil
// for nothing.
func (s *Store) withoutUser(old any) any {
	m, ok := old.(map[string]any)
	if !ok || !s.passport() {
		return nil
	}
	delete(m, passportUser)
	return m
}
