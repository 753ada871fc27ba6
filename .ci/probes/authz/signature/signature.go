// Package signature is what others must not import.
package signature
