package socketbridge

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNamespaceName is the longest name of a namespace that the packet decoder accepts, in
// bytes.
const maxNamespaceName = 256

// namespaceName returns a name with its leading slash, or the reason why no client can join
// a namespace of that name.
func namespaceName(name string) (string, error) {
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	switch {
	case len(name) > maxNamespaceName:
		return "", fmt.Errorf("is longer than %d bytes", maxNamespaceName)
	case !utf8.ValidString(name):
		return "", fmt.Errorf("is not valid UTF-8")
	case strings.ContainsAny(name, ",?"):
		return "", fmt.Errorf("contains a comma, which ends a namespace in a packet, or a question mark, which begins a query")
	case strings.ContainsFunc(name, unicode.IsControl):
		return "", fmt.Errorf("contains a control character")
	}
	return name, nil
}
