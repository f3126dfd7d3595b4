package inspector

import (
	_ "embed" // for the tables
	"regexp"
	"strings"
)

// adviceRows are the rows of the tables in docs/troubleshooting.md. To bring them up to date,
// run: UPDATE_ADVICE=1 go test ./socketbridge/inspector -run TestN8_AdviceIsThatOfTheDocs
//
//go:embed advice.md
var adviceRows string

// explanation is what docs/troubleshooting.md says of a notice.
type explanation struct {
	Name    string `json:"name"`
	Level   string `json:"level"`
	Message string `json:"message"`
	Todo    string `json:"todo"`
	Client  string `json:"client"` // what the client sees
}

var adviceRow = regexp.MustCompile("^\\| `([a-z_]+)` \\| (\\w+) \\| (.+?) \\| (.+?) \\| (.+?) \\|$")

// advice are the explanations by the names of the notices.
var advice = func() map[string]explanation {
	all := map[string]explanation{}
	for line := range strings.Lines(adviceRows) {
		if m := adviceRow.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			all[m[1]] = explanation{m[1], m[2], m[3], m[4], m[5]}
		}
	}
	return all
}()
