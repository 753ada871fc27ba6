package cli

import "runtime/debug"

// Version is set by the linker in releases.
var Version = "devel"

// Revision is the commit that the program was built from, or "unknown".
func Revision() string {
	if revision := stamp("vcs.revision"); revision != "" {
		return revision
	}
	return "unknown"
}

// Modified reports whether the checkout that the program was built from had changes
// that no commit holds.
func Modified() bool { return stamp("vcs.modified") == "true" }

// stamp returns what Go wrote of the build into the program.
func stamp(key string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == key {
				return s.Value
			}
		}
	}
	return ""
}
