//go:build !linux

package file_test

import "time"

// runnable is not known here.
func runnable() time.Duration { return 0 }
