// Package doccheck holds the pages in docs/ to the source: every setting is listed with
// its type and default, links lead somewhere, lines fit a screen. It has tests only.
package doccheck
