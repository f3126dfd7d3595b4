package client_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/client"
)

// TestS2_OfficialClientIsThatOfNpm compares the builds with those that Socket.IO for Node
// serves, of the version that the tests use.
func TestS2_OfficialClientIsThatOfNpm(t *testing.T) {
	t.Parallel()
	packages := filepath.Join(nodetest.Dir(t), "node_modules")
	read := func(path ...string) []byte {
		data, err := os.ReadFile(filepath.Join(append([]string{packages}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for _, name := range []string{"socket.io", "socket.io-client"} {
		var about struct{ Version string }
		if err := json.Unmarshal(read(name, "package.json"), &about); err != nil || about.Version != client.OfficialVersion {
			t.Errorf("%s is version %q, error %v; OfficialVersion is %q", name, about.Version, err, client.OfficialVersion)
		}
	}
	builds, err := filepath.Glob(filepath.Join(packages, "socket.io", "client-dist", "*.js"))
	if err != nil || len(builds) != len(client.Official()) {
		t.Errorf("the package has the builds %v, error %v; Official has %d", builds, err, len(client.Official()))
	}
	for name, body := range client.Official() {
		if !bytes.Equal(body, read("socket.io", "client-dist", name)) || !bytes.Equal(body, read("socket.io-client", "dist", name)) {
			t.Errorf("%s is not that of the npm package: copy it", name)
		}
		if !bytes.Contains(body, []byte("Released under the MIT License")) {
			t.Errorf("%s does not name its license", name)
		}
	}
	license, err := os.ReadFile("official/LICENSE")
	if err != nil || !bytes.Equal(license, read("socket.io-client", "LICENSE")) {
		t.Errorf("official/LICENSE is not that of the npm package, error %v", err)
	}
}
