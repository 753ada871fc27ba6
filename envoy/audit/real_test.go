package audit_test

import "time"

const generous = 30 * time.Second
