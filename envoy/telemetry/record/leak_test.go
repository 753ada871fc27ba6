package record_test

import (
	"testing"

	"github.com/hookbastion/hookbastion/authz/authztest/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }
