// Package replay imports as it must not.
package replay

import (
	_ "github.com/hookbastion/hookbastion/authz/replay/memory" // want
)
