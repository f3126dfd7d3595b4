package fibersession_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/storage"
)

const (
	expressSecret = "an Express secret of thirty-two bytes or more"
	expressID     = "nCaoEGVmiLQgrwDLMWJpvaEuXzo9iM3v" // 24 bytes in base64url
)

func expressConfig(cfg fibersession.Config) fibersession.Config {
	cfg.Express = &fibersession.Express{Secrets: []string{expressSecret}}
	return cfg
}

// expressSession stores value where connect-redis would, for an hour, and returns a handle
// of that session.
func expressSession(t testing.TB, s *fibersession.Store, st storage.Basic, value string) *fibersession.Handle {
	t.Helper()
	must(t, st.Set("sess:"+expressID, []byte(value), time.Hour))
	return handleOf(t, s, expressID)
}

// storedFields returns the fields of the stored Express session with this ID, each as the
// bytes that the storage holds.
func storedFields(t testing.TB, st storage.Basic, id string) map[string]json.RawMessage {
	t.Helper()
	data, err := st.Get("sess:" + id)
	must(t, err)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatalf("the stored value is not a JSON object: %v\n%s", err, data)
	}
	return fields
}
