package examples_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestExamples_SameHelpers: what the pages of the chat and the dashboard both have in ui.mjs is the
// same. Each example has its own copy, so that it can be read and copied alone.
func TestExamples_SameHelpers(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`(?m)^(?:export )?(?:async )?(?:function|const|let) ([\w$]+)`)
	declarations := func(example string) map[string]string {
		text, err := os.ReadFile(example + "/assets/ui.mjs")
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for paragraph := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
			if m := name.FindStringSubmatch(paragraph); m != nil {
				all[m[1]] = paragraph
			}
		}
		return all
	}
	chat, same := declarations("chat"), 0
	for name, text := range declarations("dashboard") {
		other, both := chat[name]
		if !both {
			continue
		}
		if same++; text != other {
			t.Errorf("%s differs.\nThe chat has\n%s\nand the dashboard\n%s", name, other, text)
		}
	}
	if same < 8 {
		t.Errorf("only %d declarations are in both", same)
	}
}
