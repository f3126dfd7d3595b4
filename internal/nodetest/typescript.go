package nodetest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TypeCheck runs tsc, the compiler of TypeScript, in dir. It returns what tsc prints, and an error
// if tsc has found one.
func TypeCheck(t testing.TB, dir string, args ...string) (out string, err error) {
	t.Helper()
	tsc := filepath.Join(Dir(t), "node_modules", "typescript", "bin", "tsc")
	cmd := exec.CommandContext(t.Context(), "node", append([]string{tsc}, args...)...)
	cmd.Dir = dir
	b, err := cmd.CombinedOutput()
	return string(b), err
}
