package mutant

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeModule makes a module with a guard and a test of it.
func writeModule(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range map[string]string{
		"go.mod":   "module example.com/guarded\n\ngo 1.25\n",
		"guard.go": "package guarded\n\nfunc half(n int) int {\n\tif n < 0 {\n\t\treturn 0\n\t}\n\treturn n / 2\n}\n",
		"guard_test.go": "package guarded\n\nimport \"testing\"\n\nfunc TestHalf(t *testing.T) {\n\tif half(-4) != 0 {\n\t\tt.Error(\"negative\")\n\t}\n}\n\n" +
			"func TestOther(t *testing.T) {\n\tif half(4) != 2 {\n\t\tt.Error(\"half\")\n\t}\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestMutant(t *testing.T) {
	t.Parallel()
	root := writeModule(t)
	guard := []Edit{{"guard.go", "n < 0", "false"}}
	for name, tt := range map[string]struct {
		edits   []Edit
		run     string
		want    Verdict
		wantErr string
	}{
		"killed":         {guard, ".", Killed, ""},
		"survived":       {guard, "TestOther", Survived, ""},
		"two edits":      {append(guard, Edit{"guard.go", "n / 2", "n / 3"}), "TestOther", Killed, ""},
		"no match":       {[]Edit{{"guard.go", "n < 1", "false"}}, ".", 0, "occurs 0 times"},
		"two matches":    {[]Edit{{"guard.go", "return", "return "}}, ".", 0, "occurs 2 times"},
		"no change":      {[]Edit{{"guard.go", "n < 0", "n < 0"}}, ".", 0, "and a change"},
		"does not build": {[]Edit{{"guard.go", "n < 0", "m < 0"}}, ".", 0, ErrBuild.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Mutant{name, tt.edits}.Test(t.Context(), root, nil, "-run", tt.run, ".")
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("got %v, want an error with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || got.Verdict != tt.want {
				t.Errorf("got %v, %v; want %v\n%s", got.Verdict, err, tt.want, got.Output)
			}
		})
	}
	if text, err := os.ReadFile(filepath.Join(root, "guard.go")); err != nil || !strings.Contains(string(text), "n < 0") || errors.Is(err, ErrBuild) {
		t.Errorf("the source was changed: %v\n%s", err, text)
	}
}
