// Package doccheck holds the pages to the source: every setting is listed with its type and
// default, links lead somewhere, lines fit a screen, and each block of code compiles or is
// read by the program that it is for. It has tests only.
package doccheck
