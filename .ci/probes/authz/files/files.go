// Package files imports as it must not.
package files

import _ "github.com/hookbastion/hookbastion/authz/secret" // want
