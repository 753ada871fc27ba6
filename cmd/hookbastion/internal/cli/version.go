package cli

// Version is set by the linker in releases.
var Version = "devel"
