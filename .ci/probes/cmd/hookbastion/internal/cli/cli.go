// Package cli is what subcommands share.
package cli
