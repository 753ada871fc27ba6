// Package serve is what other subcommands must not import.
package serve
