//go:build !unix

package secret

import "io/fs"

// identity is unknown here: size and time must do.
func identity(fs.FileInfo) uint64 { return 0 }
