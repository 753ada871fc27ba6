package cli

import "runtime/debug"

// Version is set by the linker in releases.
var Version = "devel"

// Revision is the commit that the program was built from, or "unknown".
func Revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
