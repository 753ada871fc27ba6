package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// chart is decisions over time, as bars of an SVG that is stretched to where it stands.
type chart struct {
	Width, Height int
	Label         string // in words, for those who do not see it
	Bars          []bar  // of the large chart, each with its numbers
	// Allowed, WouldDeny and Denied are all bars of a kind, as one path.
	Allowed, WouldDeny, Denied string
	Top, Half                  string // of the scale
	Times                      []time.Time
}

// bar is one slot: where a pointer finds its numbers.
type bar struct {
	X     int
	Title string
}

// Units of the drawing: one slot, and the height.
const (
	slotWidth   = 10
	barWidth    = 8
	chartHeight = 160
)

// draw makes the chart. A small one, for a row of a table, has no scale and no numbers.
func draw(t *traffic, w *window, small bool) *chart {
	highest := 0
	for i := range t.slots {
		highest = max(highest, t.slots[i].total())
	}
	top := niceTop(highest)
	if small {
		top = float64(max(highest, 1))
	}
	c := &chart{
		Width: len(t.slots) * slotWidth, Height: chartHeight,
		Label: fmt.Sprintf("%s: %s allowed, %s denied, %s would be denied; at most %s %s", w.title,
			number(int(t.tally.allowed)), number(int(t.tally.denied)), number(int(t.tally.wouldDeny)), number(highest), inWords(w.slot)),
	}
	var allowed, would, denied strings.Builder
	for i := range t.slots {
		s := &t.slots[i]
		x, y := i*slotWidth+(slotWidth-barWidth)/2, float64(chartHeight)
		for _, part := range []struct {
			count uint32
			path  *strings.Builder
		}{{s.allowed, &allowed}, {s.wouldDeny, &would}, {s.denied, &denied}} {
			if part.count == 0 {
				continue
			}
			h := max(float64(part.count)/top*chartHeight, 1.5) // what is there is seen
			y -= h
			fmt.Fprintf(part.path, "M%d %.1fh%dv%.1fh-%dz", x, y, barWidth, h, barWidth)
		}
		if !small {
			begin := t.start.Add(time.Duration(i) * w.slot)
			c.Bars = append(c.Bars, bar{i * slotWidth, fmt.Sprintf("%s: %s allowed, %s denied, %s would be denied", begin.Format("15:04"),
				number(int(s.allowed)), number(int(s.denied)), number(int(s.wouldDeny)))})
		}
	}
	c.Allowed, c.WouldDeny, c.Denied = allowed.String(), would.String(), denied.String()
	if !small {
		c.Top, c.Half = short(top), short(top/2)
		const marks = 5
		for i := range marks {
			c.Times = append(c.Times, t.start.Add(w.length()*time.Duration(i)/(marks-1)))
		}
	}
	return c
}

// niceTop is the least of 2, 4, 10, 20, 40, 100 and so on that is not below n.
func niceTop(n int) float64 {
	for unit := 1.0; ; unit *= 10 {
		for _, step := range []float64{2, 4, 10} {
			if unit*step >= float64(n) {
				return unit * step
			}
		}
	}
}

// number writes digits in groups of three.
func number(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// short writes a number of a scale.
func short(n float64) string {
	for _, unit := range []struct {
		size float64
		word string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= unit.size {
			return strconv.FormatFloat(n/unit.size, 'g', 3, 64) + unit.word
		}
	}
	return strconv.FormatFloat(n, 'g', 3, 64)
}

// inWords writes a length of time that is a number of minutes or hours.
func inWords(d time.Duration) string {
	switch {
	case d == time.Minute:
		return "a minute"
	case d == time.Hour:
		return "an hour"
	default:
		return fmt.Sprintf("in %d minutes", int(d.Minutes()))
	}
}

// percent writes a share; more than nothing is never nothing.
func percent(part, whole int) string {
	switch share := 100 * float64(part) / math.Max(float64(whole), 1); {
	case part == 0:
		return "0 %"
	case share < 0.1:
		return "< 0.1 %"
	case share < 10:
		return strconv.FormatFloat(share, 'f', 1, 64) + " %"
	default:
		return strconv.FormatFloat(share, 'f', 0, 64) + " %"
	}
}

// micros writes how long a decision took.
func micros(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

// age writes how long ago something was, in the unit that a reader wants.
func age(at, now time.Time) string {
	d := now.Sub(at)
	switch {
	case at.IsZero():
		return "never"
	case d < 0:
		return "in the future"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}
