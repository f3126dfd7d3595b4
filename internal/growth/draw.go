package main

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The colours have enough contrast on white and on the dark background of a code host.
var (
	ink    = color.NRGBA{0x75, 0x7d, 0x88, 0xff} // axes and texts
	grid   = color.NRGBA{0x75, 0x7d, 0x88, 0x60}
	series = color.NRGBA{0x2f, 0x81, 0xf7, 0xff}
)

// chart is one plot of value over Point.X. x and y are the names of the axes.
type chart struct {
	file, title, x, y string
	logX              bool
	points            []Point
	value             func(Point) float64
}

// drawAll writes an SVG file for each chart.
func drawAll(dir string, r Results) error {
	for _, c := range charts(r) {
		if len(c.points) == 0 {
			continue
		}
		if err := c.draw(filepath.Join(dir, c.file)); err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
	}
	return nil
}

func charts(r Results) []chart {
	perSec := func(p Point) float64 { return p.PerSec / 1000 }
	return []chart{
		{"growth-events.svg", "Echoes, one under way for each client", "clients", "events a second, in thousands", true, r.Events, perSec},
		{"growth-idle.svg", "CPU time of an event beside idle connections, by that without", "idle connections", "ratio", false, r.Idle, func(p Point) float64 { return p.Ratio }},
		{"growth-memory.svg", "Memory of an idle connection with its session", "connections", "KB each", false, r.Memory, func(p Point) float64 { return p.Bytes / 1024 }},
		{"growth-rooms.svg", "Broadcasts to a room, one under way", "members", "deliveries a second, in thousands", true, r.Rooms, perSec},
		{"growth-redis.svg", "Session changes on Redis, on two cores in all", "nodes", "events a second, in thousands", false, r.OnRedis, perSec},
	}
}

func (c chart) draw(file string) error {
	p := plot.New()
	for _, style := range []*draw.TextStyle{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label} {
		style.Font.Variant = "Sans"
	}
	p.BackgroundColor = nil // that of the page
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	p.Title.TextStyle.Color = ink
	p.Title.Padding = vg.Points(8)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Label.TextStyle.Color, axis.Tick.Color, axis.Tick.Label.Color = ink, ink, ink, ink
	}
	if c.logX {
		p.X.Scale = plot.LogScale{}
	}
	var ticks []plot.Tick
	xys := make(plotter.XYs, len(c.points))
	for i, point := range c.points {
		xys[i].X, xys[i].Y = float64(point.X), c.value(point)
		ticks = append(ticks, plot.Tick{Value: float64(point.X), Label: thousands(point.X)})
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.ConstantTicks(ticks), plainTicks{}
	lines := plotter.NewGrid()
	lines.Horizontal.Color, lines.Vertical.Color = grid, nil
	line, dots, err := plotter.NewLinePoints(xys)
	if err != nil {
		return err
	}
	line.Color, line.Width = series, vg.Points(2)
	dots.Color, dots.Shape, dots.Radius = series, draw.CircleGlyph{}, vg.Points(3)
	p.Add(lines, line, dots)
	p.Y.Min = 0
	p.Y.Max *= 1.1
	return p.Save(16*vg.Centimeter, 9*vg.Centimeter, file)
}

// plainTicks are the default ticks with the shortest labels.
type plainTicks struct{}

func (plainTicks) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = strconv.FormatFloat(ticks[i].Value, 'g', 4, 64)
		}
	}
	return ticks
}

// thousands returns n with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
