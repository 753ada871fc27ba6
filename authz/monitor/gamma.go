package monitor

import "math"

// longer is the natural logarithm of the chance that a pause whose mean is mean, and
// whose lengths stray like a gamma distribution of that shape, is longer than gap.
func longer(shape, gap, mean float64) float64 {
	x := shape * gap / mean
	if x <= 0 {
		return 0
	}
	if x < shape+1 {
		return math.Log(max(1-lowerGamma(shape, x), 1e-300))
	}
	// continued fraction of the upper incomplete gamma function (Lentz)
	b := x + 1 - shape
	c, d := 1e300, 1/b
	h := d
	for i := 1.0; i < 500; i++ {
		a := -i * (i - shape)
		b += 2
		d = 1 / nonzero(a*d+b)
		c = nonzero(b + a/c)
		h *= d * c
		if math.Abs(d*c-1) < 1e-10 {
			break
		}
	}
	lg, _ := math.Lgamma(shape)
	return -x + shape*math.Log(x) - lg + math.Log(max(h, 1e-300))
}

func lowerGamma(shape, x float64) float64 {
	term := 1 / shape
	sum := term
	for i := 1.0; i < 1000; i++ {
		term *= x / (shape + i)
		sum += term
		if term < sum*1e-12 {
			break
		}
	}
	lg, _ := math.Lgamma(shape)
	return sum * math.Exp(-x+shape*math.Log(x)-lg)
}

func nonzero(v float64) float64 {
	if math.Abs(v) < 1e-300 {
		return 1e-300
	}
	return v
}
