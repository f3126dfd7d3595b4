package dropin_test

import (
	"fmt"
	"strings"
)

// difference is a step after which the two programs differ.
type difference struct {
	pattern, step string
	index         int    // of the step
	fiber, ours   string // the aspects that differ, as "name value"
}

// row returns the first cells of the table of docs/from-fiber.md.
func (d difference) row(variants string) string {
	return fmt.Sprintf("| `%s`%s | `%s` | %s | %s |", d.pattern, variants, d.step, d.fiber, d.ours)
}

// compare returns the steps that differ.
func compare(pattern string, fiber, ours []seen) []difference {
	var all []difference
	for i := range max(len(fiber), len(ours)) {
		var f, o seen
		if i < len(fiber) {
			f = fiber[i]
		}
		if i < len(ours) {
			o = ours[i]
		}
		if f.step != o.step { // one of them did not start
			return append(all, difference{pattern, "the start", i, cell(map[string]string{"start": "ok"}, []string{"start"}), cell(o.aspects, []string{"start"})})
		}
		var names []string
		for _, name := range aspectNames {
			if f.aspects[name] != o.aspects[name] {
				names = append(names, name)
			}
		}
		if names != nil {
			all = append(all, difference{pattern, stepName(fiber, i), i, cell(f.aspects, names), cell(o.aspects, names)})
		}
	}
	return all
}

// stepName returns a step's text, with its number if the script has it more than once.
func stepName(steps []seen, i int) string {
	n, count := 0, 0
	for j := range steps {
		if steps[j].step == steps[i].step {
			count++
			if j <= i {
				n++
			}
		}
	}
	if count == 1 {
		return steps[i].step
	}
	return fmt.Sprintf("%s (%d)", steps[i].step, n)
}

// cell returns aspects as a cell of a table.
func cell(aspects map[string]string, names []string) string {
	var parts []string
	for _, name := range names {
		value := aspects[name]
		switch {
		case value == "":
			value = "none"
		case len(value) > 200:
			value = fmt.Sprintf("of %d bytes", len(value))
		}
		value = strings.NewReplacer("|", "/", "`", "'", "\n", " ").Replace(value)
		parts = append(parts, "`"+name+" "+value+"`")
	}
	return strings.Join(parts, " ")
}
