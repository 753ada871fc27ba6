// Package memory is what replay must not import.
package memory
