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

// written stores a value as Express would, and returns a handle of it.
func written(t testing.TB, s *fibersession.Store, st storage.Basic, value string) *fibersession.Handle {
	t.Helper()
	must(t, st.Set("sess:"+expressID, []byte(value), time.Hour))
	return again(t, s, expressID)
}

// kept is what the store holds of Express' session, field by field as it is written.
func kept(t testing.TB, st storage.Basic, id string) map[string]json.RawMessage {
	t.Helper()
	data, err := st.Get("sess:" + id)
	must(t, err)
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return fields
}
