// Package shared has types that package rules uses.
package shared

// Item has the name of a type in package rules.
type Item struct {
	// Count is in a package of its own.
	Count int `json:"count" validate:"gte=1"`
}

// Color is an enum of another package.
type Color string

// The colors.
const (
	Red  Color = "red"
	Blue Color = "blue"
)

var colors = []Color{Red, Blue}

// Values returns all colors.
func (Color) Values() []Color { return colors }
