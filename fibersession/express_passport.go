package fibersession

// Passport, the login of many Express apps, keeps the user in a field of one value:
// {"passport":{"user":5}}.
const (
	passportKey  = "passport"
	passportUser = "user"
)

// withUser returns the value of Config.UserKey for this user; old is its previous value.
func (s *Store) withUser(old, userID any) any {
	if s.userField == "" {
		return userID
	}
	m, ok := old.(map[string]any)
	if !ok {
		m = make(map[string]any, 1)
	}
	m[s.userField] = userID
	return m
}

// withoutUser returns what remains of the value of Config.UserKey without its user, or nil
// if nothing does.
func (s *Store) withoutUser(old any) any {
	m, ok := old.(map[string]any)
	if !ok || s.userField == "" {
		return nil
	}
	delete(m, s.userField)
	return m
}
