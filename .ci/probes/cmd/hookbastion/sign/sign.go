// Package sign imports as a subcommand must not.
package sign

import (
	_ "github.com/hookbastion/hookbastion/authz/signature/cause" // want
	_ "github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	_ "github.com/hookbastion/hookbastion/cmd/hookbastion/serve" // want
)
