package doccheck_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinksLeadSomewhere: a link, also of an image and in HTML, names a file of the repository, and
// its fragment a heading of that page or a line of that file. A link to another site is a
// complete URL. No test calls other sites.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	n := 0
	for _, page := range pageNames(t) {
		links := linksOf(page, read(t, page))
		n += len(links)
		for _, l := range links {
			if err := l.check(); err != nil {
				t.Errorf("%s:%d: the link to %s: %v", l.page, l.line, l.target, err)
			}
		}
	}
	if n < 150 {
		t.Errorf("found only %d links", n)
	}
}

// link is a link in a page.
type link struct {
	page   string
	line   int
	target string
}

var (
	inlineCode = regexp.MustCompile("``.+?``|`[^`]*`")
	linkForms  = []*regexp.Regexp{
		regexp.MustCompile(`\]\(<?([^)\s>]*)>?(?:\s+["'][^)]*)?\)`),                // [text](target "title"), ![text](target)
		regexp.MustCompile(`^\s*\[[^\]]+\]:\s+<?([^\s>]+)>?`),                      // [name]: target
		regexp.MustCompile(`<(https?://[^>\s]*)>`),                                 // <target>
		regexp.MustCompile(`<[a-z]+ [^>]*?\b(?:href|src|srcset)="([^"\s]*)[^"]*"`), // HTML
	}
	reference = regexp.MustCompile(`\[[^\]]*\]\[([^\]]+)\]`)
)

// linksOf returns the links of a page outside of code. A reference to a name without a target
// is a link to "[name]".
func linksOf(page, text string) (all []link) {
	defined := map[string]bool{}
	for i, line := range prose(text) {
		for _, form := range linkForms {
			for _, m := range form.FindAllStringSubmatch(line, -1) {
				all = append(all, link{page, i + 1, m[1]})
			}
		}
		if m := linkForms[1].FindString(line); m != "" {
			name, _, _ := strings.Cut(strings.TrimSpace(m), "]:")
			defined[strings.ToLower(name[1:])] = true
		}
	}
	for i, line := range prose(text) {
		for _, m := range reference.FindAllStringSubmatch(line, -1) {
			if !defined[strings.ToLower(m[1])] {
				all = append(all, link{page, i + 1, "[" + m[1] + "]"})
			}
		}
	}
	return all
}

// prose returns the lines of a page. Those of blocks are empty, and code in a line is left out.
func prose(text string) (lines []string) {
	ticks := ""
	for _, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && ticks == "":
			ticks, line = m[2], ""
		case m != nil && m[3] == "" && len(m[2]) >= len(ticks):
			ticks, line = "", ""
		case ticks != "":
			line = ""
		}
		lines = append(lines, inlineCode.ReplaceAllString(line, "x"))
	}
	return lines
}

const ownSite = "https://github.com/fiberbridge/fiberbridge/"

// check returns why the link leads nowhere.
func (l link) check() error {
	u, err := url.Parse(l.target)
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(l.target, "["):
		return errors.New("the page does not define it")
	case u.Scheme == "mailto" && strings.Contains(u.Opaque, "@"):
		return nil
	case strings.HasPrefix(l.target, ownSite):
		rest := strings.TrimPrefix(u.Path, "/fiberbridge/fiberbridge/")
		for _, kind := range []string{"blob/main/", "tree/main/", "raw/main/"} {
			if name, ok := strings.CutPrefix(rest, kind); ok {
				return checkFile(name, u.Fragment)
			}
		}
		return nil
	case u.Scheme == "https" && strings.Contains(u.Host, "."), u.Scheme == "http" && isLocal(u.Hostname()):
		return nil
	case u.Scheme != "" || u.Host != "":
		return errors.New("neither a file nor an address with https")
	case u.Path == "" && u.Fragment == "":
		return errors.New("it is empty")
	case strings.HasPrefix(u.Path, "/"):
		return errors.New("it begins with a slash, which is not the top of the repository")
	}
	name := l.page
	if u.Path != "" {
		name = path.Join(path.Dir(l.page), u.Path)
	}
	return checkFile(name, u.Fragment)
}

func isLocal(host string) bool { return host == "localhost" || host == "127.0.0.1" }

var lineFragment = regexp.MustCompile(`^L(\d+)(?:-L(\d+))?$`)

