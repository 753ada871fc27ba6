// Package explain imports what it alone may.
package explain

import _ "github.com/hookbastion/hookbastion/authz/signature/cause"
