// Package cause is for explain alone.
package cause