// checkFile returns an error if a file of the repository does not exist, or has no such fragment.
func checkFile(name, fragment string) error {
	file := filepath.Join(root, filepath.FromSlash(name))
	info, err := os.Stat(file)
	if err != nil || strings.HasPrefix(name, "..") {
		return errors.New("there is no such file")
	}
	if fragment == "" {
		return nil
	}
	if info.IsDir() {
		return errors.New("a folder has no headings")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if path.Ext(name) == ".md" {
		if !anchors(string(text))[fragment] {
			return errors.New("there is no such heading")
		}
		return nil
	}
	m := lineFragment.FindStringSubmatch(fragment)
	if m == nil {
		return errors.New("a file that is no page has lines only, such as #L10")
	}
	last := m[1]
	if m[2] != "" {
		last = m[2]
	}
	var n int
	if _, err := fmt.Sscan(last, &n); err != nil || n < 1 || n > strings.Count(string(text), "\n") {
		return errors.New("there is no such line")
	}
	return nil
}

var (
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
	headingLine = regexp.MustCompile(`^ {0,3}#{1,6} +(.*?)(?: +#+)? *$`)
	linkText    = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	namedAnchor = regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
)

// anchors returns the fragments of a page: those that GitHub gives its headings, and named
// anchors. A heading that occurs again gets a number.
func anchors(page string) map[string]bool {
	all := map[string]bool{}
	seen := map[string]int{}
	blocks := prose(page)
	for i, line := range strings.Split(page, "\n") {
		for _, m := range namedAnchor.FindAllStringSubmatch(blocks[i], -1) {
			all[m[1]] = true
		}
		m := headingLine.FindStringSubmatch(line)
		if m == nil || blocks[i] == "" {
			continue
		}
		title := linkText.ReplaceAllString(m[1], "$1")
		anchor := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
		n := seen[anchor]
		seen[anchor]++
		if n > 0 {
			anchor = fmt.Sprintf("%s-%d", anchor, n)
		}
		all[anchor] = true
	}
	return all
}

// TestLinks_FindMistakes: each form of a link is found, and each kind of mistake in it.
func TestLinks_FindMistakes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want string // "" if the link leads somewhere
	}{
		"a page":               {"[x](adapter.md)", ""},
		"with a title":         {"[x](adaptr.md \"title\")", "there is no such file"},
		"a heading":            {"[x](configuration.md#a-heading)", "there is no such heading"},
		"a heading of this":    {"[x](#a-b-2)\n\n## A `b`?\n\n## A b\n", "there is no such heading"},
		"the second heading":   {"[x](#a-b-1)\n\n## A `b`?\n\n## A b\n", ""},
		"not a heading":        {"[x](#y)\n\n```sh\n# y\n```", "there is no such heading"},
		"a named anchor":       {"[x](#y)\n\n<a id=\"y\"></a>", ""},
		"an image":             {"![x](images/none.svg)", "there is no such file"},
		"HTML":                 {"<img alt=\"\" src=\"images/none.svg\">", "there is no such file"},
		"HTML, a media query":  {"<source media=\"(x)\" srcset=\"images/none.svg 2x\">", "there is no such file"},
		"a line":               {"[x](../go.mod#L3)", ""},
		"no such line":         {"[x](../go.mod#L3-L99999)", "there is no such line"},
		"a heading of a file":  {"[x](../go.mod#module)", "a file that is no page"},
		"a heading of folders": {"[x](../docs#x)", "a folder has no headings"},
		"a folder":             {"[x](../examples/chat)", ""},
		"outside":              {"[x](../../../tmp)", "there is no such file"},
		"from the top":         {"[x](/docs/adapter.md)", "it begins with a slash"},
		"a reference":          {"[x][y]\n\n[y]: adaptr.md", "there is no such file"},
		"no reference":         {"[x][y]", "the page does not define it"},
		"empty":                {"[x]()", "it is empty"},
		"another site":         {"[x](https://example.com/#y)", ""},
		"without TLS":          {"[x](http://example.com/)", "neither a file nor an address with https"},
		"this machine":         {"<http://127.0.0.1:3000>", ""},
		"no host":              {"[x](https://)", "neither a file nor an address with https"},
		"this site":            {"<" + ownSite + "blob/main/docs/none.md>", "there is no such file"},
		"this site, a heading": {"<" + ownSite + "blob/main/README.md#none>", "there is no such heading"},
		"code":                 {"`a[0](b)` and\n```go\na[0](b)\n```", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, l := range linksOf("docs/p.md", tt.text) {
				err := l.check()
				if strings.HasPrefix(l.target, "#") { // of the page, which is no file
					err = nil
					if !anchors(tt.text)[l.target[1:]] {
						err = errors.New("there is no such heading")
					}
				}
				if err != nil {
					got = append(got, err.Error())
				}
			}
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want)) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
