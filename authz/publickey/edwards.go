package publickey

import (
	"math/big"
	"slices"
)

// prime is 2^255 - 19, and d the constant of the curve -x² + y² = 1 + dx²y².
var (
	prime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	d     = new(big.Int).Mod(new(big.Int).Mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), prime)), prime)
)

// goodEd25519 reports whether 32 bytes are the one encoding of a point that is not of
// small order. With a key of small order a signature can be made that fits every
// message, and the standard library accepts it (RFC 8032 §5.1.7 does not ask for more).
func goodEd25519(key []byte) bool {
	if len(key) != 32 {
		return false
	}
	littleEndian := slices.Clone(key)
	odd := littleEndian[31]>>7 == 1
	littleEndian[31] &= 0x7f
	slices.Reverse(littleEndian)
	y := new(big.Int).SetBytes(littleEndian)
	if y.Cmp(prime) >= 0 {
		return false
	}
	x := recoverX(y, odd)
	if x == nil {
		return false
	}
	// Three doublings multiply by the curve's cofactor 8. The neutral point is (0, 1).
	for range 3 {
		x, y = double(x, y)
	}
	return x.Sign() != 0 || y.Cmp(big.NewInt(1)) != 0
}

// recoverX solves x² = (y² - 1) / (dy² + 1) (RFC 8032 §5.1.3), or returns nil.
func recoverX(y *big.Int, odd bool) *big.Int {
	one := big.NewInt(1)
	yy := new(big.Int).Mul(y, y)
	divisor := new(big.Int).Mul(d, yy)
	divisor.Add(divisor, one).Mod(divisor, prime)
	inverse := new(big.Int).ModInverse(divisor, prime)
	if inverse == nil {
		return nil
	}
	xx := new(big.Int).Sub(yy, one)
	xx.Mul(xx, inverse).Mod(xx, prime)
	x := new(big.Int).ModSqrt(xx, prime)
	if x == nil || x.Sign() == 0 && odd {
		return nil
	}
	if x.Bit(0) == 1 != odd {
		x.Sub(prime, x)
	}
	return x
}

// double adds a point to itself, by the complete law of the curve.
func double(x, y *big.Int) (*big.Int, *big.Int) {
	xx, yy := new(big.Int).Mul(x, x), new(big.Int).Mul(y, y)
	t := new(big.Int).Mul(xx, yy)
	t.Mul(t, d).Mod(t, prime)
	quotient := func(over, under *big.Int) *big.Int {
		inverse := new(big.Int).ModInverse(under.Mod(under, prime), prime) // d is no square, so that it is never 0
		return over.Mod(over.Mul(over, inverse), prime)
	}
	twice := new(big.Int).Mul(x, y)
	twice.Lsh(twice, 1)
	one := big.NewInt(1)
	return quotient(twice, new(big.Int).Add(one, t)), quotient(new(big.Int).Add(yy, xx), new(big.Int).Sub(one, t))
}
